#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/protocol/association.hpp>
#include <ilm/runtime/age.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::runtime {

/// A send on its way from its caller to the store.
template <class PeerId>
struct send_operation {
  using handler = detail::completion<std::error_code, std::uint64_t>;

  send_operation(PeerId whom, bytes what, bool may_wait, std::uint64_t name, handler h)
      : peer(std::move(whom)),
        contents(std::move(what)),
        wait(may_wait),
        id(name),
        done(std::move(h)) {}

  PeerId peer;
  bytes contents;
  bool wait;
  std::uint64_t id;  ///< names it for cancellation; 0 if it cannot be cancelled
  handler done;
  send_operation* next = nullptr;
};

/// Somebody who waits until the peer's application has a message.
struct receipt {
  receipt(std::uint64_t name, detail::completion<std::error_code> h)
      : id(name), done(std::move(h)) {}

  std::uint64_t id;
  detail::completion<std::error_code> done;
};

/// What the shell keeps for a peer: the core, and who waits for it.
template <class PeerId>
struct peer {
  using operation = std::unique_ptr<send_operation<PeerId>>;

  peer(PeerId whom, const options& o, protocol::association_setup setup, const cursors& stored,
       const asio::any_io_executor& executor, protocol::timestamp now)
      : id(std::move(whom)),
        core(o, std::move(setup), stored),
        delivered_at_open(stored.outbox_first - 1),
        write(executor),
        handover(executor) {
    if (stored.outbox_next > stored.outbox_first) ages.add(stored.outbox_next - 1, now);
  }

  PeerId id;
  protocol::association core;
  std::deque<operation> accepted_sends;  ///< in the order in which the core accepted them
  std::multimap<std::uint64_t, receipt> receipts;
  age_marks ages;
  std::uint64_t delivered_at_open;
  std::uint64_t accepted = 0;
  std::uint64_t taken = 0;
  std::uint64_t sessions = 0;  ///< how often the network said that one began or ended
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;

  detail::wakeup write;
  detail::wakeup handover;
  asio::cancellation_signal stop_writing;
  asio::cancellation_signal stop_handover;
  protocol::timestamp armed = protocol::never;
  std::uint64_t armed_as = 0;  ///< the entry for `armed`
  bool dirty = false;      ///< is in the engine's list of peers that may have something to store
  bool committed = false;  ///< is in its list of peers that may have something new to send
  bool writing = false;    ///< a frame is with the network
  bool handing = false;    ///< a message is with the application
};

}  // namespace ilm::runtime
