#pragma once

#include <cassert>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace ilm::inline v0 {

/// How the application ended a delivery, where a delivery returns more than nothing.
class outcome {
 public:
  enum class kind : std::uint8_t { consumed, retry, skipped };

  /// The application is done with the message.
  outcome() = default;
  static outcome consumed() { return {}; }

  /// Not now: nothing that the delivery sent or changed is stored, and the message is offered again
  /// after this time, but not sooner than options::minimum_redelivery_delay. Nothing from its peer
  /// overtakes it. Event delivery_failed, with error::delivery_postponed and the reason.
  static outcome retry(std::chrono::nanoseconds after, std::string reason = {}) {
    outcome o(kind::retry, std::move(reason));
    o.after_ = after;
    return o;
  }

  /// The application gives the message up: it counts as consumed, with all that the delivery sent
  /// and changed (a copy to whoever looks into it, say), and is not offered again. Event
  /// message_skipped, with the reason.
  static outcome skip(std::string reason) { return outcome(kind::skipped, std::move(reason)); }

  kind is() const noexcept { return kind_; }
  std::chrono::nanoseconds after() const noexcept {
    assert(kind_ == kind::retry);
    return after_;
  }
  const std::string& reason() const noexcept { return reason_; }

 private:
  outcome(kind k, std::string reason) : kind_(k), reason_(std::move(reason)) {}

  kind kind_ = kind::consumed;
  std::chrono::nanoseconds after_{};
  std::string reason_;
};

}  // namespace ilm::inline v0
