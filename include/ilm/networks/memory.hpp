#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/cancellation.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/network.hpp>
#include <ilm/networks/memory/fabric.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

template <class PeerId, class Clock = std::chrono::steady_clock, bool Reliable = false>
class memory_network;

/// A network in memory that peers join by name, with faults drawn from a seed. All that joined have
/// sessions with each other until `disconnect`. Thread-safe; a copy is a handle to the same fabric.
template <class PeerId, class Clock = std::chrono::steady_clock, bool Reliable = false>
class memory_fabric {
 public:
  using network_type = memory_network<PeerId, Clock, Reliable>;

  explicit memory_fabric(std::uint64_t seed = 1, std::size_t maximum_frame_size = (1 << 20) + 1024)
      : fabric_(detail::make_fabric(detail::id_functions<PeerId>::type, clock(), seed,
                                    maximum_frame_size)) {}

  /// Takes the name `id` in the fabric, from its last holder if there is one.
  network_type join(const PeerId& id) { return network_type(fabric_->join(&id)); }

  void set_faults(const faults& f) requires(!Reliable) { fabric_->set_faults(f); }
  fabric_counts counts() const { return fabric_->counts(); }

  /// Ends the session of two peers; both are told. Frames under way are lost.
  void disconnect(const PeerId& a, const PeerId& b) { fabric_->disconnect(&a, &b); }
  /// Begins a session between two peers again; a session that is open ends first.
  void connect(const PeerId& a, const PeerId& b) { fabric_->connect(&a, &b); }

  /// Drops every frame from `from` to `to`, and tells nobody, until `unblock`.
  void block(const PeerId& from, const PeerId& to) { fabric_->block(&from, &to); }
  void unblock(const PeerId& from, const PeerId& to) { fabric_->unblock(&from, &to); }

  /// Ends the network for one peer, as a transport that breaks for good.
  void end(const PeerId& id) { fabric_->end(&id); }

  /// Hands `bytes` to `to` as a frame from `from`, whatever the faults: for tests of bad input.
  void inject(const PeerId& from, const PeerId& to, std::vector<std::byte> bytes) {
    fabric_->inject(&from, &to, std::move(bytes));
  }

 private:
  static detail::fabric_clock clock() {
    if constexpr (std::same_as<Clock, std::chrono::steady_clock>) {
      return detail::steady_fabric_clock();
    } else {
      return detail::fabric_clock_of<Clock>();
    }
  }

  std::shared_ptr<detail::fabric> fabric_;
};

/// One peer's place in a memory_fabric, got from `join`. Destroying it leaves the fabric.
template <class PeerId, class Clock, bool Reliable>
class memory_network {
 public:
  using clock_type = Clock;
  static constexpr bool reliable = Reliable;

  memory_network(memory_network&&) noexcept = default;
  memory_network& operator=(memory_network&& other) noexcept {
    leave();
    endpoint_ = std::move(other.endpoint_);
    return *this;
  }
  ~memory_network() { leave(); }

  PeerId local_id() const { return *static_cast<const PeerId*>(endpoint_->id()); }
  std::size_t maximum_frame_size() const { return endpoint_->maximum_frame_size(); }

  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    return endpoint_->send(&to, std::move(frame));
  }

  /// Cancelling: ends the wait; no event is lost.
  asio::awaitable<network_event<PeerId>> receive() {
    std::shared_ptr<detail::endpoint> e = endpoint_;
    detail::fabric_event next;
    for (;;) {
      asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
      detail::leave_if_cancelled(state);
      if (e->take(next)) break;
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      co_await e->wait(executor);
    }
    co_return network_event<PeerId>(next.type, *static_cast<const PeerId*>(next.peer),
                                    std::move(next.bytes));
  }

 private:
  friend memory_fabric<PeerId, Clock, Reliable>;

  explicit memory_network(std::shared_ptr<detail::endpoint> e) : endpoint_(std::move(e)) {}

  void leave() {
    if (endpoint_) endpoint_->leave();
  }

  std::shared_ptr<detail::endpoint> endpoint_;
};

ILM_INSTANCE(class memory_network<std::string>);
ILM_INSTANCE(class memory_fabric<std::string>);

}  // namespace ilm::inline v0
