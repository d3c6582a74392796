#pragma once

#include <ilm/backend.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/effects.hpp>
#include <ilm/message.hpp>
#include <ilm/outcome.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/names.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

// The three parts of a messenger and its clock, without their types: the engine is compiled once
// for all of them. All members are called on the engine's strand.

namespace ilm::inline v0::runtime {

/// The contents of a store when it was opened.
struct opened_store {
  opened_store() = default;

  incarnation local;
  /// The id that the store was made under; null if the store is new or does not know it.
  std::shared_ptr<const peer_name> owner;
  std::vector<std::pair<peer_name*, cursors>> peers;
  /// One for each peer whose stored id has no name.
  std::vector<detail::failure> unusable;
  /// The peer whose state contradicts itself, once a check has found one.
  const peer_name* contradictory = nullptr;
};

/// A backend. It gathers one batch, which lives until `clear`.
class store_port {
 public:
  virtual ~store_port() = default;

  /// The tag of the transactions that it lends; null for none.
  virtual const void* transaction() const noexcept = 0;

  virtual asio::awaitable<opened_store> open() = 0;

  /// Adds to the batch, and takes the messages of the change. At most one entry a peer.
  virtual void append(const peer_name& peer, protocol::store_change& change) = 0;
  /// The messages of the change that was added as number `at`, counted from 0.
  virtual void take_back(std::size_t at, protocol::store_change& change) noexcept = 0;
  /// Makes the batch the first one of a new store, with the messenger's own id.
  virtual void append_incarnation(const incarnation& created) = 0;
  /// Has the batch erase all that is stored of the peer.
  virtual void append_forgotten(const peer_name& peer) = 0;
  /// Makes the batch durable, with the effects, which are none where no transaction is lent.
  virtual asio::awaitable<void> commit(detail::effect_list& effects) = 0;
  virtual void clear() noexcept = 0;

  virtual asio::awaitable<std::vector<stored_message>> read(queue source, const peer_name& peer,
                                                            std::uint64_t from,
                                                            page_limit limit) = 0;
  virtual asio::awaitable<void> close() = 0;
};

/// The peer of a report, by the id that the network gave.
class reported_peer {
 public:
  /// Null if the table has no name of it.
  virtual peer_name* find() const = 0;
  /// The name in the table, made if need be. Throws if the id cannot be one.
  virtual peer_name& add() const = 0;
  /// Why the id can have no name; none if it can. Throws where that is no matter of its codec.
  virtual detail::failure reason_against() const = 0;
  /// The id in the form of its codec. Throws as `add` does.
  virtual bytes encoded() const = 0;
  /// A name for an event: the table does not grow by it.
  virtual std::shared_ptr<peer_name> mention() const = 0;

 protected:
  ~reported_peer() = default;
};

/// A report of a network.
struct network_report {
  enum class type : std::uint8_t {
    up,
    down,
    frame,
    problem,  ///< `why` is known
  };

  network_report(type k, const reported_peer* p, std::span<const std::byte> b = {},
                 detail::failure reason = {})
      : kind(k), peer(p), frame(b), why(std::move(reason)) {}

  type kind;
  const reported_peer* peer;  ///< null for a `problem` with no known peer
  std::span<const std::byte> frame;
  detail::failure why;
};

/// Takes the reports of a network.
class network_sink {
 public:
  /// False if the network shall not go on for now. It throws nothing: a failure in here is not the
  /// network's.
  virtual bool handle_report(const network_report& report) = 0;
  /// A report could not be made, for an exception that is not the network's. False.
  virtual bool handle_thrown(const std::exception_ptr& thrown) noexcept = 0;

 protected:
  ~network_sink() = default;
};

class network_port {
 public:
  virtual ~network_port() = default;

  virtual bool reliable() const noexcept = 0;
  virtual std::size_t maximum_frame_size() const = 0;
  virtual asio::awaitable<void> send(const peer_name& peer, std::vector<std::byte> frame) = 0;
  /// Reports to `sink` until that says to stop. A throw means that the network has ended.
  virtual asio::awaitable<void> receive(network_sink& sink) = 0;
};

class staged_sends;

class delivery_port {
 public:
  virtual ~delivery_port() = default;

  virtual bool waits_for_reader() const noexcept = 0;
  /// Whether a call may stage sends.
  virtual bool takes_context() const noexcept = 0;
  /// Calls the application. The result has to be awaited; none if the application is done. `how` is
  /// its outcome then, and lives until then. `staged` is null if calls take no context.
  virtual std::optional<asio::awaitable<void>> deliver(const peer_name& from,
                                                       const stored_message& m,
                                                       std::shared_ptr<staged_sends> staged,
                                                       outcome& how) = 0;
};

/// The time, and one timer.
class clock_port {
 public:
  virtual ~clock_port() = default;

  virtual protocol::timestamp now() const noexcept = 0;
  /// Completes at that time, or at `wake`. One wait runs at a time.
  virtual asio::awaitable<void> wait_until(protocol::timestamp at) = 0;
  virtual void wake() = 0;
  /// Destroys the timer and the coroutine that waits for it.
  virtual void abandon() noexcept = 0;
};

}  // namespace ilm::inline v0::runtime
