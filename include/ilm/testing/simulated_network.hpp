#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_fabric_core.hpp>
#include <ilm/testing/simulated_faults.hpp>
#include <ilm/testing/simulated_waits.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

/// One peer's place in a simulated_fabric, got from `join`: models `network`. Destroying it leaves
/// the fabric.
template <class PeerId>
class simulated_network {
  using core = simulated_fabric_core<PeerId>;
  using endpoint = simulated_endpoint<PeerId>;

 public:
  using clock_type = simulated_clock;
  static constexpr bool reliable = false;

  simulated_network(simulated_network&&) noexcept = default;
  simulated_network& operator=(simulated_network&& other) noexcept {
    leave();
    core_ = std::move(other.core_);
    endpoint_ = std::move(other.endpoint_);
    return *this;
  }
  ~simulated_network() { leave(); }

  PeerId local_id() const { return endpoint_->id; }
  std::size_t maximum_frame_size() const { return core_->maximum_frame_size; }

  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    std::shared_ptr<core> c = core_;
    std::shared_ptr<endpoint> e = endpoint_;
    // A link lives as long as the core.
    std::shared_ptr<send_gate> gate(c, &c->link_of(e->id, to).gate);
    while (gate->stalled() && !e->ended()) {
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          wait_for_room(e, gate, std::move(executor)), asio::use_awaitable);
      if (e->cancelled()) throw std::system_error(asio::error::operation_aborted);
    }
    c->send(*e, to, std::move(frame));
  }

  asio::awaitable<network_event<PeerId>> receive() {
    std::shared_ptr<core> c = core_;
    std::shared_ptr<endpoint> e = endpoint_;
    for (;;) {
      if (e->cancelled()) throw std::system_error(asio::error::operation_aborted);
      if (e->ended()) throw std::system_error(error::network_ended);
      if (std::optional<network_event<PeerId>> next = c->poll_event(*e)) co_return std::move(*next);
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      e->use_timer_on(executor);
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          wait_for_arrival(e, e->first_due(), std::move(executor)), asio::use_awaitable);
    }
  }

 private:
  template <class>
  friend class simulated_fabric;

  simulated_network(std::shared_ptr<core> c, std::shared_ptr<endpoint> e)
      : core_(std::move(c)), endpoint_(std::move(e)) {}

  void leave() {
    if (core_) core_->leave(*endpoint_);
  }

  std::shared_ptr<core> core_;
  std::shared_ptr<endpoint> endpoint_;
};

/// A network for simulations: peers join by name, and each direction between two of them has faults
/// of its own, drawn from one seed. It lives in one thread and in simulated time, and a test can
/// watch every frame. A copy is a handle to the same fabric.
///
/// All peers that joined have sessions with each other until `disconnect`. Beyond memory_fabric it
/// has delay distributions, links that clog or stall, and peers that are cut off as by a crash.
template <class PeerId>
class simulated_fabric {
 public:
  using network_type = simulated_network<PeerId>;
  using time_point = simulated_clock::time_point;
  using observer = typename simulated_fabric_core<PeerId>::observer;

  static constexpr std::size_t default_maximum_frame_size = 1 << 16;

  explicit simulated_fabric(std::uint64_t seed = 1,
                            std::size_t maximum_frame_size = default_maximum_frame_size)
      : core_(std::make_shared<simulated_fabric_core<PeerId>>(seed, maximum_frame_size)) {}

  /// Takes the name `id` in the fabric, from its last holder if there is one.
  network_type join(PeerId id) { return network_type(core_, core_->join(std::move(id))); }

  /// For all directions, also those that have faults of their own.
  void set_faults(const link_faults& f) { core_->set_faults(f); }
  void set_faults(const PeerId& from, const PeerId& to, const link_faults& f) {
    core_->link_of(from, to).rules = f;
  }
  /// Whether frames under way when a session ends arrive all the same, in the next one.
  void set_late_frames(bool wanted) { core_->late_frames = wanted; }

  /// Ends the session of two peers; both get a `down`. Frames under way are lost.
  void disconnect(const PeerId& a, const PeerId& b) { core_->set_session(a, b, false); }
  /// Begins a session between two peers again; a session that is open ends first.
  void connect(const PeerId& a, const PeerId& b) {
    core_->set_session(a, b, false);
    core_->set_session(a, b, true);
  }

  /// Drops every frame from `from` to `to`, without an event, until `unblock`.
  void block(const PeerId& from, const PeerId& to) { core_->link_of(from, to).blocked = true; }
  void unblock(const PeerId& from, const PeerId& to) { core_->link_of(from, to).blocked = false; }

  /// Holds frames from `from` to `to` back; they arrive together at `unclog`.
  void clog(const PeerId& from, const PeerId& to) { core_->link_of(from, to).clogged = true; }
  void unclog(const PeerId& from, const PeerId& to) { core_->unclog(from, to); }

  /// Lets sends from `from` to `to` wait, as on a full transport, until `resume`.
  void stall(const PeerId& from, const PeerId& to) { core_->link_of(from, to).gate.stall(); }
  void resume(const PeerId& from, const PeerId& to) { core_->link_of(from, to).gate.resume(); }

  /// Hands `to` a frame in the name of `from` after `delay`, past all faults: an old one that the
  /// network kept, or one of somebody who pretends to be `from`. It arrives in whichever session
  /// the two have then, and is dropped without one.
  void inject(const PeerId& from, const PeerId& to, std::vector<std::byte> frame,
              simulated_clock::duration delay = {}) {
    core_->inject(from, to, std::move(frame), delay);
  }

  /// Ends the network for one peer, as a transport that breaks for good, or as a crash: its later
  /// sends have no effect.
  void end(const PeerId& id) { core_->end(id); }

  /// Called with each frame that a peer sends, before the faults, and with each of these that
  /// arrives; and with each that was injected, when that arrives.
  void watch_sent(observer o) { core_->sent = std::move(o); }
  void watch_arrived(observer o) { core_->arrived = std::move(o); }
  void watch_injected(observer o) { core_->injected = std::move(o); }

  const simulated_network_counts& counts() const noexcept { return core_->counts; }

 private:
  std::shared_ptr<simulated_fabric_core<PeerId>> core_;
};

}  // namespace ilm::inline v0::testing
