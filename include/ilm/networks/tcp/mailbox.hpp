#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/address.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace ilm::detail::tcp {

template <class PeerId>
struct command {
  enum class type : std::uint8_t { add, remove, reconnect };

  command(type what, PeerId whom, address at = {})
      : kind(what), peer(std::move(whom)), where(std::move(at)) {}

  type kind;
  PeerId peer;
  address where;
};

/// Brings commands from any thread to the strand of a network, before it runs, while it does and
/// after it is gone; then they are dropped.
template <class PeerId>
class mailbox {
 public:
  explicit mailbox(PeerId id) : local_id(std::move(id)) {}

  const PeerId local_id;
  std::atomic<std::uint16_t> port{0};

  void put(command<PeerId> c) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    commands_.push_back(std::move(c));
    if (executor_ && commands_.size() == 1) asio::post(*executor_, take_);
  }

  std::vector<command<PeerId>> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(commands_, {});
  }

  /// Has `take` called on `executor` when there is something to take.
  void open(asio::any_io_executor executor, std::function<void()> take) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    executor_ = std::move(executor);
    take_ = std::move(take);
  }

  /// The executor must not be touched from here on: its context may be about to go.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    executor_.reset();
    take_ = {};
    commands_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<command<PeerId>> commands_;
  std::optional<asio::any_io_executor> executor_;
  std::function<void()> take_;
  bool closed_ = false;
};

}  // namespace ilm::detail::tcp
