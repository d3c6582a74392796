#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/configuration.hpp>
#include <ilm/networks/tcp/interface.hpp>

#include <atomic>
#include <cassert>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

struct command {
  enum class type : std::uint8_t { add, remove, reconnect };

  command(type kind_, byte_string peer_, address where_ = {})
      : kind(kind_), peer(std::move(peer_)), where(std::move(where_)) {}

  type kind;
  byte_string peer;
  address where;
};

/// Brings commands from any thread to the strand of a network: before it runs, while it does, and
/// after it is gone, when they are dropped.
class command_queue final : public encoded_control {
 public:
  explicit command_queue(std::shared_ptr<const configuration> c) : configuration_(std::move(c)) {}

  void add_peer(byte_string id, std::string_view text) override {
    address where = parse_destination(text);
    if (id == configuration_->local_id) throw std::system_error(tcp_error::own_id);
    // An id that decodes to none would end `receive` when it is reported.
    if (!configuration_->is_valid_id(id)) throw std::system_error(error::invalid_peer_id);
    push(command(command::type::add, std::move(id), std::move(where)));
  }
  void remove_peer(byte_string id) override { push(command(command::type::remove, std::move(id))); }
  void reconnect(byte_string id) override {
    push(command(command::type::reconnect, std::move(id)));
  }

  std::uint16_t port() const noexcept override { return port_; }
  void set_port(std::uint16_t port) noexcept { port_ = port; }

  /// Has `available` called on `executor` when the queue is no longer empty. Commands from before
  /// are not announced.
  void open(asio::any_io_executor executor, std::function<void()> available) {
    std::lock_guard lock(mutex_);
    assert(available && !executor_);
    if (closed_) return;
    executor_ = std::move(executor);
    available_ = std::move(available);
    assert(invariants_hold());
  }

  std::vector<command> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(commands_, {});
  }

  /// The executor is not touched from here on: its context may be about to go.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    executor_.reset();
    available_ = {};
    commands_.clear();
    assert(invariants_hold());
  }

 private:
  bool invariants_hold() const noexcept {
    return executor_.has_value() == static_cast<bool>(available_) &&
           (!closed_ || (commands_.empty() && !executor_));
  }

  void push(command c) {
    std::lock_guard lock(mutex_);
    assert(invariants_hold());
    if (closed_) return;
    commands_.push_back(std::move(c));
    if (executor_ && commands_.size() == 1) asio::post(*executor_, available_);
  }

  const std::shared_ptr<const configuration> configuration_;
  std::atomic<std::uint16_t> port_{0};
  std::mutex mutex_;
  std::vector<command> commands_;
  std::optional<asio::any_io_executor> executor_;
  std::function<void()> available_;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
