#pragma once

#include <ilm/backend.hpp>
#include <ilm/delivery.hpp>
#include <ilm/delivery_context.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/effects.hpp>
#include <ilm/network.hpp>
#include <ilm/outcome.hpp>
#include <ilm/printable.hpp>
#include <ilm/runtime/names.hpp>
#include <ilm/runtime/ports.hpp>
#include <ilm/runtime/staged_sends.hpp>

#include <asio/awaitable.hpp>

#include <cassert>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

// Adapters make ports of a user's parts: all of the runtime that depends on their types. No adapter
// decides anything.

namespace ilm::inline v0::runtime {

template <class PeerId, class Backend>
class store_adapter final : public store_port {
 public:
  store_adapter(std::shared_ptr<name_table<PeerId>> names, Backend backend)
      : names_(std::move(names)), backend_(std::move(backend)) {}

  const void* transaction() const noexcept override {
    if constexpr (requires { backend_.lends_transactions(); }) {
      if (!backend_.lends_transactions()) return nullptr;
    }
    return detail::transaction_of<Backend, PeerId>();
  }

  asio::awaitable<opened_store> open() override {
    store_state<PeerId> state = co_await backend_.open();
    opened_store found;
    std::exception_ptr failed;
    try {
      found = with_names(state);
    } catch (...) {
      failed = std::current_exception();
    }
    if (!failed) co_return found;
    try {
      co_await backend_.close();
    } catch (...) {
      // The caller has to hear of the failure to open, not of this one.
    }
    std::rethrow_exception(failed);
  }

  void append(const peer_name& peer, protocol::store_change& change) override {
    peer_change<PeerId>& entry = batch_.changes.emplace_back(id_of<PeerId>(peer), change.next);
    entry.outbox = std::move(change.outbox);
    entry.inbox = std::move(change.inbox);
  }
  void take_back(std::size_t at, protocol::store_change& change) noexcept override {
    change.outbox = std::move(batch_.changes[at].outbox);
    change.inbox = std::move(batch_.changes[at].inbox);
  }
  void append_incarnation(const incarnation& created) override {
    batch_.new_incarnation = created;
    batch_.new_local_id = names_->local_id();
  }
  void append_forgotten(const peer_name& peer) override {
    batch_.forgotten.push_back(id_of<PeerId>(peer));
  }
  asio::awaitable<void> commit(detail::effect_list& effects) override {
    if constexpr (transactional_backend<Backend, PeerId>) {
      if (!effects.empty()) {
        return backend_.commit(std::as_const(batch_), effects_.emplace(effects));
      }
    }
    assert(effects.empty());
    return backend_.commit(std::as_const(batch_));
  }
  void clear() noexcept override {
    batch_.new_incarnation.reset();
    batch_.new_local_id.reset();
    batch_.changes.clear();
    batch_.forgotten.clear();
  }

  asio::awaitable<std::vector<stored_message>> read(queue source, const peer_name& peer,
                                                    std::uint64_t from, page_limit limit) override {
    return backend_.read(source, id_of<PeerId>(peer), from, limit);
  }
  asio::awaitable<void> close() override { return backend_.close(); }

 private:
  struct no_effects {};
  template <class B>
  struct effects_of {
    using type = no_effects;
  };
  template <class B>
  requires transactional_backend<B, PeerId>
  struct effects_of<B> {
    using type = std::optional<effects<typename B::transaction>>;
  };

  opened_store with_names(const store_state<PeerId>& state) {
    opened_store found;
    found.local = state.local;
    if (state.local_id) found.owner = names_->mention(*state.local_id);
    found.peers.reserve(state.peers.size());
    for (const auto& [id, stored] : state.peers) {
      detail::failure unusable;
      if (peer_name* name = names_->add_if_valid(id, unusable)) {
        found.peers.emplace_back(name, stored);
      } else {
        // With a history of its own in the store, it must not begin another one in this life.
        names_->refuse(id);
        found.unusable.push_back(std::move(unusable));
      }
    }
    return found;
  }

  std::shared_ptr<name_table<PeerId>> names_;
  Backend backend_;
  batch<PeerId> batch_;
  [[no_unique_address]] typename effects_of<Backend>::type effects_;  ///< of the commit under way
};

template <class PeerId, class Network>
class network_adapter final : public network_port {
 public:
  network_adapter(std::shared_ptr<name_table<PeerId>> names, Network network)
      : names_(std::move(names)),
        network_(std::move(network)),
        maximum_frame_size_(network_.maximum_frame_size()) {}

  bool reliable() const noexcept override { return Network::reliable; }
  std::size_t maximum_frame_size() const override { return maximum_frame_size_; }

  asio::awaitable<void> send(const peer_name& peer, std::vector<std::byte> frame) override {
    return network_.send(id_of<PeerId>(peer), std::move(frame));
  }

  asio::awaitable<void> receive(network_sink& sink) override {
    for (bool more = true; more;) {
      network_event<PeerId> e = co_await network_.receive();
      more = pass(e, sink);
    }
  }

 private:
  using report = network_report::type;

  class reported final : public reported_peer {
   public:
    reported(name_table<PeerId>& names, const PeerId& id) : names_(names), id_(id) {}

    peer_name* find() const override { return names_.find(id_); }
    peer_name& add() const override { return names_.add(id_); }
    detail::failure reason_against() const override { return names_.reason_against(id_); }
    bytes encoded() const override { return encode_valid(id_); }
    std::shared_ptr<peer_name> mention() const override { return names_.mention(id_); }

   private:
    name_table<PeerId>& names_;
    const PeerId& id_;
  };

  bool pass(const network_event<PeerId>& e, network_sink& sink) {
    try {
      return report_to(sink, e);
    } catch (...) {
      return sink.handle_thrown(std::current_exception());
    }
  }

  bool report_to(network_sink& sink, const network_event<PeerId>& e) {
    using type = typename network_event<PeerId>::type;
    reported peer(*names_, e.peer);
    if (e.kind == type::problem) {
      detail::failure why(e.error, detail::printable_prefix(e.text, detail::maximum_failure_text));
      return sink.handle_report(
          network_report(report::problem, e.named ? &peer : nullptr, {}, std::move(why)));
    }
    report kind = e.kind == type::up     ? report::up
                  : e.kind == type::down ? report::down
                                         : report::frame;
    return sink.handle_report(network_report(kind, &peer, e.bytes));
  }

  std::shared_ptr<name_table<PeerId>> names_;
  Network network_;
  std::size_t maximum_frame_size_;
};

template <class PeerId, class Delivery>
class delivery_adapter final : public delivery_port {
 public:
  /// `stamp`: options::stamp_sent_at, for the sends of deliveries.
  delivery_adapter(std::shared_ptr<name_table<PeerId>> names, bool stamp, Delivery delivery)
      : names_(std::move(names)), stamp_(stamp), delivery_(std::move(delivery)) {}

  bool waits_for_reader() const noexcept override {
    if constexpr (requires { Delivery::waits_for_reader; }) {
      return Delivery::waits_for_reader;
    } else {
      return false;
    }
  }
  bool takes_context() const noexcept override { return with_context; }

  std::optional<asio::awaitable<void>> deliver(const peer_name& from, const stored_message& m,
                                               std::shared_ptr<staged_sends> staged,
                                               outcome& how) override {
    message<PeerId> received(id_of<PeerId>(from), m.sequence, m.contents, m.index,
                             attributes(m.attributes));
    if constexpr (with_context) {
      auto context = detail::context_access::make(names_, stamp_, received.from, std::move(staged));
      if constexpr (waits) {
        return run(how, std::move(received), std::move(context));
      } else {
        call(how, std::move(received), context);
        return std::nullopt;
      }
    } else if constexpr (std::same_as<result, asio::awaitable<void>>) {
      return delivery_(std::move(received));
    } else if constexpr (waits) {
      return run(how, std::move(received));
    } else {
      call(how, std::move(received));
      return std::nullopt;
    }
  }

 private:
  using result = detail::delivery_returns_t<Delivery, PeerId>;
  static constexpr bool with_context = detail::delivery_takes_context<Delivery, PeerId>;
  static constexpr bool waits =
      std::same_as<result, asio::awaitable<void>> || std::same_as<result, asio::awaitable<outcome>>;

  template <class... Arguments>
  void call(outcome& how, Arguments&&... arguments) {
    if constexpr (std::is_void_v<result>) {
      delivery_(std::forward<Arguments>(arguments)...);
    } else {
      how = delivery_(std::forward<Arguments>(arguments)...);
    }
  }

  /// Keeps the context, if there is one, for a call that takes a reference to it.
  template <class... Context>
  asio::awaitable<void> run(outcome& how, message<PeerId> m, Context... context) {
    if constexpr (std::same_as<result, asio::awaitable<outcome>>) {
      how = co_await delivery_(std::move(m), context...);
    } else {
      co_await delivery_(std::move(m), context...);
    }
  }

  std::shared_ptr<name_table<PeerId>> names_;
  bool stamp_;
  Delivery delivery_;
};

}  // namespace ilm::inline v0::runtime
