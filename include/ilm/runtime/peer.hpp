#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/async_event.hpp>
#include <ilm/protocol/association.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/commit_units.hpp>
#include <ilm/runtime/memory_budget.hpp>
#include <ilm/runtime/oldest_age.hpp>
#include <ilm/runtime/pending_consumption.hpp>
#include <ilm/runtime/requests.hpp>
#include <ilm/runtime/statistics_board.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// The engine's state of a peer: its core, the callers that wait for it, and one coroutine each
/// that writes its frames and delivers its messages. The table of peers holds it, and each
/// coroutine of its own: they outlast a removal from the table, and end soon.
struct peer : std::enable_shared_from_this<peer> {
  using receipt_map = std::multimap<std::uint64_t, std::unique_ptr<delivered_request>>;

  /// `before`: its figures in this life, if it was in memory before.
  peer(std::shared_ptr<peer_name> of, const options& o, protocol::association_setup setup,
       const cursors& stored, detail::turns& turns, const peer_figures& before = {})
      : name(std::move(of)),
        core(o, std::move(setup), stored),
        former(before),
        delivered_at_open(stored.outbox.first - 1 - before.delivered),
        accepted(before.accepted),
        consumed(before.received),
        frames_sent(before.frames_sent),
        frames_received(before.frames_received),
        write(turns),
        deliver(turns) {}

  bool invariants_hold() const noexcept {
    if (published == nullptr || delivered_at_open > core.delivered_by_peer()) return false;
    if (armed != protocol::never && armed_as == 0) return false;
    return receipts.empty() || (receipts.begin()->first > core.delivered_by_peer() &&
                                receipts.rbegin()->first < core.stored().outbox.next);
  }

  /// Whether nothing of the peer is with the store, the network or the application, and no caller
  /// waits for it.
  bool at_rest() const noexcept {
    return core.at_rest() && !writing && !delivering && receipts.empty() && consumptions.empty();
  }

  /// Whether nothing would be lost with the peer: it said no valid hello, and neither the store nor
  /// this side has anything of it or for it.
  bool is_stranger() const noexcept {
    return !name->in_store && !forgetting() && at_rest() && core.is_stranger();
  }
  /// From when on it can be left out of memory, but for its cursors in the store and its figures,
  /// so that nobody can tell; `never` as long as nothing happens with it but that time passes.
  protocol::timestamp leaves_at() const noexcept {
    bool told = !send_error || core.is_down();  // The next `up` clears it before any frame.
    bool quiet = at_rest() && !has_network && !forgetting() && unflushed == 0 &&
                 without_room == 0 && !in_batch;
    bool stored = name->in_store && !refused && !failure_told && !apart && !put_back && !unit;
    return quiet && stored && told ? core.reproducible_at() : protocol::never;
  }
  bool forgetting() const noexcept { return !forgetters.empty(); }
  bool removed() const noexcept { return name == nullptr; }

  std::shared_ptr<peer_name> name;  ///< none once the peer is not in the table any more
  protocol::association core;
  receipt_map receipts;
  /// Those that wait for the store to know that a message was consumed, by its index.
  std::multimap<std::uint64_t, detail::completion<std::error_code>> consumptions;
  std::deque<pending_consumption> pending;  ///< in the order of the messages
  oldest_age ages;
  statistics_board::entry* published = nullptr;
  peer_figures former;  ///< before this core, for the counts that it begins anew
  memory_account memory;

  std::uint64_t delivered_at_open;
  std::uint64_t last_before_shutdown = 0;  ///< the last message accepted for it by then
  std::uint64_t offered = 0;               ///< the index of the message that was offered last
  unsigned attempts = 0;                   ///< how often, in this life
  std::uint64_t accepted = 0;
  std::uint64_t consumed = 0;
  std::uint64_t session_changes = 0;  ///< how often the network said that one began or ended
  /// Until then a peer that said no valid hello stays, although nothing is stored of it.
  protocol::timestamp stranger_until = protocol::never;
  std::error_code send_error;  ///< the last one that was reported in this session
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;

  /// Those that ask that it be forgotten, which is under way while there are any.
  std::vector<std::unique_ptr<forget_request>> forgetters;
  bool has_network = false;  ///< whether the network has a session with it

  detail::async_event write;                ///< there may be a frame
  detail::async_event deliver;              ///< there is a message for the application
  std::shared_ptr<commit_unit<peer>> unit;  ///< see commit_units
  /// The batch in which its changes first were, or last were stored, or refused by themselves.
  std::uint64_t last_turn = 0;
  /// Why the store refused its changes together with those of others that go by themselves now;
  /// none if it did not, or they were tried since. Until then no batch of sends joins it.
  std::error_code apart;
  bool in_batch = false;  ///< the batch that is with the store has its change
  bool put_back = false;  ///< the last batch had its change, and no try for it
  asio::cancellation_signal stop_writing;
  asio::cancellation_signal stop_delivering;

  protocol::timestamp armed = protocol::never;
  std::uint64_t armed_as = 0;                         ///< the entry for `armed` among the deadlines
  protocol::timestamp rests_until = protocol::never;  ///< is listed among the resting peers
  std::uint64_t rests_as = 0;
  std::size_t changed = 0;       ///< its place among those that may have a change to store
  std::size_t due = 0;           ///< likewise, that may have a change that is due
  std::size_t under_way = 0;     ///< likewise, that are being forgotten
  std::size_t calmer = 0;        ///< likewise, of which something has ended since
  std::size_t unflushed = 0;     ///< likewise, whose frames wait for more messages
  std::size_t without_room = 0;  ///< likewise, whose deliveries wait for the store
  bool writing = false;          ///< a frame is with the network
  bool delivering = false;       ///< a message is with the application
  bool refused = false;          ///< the store refused the last change that it was asked to take
  bool failure_told = false;     ///< likewise, and took others: an event said so
  bool owing = false;            ///< has a session, and messages that are not confirmed
};

/// For the end of a coroutine of the peer: keeps the peer, and its cancellation, until then.
inline auto keep_until_end(peer& p) {
  return [kept = p.shared_from_this()](const std::exception_ptr&) {};
}

}  // namespace ilm::inline v0::runtime
