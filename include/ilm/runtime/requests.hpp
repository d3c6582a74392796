#pragma once

#include <ilm/detail/completion.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/runtime/names.hpp>
#include <ilm/runtime/send_batch.hpp>
#include <ilm/statistics.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Something asked of the engine about a peer, on its way to the strand. The name is looked up
/// there, because the names belong to it. Its `done` is set last, when nothing can throw any more.
class peer_request {
 public:
  virtual ~peer_request() = default;

  /// Null if nothing is known of the peer.
  virtual peer_name* find_name() const = 0;
  /// Throws if the id cannot be one.
  virtual peer_name& add_name() const = 0;
  /// Throws as `add_name` does, but adds nothing.
  virtual void check_name() const = 0;
  /// The peer's name for an event, whether it is known or not.
  virtual std::shared_ptr<peer_name> mention_name() const = 0;
};

/// A message to send, or the error with which the send ends.
struct prepared_send {
  payload message;
  std::error_code invalid;
};

/// A send between its caller and the store; or a batch of them, until cores have all of it.
struct send_request : peer_request {
  using handler = detail::completion<std::error_code, std::uint64_t>;

  send_request(prepared_send s, bool wait, std::uint64_t operation)
      : message(std::move(s.message)), invalid(s.invalid), may_wait(wait), id(operation) {}

  bool staged() const noexcept { return !done && !batch; }

  // Of the batch as well that it begins.

  std::size_t messages() const noexcept { return 1 + rest.size(); }
  std::size_t bytes() const noexcept {
    std::size_t all = message.size();
    for (const auto& r : rest) all += r->message.size();
    return all;
  }
  void end(std::error_code failed, std::uint64_t sequence) {
    for (; !rest.empty(); rest.pop_back()) rest.back()->end(failed, 0);
    if (batch) {
      batch->handle_end(place, failed, sequence);
    } else if (done) {
      done(failed, sequence);
    }
  }

  payload message;
  std::error_code invalid;
  bool may_wait;
  std::uint64_t id;             ///< names it for cancellation; 0 if it cannot be cancelled
  handler done;                 ///< none if it belongs to a delivery or a batch
  peer_name* name = nullptr;    ///< in the turn in which it was looked up, or while a core has it
  protocol::send_id sent_as{};  ///< while a core has it
  std::shared_ptr<send_batch> batch;
  std::size_t place = 0;                            ///< in the batch
  std::vector<std::unique_ptr<send_request>> rest;  ///< of the batch that this one begins
  send_request* next = nullptr;
};

/// Waits until the peer's application is done with a message.
struct delivered_request : peer_request {
  using handler = detail::completion<std::error_code>;

  delivered_request(std::uint64_t message, std::uint64_t operation)
      : sequence(message), id(operation) {}

  void fail(std::error_code reason) { done(reason); }

  std::uint64_t sequence;
  std::uint64_t id;
  handler done;
};

/// Asks for the sequences in an outbox.
struct undelivered_request : peer_request {
  using handler = detail::completion<std::error_code, sequence_range>;

  explicit undelivered_request(std::uint64_t operation) : id(operation) {}

  void fail(std::error_code reason) { done(reason, {}); }

  std::uint64_t id;
  handler done;
};

/// Asks that a peer be forgotten.
struct forget_request : peer_request {
  using handler = detail::completion<std::error_code, forget_report>;

  explicit forget_request(std::uint64_t operation) : id(operation) {}

  void fail(std::error_code reason) { done(reason, {}); }

  std::uint64_t id;
  handler done;
};

/// Waits for an open session.
struct connected_request : peer_request {
  using handler = detail::completion<std::error_code>;

  explicit connected_request(std::uint64_t operation) : id(operation) {}

  void fail(std::error_code reason) { done(reason); }

  std::uint64_t id;
  handler done;
};

/// A request that knows the type of the peer's id.
template <class PeerId, class Request>
class addressed final : public Request {
 public:
  template <class... Args>
  addressed(name_table<PeerId>& names, const PeerId& peer, Args&&... args)
      : Request(std::forward<Args>(args)...), names_(&names), peer_(peer) {}

  peer_name* find_name() const override { return names_->find(peer_); }
  peer_name& add_name() const override { return names_->add(peer_); }
  void check_name() const override { names_->check(peer_); }
  std::shared_ptr<peer_name> mention_name() const override { return names_->mention(peer_); }

 private:
  name_table<PeerId>* names_;
  PeerId peer_;
};

}  // namespace ilm::inline v0::runtime
