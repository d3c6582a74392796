#pragma once

#include "driven_peer.hpp"
#include "full_disk.hpp"
#include "journal.hpp"
#include "payload.hpp"
#include "peer_arguments.hpp"

#include <asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <system_error>
#include <utility>

namespace torture {

/// A peer that the application sends to: the journal gives the next id.
struct destination {
  destination(std::string peer_name, std::uint8_t peer_number, std::uint8_t partner_number)
      : name(std::move(peer_name)), number(peer_number), partner(partner_number) {}

  std::string name;
  std::uint8_t number;
  std::uint8_t partner;  ///< the peer that its messages come to: the journals name this one
  std::uint64_t next_id = 1;
  std::uint64_t open_sends = 0;
};

/// A peer that it receives from: the journal gives the last message.
struct source {
  std::uint64_t last_index = 0;       ///< in the journal
  std::uint64_t delivered_index = 0;  ///< the last one delivered to this process
};

template <class Backend>
class application;

template <class Backend>
struct application_delivery {
  using message = ilm::message<std::string>;

  explicit application_delivery(application<Backend>* to) : app(to) {}
  asio::awaitable<void> operator()(message m) const { return app->consume(std::move(m)); }
  application<Backend>* app;
};

/// An application as the README advises: it records a message together with its index, in one step,
/// and skips indexes that it has. It sends to each of its peers; at the end of a chain, to the
/// other end by way of its neighbour.
template <class Backend>
class application final : public driven_peer<Backend, application_delivery<Backend>> {
 public:
  using base = driven_peer<Backend, application_delivery<Backend>>;
  using typename base::message;

  application(asio::io_context& context, const peer_arguments& arguments, Backend store)
      : base(context, arguments),
        sent_(arguments.file("sent")),
        received_(arguments.file("received")) {
    for (const peer_address& p : arguments.peers) {
      destinations_.emplace_back(p.name, p.number, arguments.partner_by(p));
    }
    restore();
    this->start(std::move(store), application_delivery<Backend>(this));
  }

  asio::awaitable<void> consume(message m) {
    // Messages wait in the inbox meanwhile, so that a crash leaves some there.
    co_await this->perhaps_pause(200, std::chrono::milliseconds(20));
    write_received(m);
  }

 private:
  /// Sends without an outcome, and messages in the outbox, per peer.
  static constexpr std::uint64_t open_sends_limit = 400;
  static constexpr std::uint64_t outbox_limit = 2000;

  void begin() override {
    for (destination& d : destinations_) this->spawn(send(d));
  }
  std::uint64_t open_sends() const override {
    std::uint64_t open = 0;
    for (const destination& d : destinations_) open += d.open_sends;
    return open;
  }
  std::uint64_t skipped() const override { return again_; }

  /// Continues from the journals of earlier processes. Sends without an outcome stay in doubt.
  void restore() {
    journal_reader<sent_record> sent(this->arguments().file("sent"));
    for (const sent_record& r : sent.read()) {
      if (r.kind != sent_record::type::intent) continue;
      for (destination& d : destinations_) {
        if (d.partner == r.to) d.next_id = r.id + r.value;
      }
    }
    journal_reader<received_record> received(this->arguments().file("received"));
    for (const received_record& r : received.read()) {
      // A store that was put back counts anew, and so does the application.
      if (r.generation == this->arguments().generation) sources_[r.from].last_index = r.index;
    }
  }

  // Sending.

  asio::awaitable<void> send(destination& to) {
    while (!this->has_ended()) {
      bool has_room = to.open_sends < open_sends_limit && depth(to) < outbox_limit;
      // On a full disk every send fails: one batch now and then is enough.
      bool waits = refused_last_ && this->draw(20) != 0;
      if (!this->is_quiet() && has_room && !waits) send_batch(to);
      co_await this->pause(std::chrono::microseconds(this->draw(8000)));
    }
  }

  std::uint64_t depth(const destination& to) const {
    for (const auto& p : this->messenger().statistics().peers) {
      if (p.peer == to.name) return p.outbox_depth;
    }
    return 0;
  }

  void send_batch(destination& to) {
    std::uint64_t count = this->draw(10) == 0 ? 1 + this->draw(200) : 1 + this->draw(20);
    write_sent(sent_record::type::intent, to, to.next_id, count);
    for (; count > 0; --count) {
      std::uint64_t id = to.next_id++;
      payload p(this->arguments().number, to.number, id);
      ++to.open_sends;
      this->messenger().send_to(to.name, p.contents(),
                                [this, &to, id](std::error_code failed, std::uint64_t sequence) {
                                  handle_outcome(to, id, failed, sequence);
                                });
    }
  }

  void handle_outcome(destination& to, std::uint64_t id, std::error_code failed,
                      std::uint64_t sequence) {
    --to.open_sends;
    if (!failed) {
      write_sent(sent_record::type::done, to, id, sequence);
      refused_last_ = false;
    } else if (failed != asio::error::operation_aborted) {
      write_sent(sent_record::type::failed, to, id, static_cast<std::uint64_t>(failed.value()));
      refused_last_ = failed != ilm::error::shut_down;
      if (refused_last_ && full_disk::refused() == 0) {
        report("complaint a send failed:", failed.message());
      }
    }
  }

  void write_sent(sent_record::type kind, const destination& to, std::uint64_t id,
                  std::uint64_t value) {
    sent_record r;
    r.kind = kind;
    r.to = to.partner;
    r.process_number = this->arguments().process_number;
    r.id = id;
    r.value = value;
    sent_.append(r);
  }

  // Receiving.

  void write_received(const message& m) {
    peer_address by(m.from, {});
    std::uint8_t partner = this->arguments().partner_by(by);
    source& from = sources_[partner];
    if (from.delivered_index != 0 && m.index != from.delivered_index + 1) {
      report("complaint", m.from, "index", m.index, "after", from.delivered_index,
             "in one process");
    }
    from.delivered_index = m.index;
    if (this->arguments().sabotage == "forget" && this->draw(500) == 0) return;
    if (m.index <= from.last_index && this->arguments().sabotage != "repeat") {
      ++again_;
      return;
    }
    received_record r;
    r.from = partner;
    r.generation = this->arguments().generation;
    r.process_number = this->arguments().process_number;
    r.index = m.index;
    r.sequence = m.sequence;
    r.id = payload::id_of(m.contents.view());
    r.intact =
        payload(by.number, this->arguments().number, r.id).matches(m.contents.view()) ? 1 : 0;
    received_.append(r);
    from.last_index = m.index;
  }

  journal<sent_record> sent_;
  journal<received_record> received_;
  std::deque<destination> destinations_;
  std::map<std::uint8_t, source> sources_;
  std::uint64_t again_ = 0;
  bool refused_last_ = false;  ///< the store refused the last send
};

}  // namespace torture
