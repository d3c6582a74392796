#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/remote_address.hpp>
#include <ilm/networks/tcp/session_builder.hpp>
#include <ilm/networks/tcp/unauthenticated_places.hpp>

#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <cassert>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Takes accepted connections through the handshake, and closes those for which there is no place.
class admission : public std::enable_shared_from_this<admission> {
 public:
  admission(asio::any_io_executor executor, std::shared_ptr<const configuration> c,
            std::shared_ptr<event_source> events, std::shared_ptr<session_builder> builder)
      : executor_(std::move(executor)),
        configuration_(std::move(c)),
        events_(std::move(events)),
        builder_(std::move(builder)),
        places_(configuration_->options.maximum_unauthenticated,
                configuration_->options.maximum_unauthenticated_per_address) {}

  void admit(asio::ip::tcp::socket accepted) {
    address_group from = group_of(remote_of(accepted).address());
    auto c = std::make_shared<connection>(configuration_->via->make_accepted(std::move(accepted)),
                                          false);
    clock::time_point now = clock::now();
    while (std::optional<ticket> silent = places_.overdue(now)) {
      close(*silent, tcp_error::handshake_timeout);
    }
    while (std::optional<ticket> excess = places_.excess(from)) {
      close(*excess, tcp_error::too_many_connections);
    }
    auto held = std::make_unique<place>(shared_from_this(), places_.add(from, now));
    connections_.emplace(held->t, c);
    set_deadlines(*c, held->t, now);
    assert(invariants_hold());
    events_->spawn(authenticate(std::move(held), std::move(c)));
  }

  /// Closes a connection that another one needs more, for there are too many. False if there is
  /// none.
  bool close_one() {
    std::optional<ticket> least = places_.least();
    if (least) close(*least, tcp_error::too_many_connections);
    return least.has_value();
  }

  void close() { closed_ = true; }

 private:
  using places = unauthenticated_places;
  using ticket = places::ticket;

  /// Left when its owner goes, also where memory is short or the context is destroyed.
  struct place {
    place(std::shared_ptr<admission> of, ticket number) : self(std::move(of)), t(number) {}
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() { self->leave(t); }

    const std::shared_ptr<admission> self;
    const ticket t;
  };

  bool invariants_hold() const noexcept { return connections_.size() == places_.size(); }

  /// Of the first message, and then of the handshake as a whole.
  void set_deadlines(connection& c, ticket t, clock::time_point now) {
    tcp_options::duration limit = configuration_->options.handshake_timeout;
    c.set_deadline(places_.is_pressed()
                       ? std::min<tcp_options::duration>(limit, pressed_handshake_timeout)
                       : limit);
    c.on_first_message([weak = weak_from_this(), &c, t, now, limit] {
      std::shared_ptr<admission> self = weak.lock();
      if (!self || !self->places_.contains(t)) return;
      self->events_->guard().run([&] { self->places_.move(t, places::stage::heard); });
      c.set_deadline(limit - (clock::now() - now));
    });
  }

  /// The coroutine of the connection ends by itself.
  void close(ticket t, tcp_error why) {
    std::shared_ptr<connection> c = std::move(connections_.at(t));
    leave(t);
    c->refuse_at_once(why);
    if (!closed_) events_->add_refusal(std::nullopt, failure_from(c->remote(), why));
  }

  void leave(ticket t) noexcept {
    if (closed_) return;  // an exception may have ended the network in the middle of a change
    places_.remove(t);
    connections_.erase(t);
    assert(invariants_hold());
  }

  static asio::awaitable<void> authenticate(std::unique_ptr<place> held,
                                            std::shared_ptr<connection> c) {
    admission& self = *held->self;
    std::optional<byte_string> peer;
    failure failed = co_await self.builder_->establish(c, peer);
    if (!failed || self.closed_) co_return;
    self.places_.move(held->t, places::stage::refused);
    std::error_code why = failed.code;
    self.report(*c, peer, std::move(failed));
    co_await self.builder_->reject(c, why);
  }

  /// A connection that closes without a word concerns nobody, nor does one of two that collide.
  void report(const connection& c, const std::optional<byte_string>& peer, failure why) {
    if (!is_explained(why.code) || why.code == tcp_error::handshake_cut ||
        why.code == tcp_error::already_connected) {
      return;
    }
    events_->add_refusal(peer, failure_from(c.remote(), std::move(why)));
  }

  asio::any_io_executor executor_;
  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<session_builder> builder_;
  places places_;
  std::map<ticket, std::shared_ptr<connection>> connections_;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
