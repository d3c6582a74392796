#pragma once

#include <ilm/options.hpp>
#include <ilm/runtime/operation_index.hpp>
#include <ilm/runtime/requests.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// Bounds the messages that wait for the store: a send beyond the bound waits here, in order of
/// arrival.
class send_queue {
 public:
  using request = std::unique_ptr<send_request>;

  explicit send_queue(const options& o) : options_(o) {}

  /// Whether a send may go on now; none overtakes those that wait.
  bool has_room(const send_request& r) const noexcept { return waiting_.empty() && fits(r); }
  /// Whether a send could ever go on.
  bool can_hold(const send_request& r) const noexcept { return fits(r, {}); }
  /// Takes the request, unless it throws.
  void push(request& r) {
    assert(r);
    std::uint64_t id = r->id;
    waiting_.push_back(std::move(r));
    places_.add(id, std::prev(waiting_.end()));
  }

  /// The next send that waited and may go on now; null if none may.
  request pop() {
    if (waiting_.empty() || !fits(*waiting_.front())) return nullptr;
    request r = std::move(waiting_.front());
    waiting_.pop_front();
    places_.remove(r->id);
    return r;
  }

  /// Whether deliveries may stage more sends. These have the same bounds as the others and do not
  /// wait behind them; those of one delivery may exceed them.
  bool has_room_for_deliveries() const noexcept { return has_room(staged_); }

  void handle_accepted(std::size_t bytes, bool staged) noexcept {
    (staged ? staged_ : alone_).add(bytes);
    assert(invariants_hold());
  }
  void handle_ended(std::size_t bytes, bool staged) noexcept {
    (staged ? staged_ : alone_).remove(bytes);
    assert(invariants_hold());
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    std::optional<std::list<request>::iterator> at = places_.take(id);
    if (!at) return false;
    request r = std::move(**at);
    waiting_.erase(*at);
    r->end(reason, 0);
    return true;
  }
  void fail_all(std::error_code reason) {
    places_.clear();
    while (!waiting_.empty()) {
      request r = std::move(waiting_.front());
      waiting_.pop_front();
      r->end(reason, 0);
    }
  }
  /// Destroys the callers that wait.
  void abandon() {
    places_.clear();
    std::exchange(waiting_, {}).clear();
  }

  /// Accepted by a peer's core, and not ended.
  std::size_t messages() const noexcept { return alone_.messages + staged_.messages; }
  std::size_t bytes() const noexcept { return alone_.bytes + staged_.bytes; }

 private:
  struct amount {
    void add(std::size_t size) noexcept {
      ++messages;
      bytes += size;
    }
    void remove(std::size_t size) noexcept {
      assert(messages > 0 && bytes >= size);
      --messages;
      bytes -= size;
    }

    std::size_t messages = 0;
    std::size_t bytes = 0;
  };

  bool invariants_hold() const noexcept {
    return alone_.messages <= options_.uncommitted_messages &&
           alone_.bytes <= options_.uncommitted_bytes &&
           (alone_.messages > 0 || alone_.bytes == 0) &&
           (staged_.messages > 0 || staged_.bytes == 0) && places_.size() <= waiting_.size();
  }

  bool has_room(const amount& a) const noexcept {
    return a.messages < options_.uncommitted_messages && a.bytes < options_.uncommitted_bytes;
  }
  bool fits(const send_request& r) const noexcept { return fits(r, alone_); }
  bool fits(const send_request& r, const amount& beside) const noexcept {
    return beside.messages + r.messages() <= options_.uncommitted_messages &&
           beside.bytes + r.bytes() <= options_.uncommitted_bytes;
  }

  const options& options_;
  std::list<request> waiting_;
  operation_index<std::list<request>::iterator> places_;
  amount alone_;
  amount staged_;  ///< with the consumption of messages
};

}  // namespace ilm::inline v0::runtime
