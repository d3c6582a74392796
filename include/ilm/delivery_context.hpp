#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/effects.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>
#include <ilm/messenger_handle.hpp>
#include <ilm/runtime/requests.hpp>
#include <ilm/runtime/staged_sends.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

namespace ilm::inline v0 {

/// Lets a delivery do more than take its message: send in the same commit, and reach its
/// messenger. Copies are handles to one delivery. Members may be called from any thread.
template <class PeerId>
class delivery_context {
 public:
  /// A context of no delivery, as one that has ended.
  delivery_context() = default;

  /// The sender of the message.
  const PeerId& from() const noexcept { return from_; }

  /// How often the message was offered in this life of the messenger, this time included: 1 for the
  /// first. A later life counts from 1 again.
  unsigned attempt() const noexcept { return attempt_; }

  /// Sends `contents` to `to`, the sender or any other peer, with the consumption of the message:
  /// the store has both or neither, whatever fails or crashes. Sends of one delivery keep their
  /// order. They do not wait for options::uncommitted_messages; where too many of them wait for the
  /// store, deliveries wait. A message that is offered again has nothing staged.
  ///
  /// Throws std::system_error: delivery_ended once the message is consumed, refused or given again;
  /// send_to_self, invalid_peer_id, message_too_large, invalid_attributes. If the outbox of `to` is
  /// full (options::outbox_limit) when the delivery ends, then it has failed with outbox_full: the
  /// message is offered again, later.
  template <sendable Contents>
  void send_to(const PeerId& to, const Contents& contents, const send_options& with = {}) {
    if (!staged_) throw std::system_error(error::delivery_ended);
    runtime::prepared_send prepared = detail::prepare(contents, with, messenger_.stamp_sent_at_);
    if (to == messenger_.local_id()) throw std::system_error(error::send_to_self);
    if (prepared.invalid) throw std::system_error(prepared.invalid);
    if (prepared.message.size() > staged_->maximum_message()) {
      throw std::system_error(error::message_too_large);
    }
    runtime::name_table<PeerId>::validate(to);
    using request = runtime::addressed<PeerId, runtime::send_request>;
    staged_->add(attempt_, std::make_unique<request>(*messenger_.names_, to, std::move(prepared),
                                                     false, std::uint64_t{0}));
  }

  /// Has `change` run in the transaction in which the store records the consumption of the message:
  /// its changes there are stored once if the message is consumed, and never otherwise, through all
  /// failures and crashes. It is called with a `Transaction&` after the delivery has ended, where
  /// the store works: on a thread of SQLite's, with sqlite_transaction. It is called again if the
  /// store did not take the transaction, so it must do the same each time, and touch nothing but
  /// the transaction and its own captures. Effects of one delivery, and of one peer's messages,
  /// keep their order.
  ///
  /// If it throws, nothing of this message is stored, neither its effects nor its sends: event
  /// delivery_failed, and the message is offered again after a delay that grows. Messages of the
  /// same peer behind it that the application was done with by then are offered again as well, with
  /// nothing of theirs stored; those of other peers are not concerned.
  ///
  /// Throws std::system_error: no_transaction if the store lends no `Transaction`, delivery_ended
  /// as `send_to` does.
  template <class Transaction, class Effect>
  requires std::invocable<Effect&, Transaction&>
  void apply(Effect change) {
    static_assert(std::is_void_v<std::invoke_result_t<Effect&, Transaction&>>,
                  "an effect returns nothing: it throws where it fails, and is no coroutine");
    if (!staged_) throw std::system_error(error::delivery_ended);
    if (staged_->transaction() != &detail::transaction_tag<Transaction>) {
      throw std::system_error(error::no_transaction);
    }
    using erased = detail::effect_of<Transaction, Effect>;
    staged_->add(attempt_,
                 runtime::staged_sends::effect(std::make_unique<erased>(std::move(change))));
  }

  /// The messenger that delivers. Its own `send_to` is not part of the consumption. A handler that
  /// awaits its `shutdown` gets shutdown_in_delivery.
  messenger_handle<PeerId>& messenger() noexcept { return messenger_; }

 private:
  friend detail::context_access;

  messenger_handle<PeerId> messenger_;
  std::shared_ptr<runtime::staged_sends> staged_;
  PeerId from_{};
  unsigned attempt_ = 0;
};

namespace detail {

/// Makes contexts, for the parts of the library that deliver.
struct context_access {
  template <class PeerId>
  static delivery_context<PeerId> make(std::shared_ptr<runtime::name_table<PeerId>> names,
                                       bool stamp, PeerId from,
                                       std::shared_ptr<runtime::staged_sends> staged) {
    delivery_context<PeerId> made;
    made.messenger_ = messenger_handle<PeerId>(std::move(names), staged->owner(), stamp);
    made.from_ = std::move(from);
    made.attempt_ = staged->attempt();
    made.staged_ = std::move(staged);
    return made;
  }

  /// A context of the same delivery for the next attempt, with nothing staged.
  template <class PeerId>
  static delivery_context<PeerId> again(const delivery_context<PeerId>& before) {
    delivery_context<PeerId> next = before;
    next.staged_->begin_again();
    next.attempt_ = next.staged_->attempt();
    return next;
  }

  template <class PeerId>
  static runtime::staged_sends& staged(const delivery_context<PeerId>& c) noexcept {
    return *c.staged_;
  }
};

}  // namespace detail

}  // namespace ilm::inline v0
