#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/erased_id.hpp>
#include <ilm/network.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// The faults of a memory fabric. Probabilities are from 0 to 1, each drawn for each frame.
struct faults {
  double loss = 0;
  double repetition = 0;
  /// Delays a frame by up to `reordering_delay` more, so that later ones overtake it.
  double reordering = 0;
  /// Flips a random bit.
  double corruption = 0;
  /// The way from one peer to another, one direction.
  std::chrono::nanoseconds delay{};
  std::chrono::nanoseconds reordering_delay = std::chrono::milliseconds(10);
  /// Whether frames under way when a session ends arrive all the same, in the next one.
  bool late_frames = false;
};

/// The counts of a memory fabric's frames and faults.
struct fabric_counts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t repeated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t arrived = 0;
};

namespace detail {

/// A network event that names its peer by the fabric's copy of the id.
struct fabric_event {
  fabric_event() = default;
  fabric_event(network_event_type event_type, const void* peer_id,
               std::vector<std::byte> frame = {})
      : type(event_type), peer(peer_id), bytes(std::move(frame)) {}

  network_event_type type{};
  const void* peer = nullptr;
  std::vector<std::byte> bytes;
};

/// A peer's place in a fabric. One coroutine at a time receives.
class endpoint {
 public:
  endpoint() = default;
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;
  virtual ~endpoint() = default;

  virtual const void* id() const noexcept = 0;
  virtual std::size_t maximum_frame_size() const noexcept = 0;

  /// Frames from here to `to`, an id, go through the faults. `to` lives until it completes.
  virtual asio::awaitable<void> send(const void* to, std::vector<std::byte> frame) = 0;

  /// Gives the next event that has arrived, if there is one. Throws once the endpoint has ended.
  virtual bool take(fabric_event& next) = 0;

  /// Completes when `take` may give an event, after it gave none, or when it is cancelled.
  virtual asio::awaitable<void> wait(const asio::any_io_executor& executor) = 0;
  virtual void wake() = 0;

  /// Gives the place up; the others see the session end.
  virtual void leave() = 0;
};

/// Wakes an endpoint at a time.
class alarm {
 public:
  alarm() = default;
  alarm(const alarm&) = delete;
  alarm& operator=(const alarm&) = delete;
  virtual ~alarm() = default;

  virtual void wake_at(std::chrono::nanoseconds due, std::weak_ptr<endpoint> sleeper) = 0;
};

template <class Clock>
class clock_alarm final : public alarm {
 public:
  explicit clock_alarm(const asio::any_io_executor& executor) : timer_(executor) {}

  void wake_at(std::chrono::nanoseconds due, std::weak_ptr<endpoint> sleeper) override {
    using duration = typename Clock::duration;
    timer_.expires_at(typename Clock::time_point(std::chrono::ceil<duration>(due)));
    timer_.async_wait([sleeper = std::move(sleeper)](std::error_code failed) {
      std::shared_ptr<endpoint> alive = sleeper.lock();
      if (!failed && alive) alive->wake();
    });
  }

 private:
  typename timer_of<Clock>::type timer_;
};

/// A clock, for code that is compiled once. Times count from the clock's epoch.
struct fabric_clock {
  std::chrono::nanoseconds (*now)();
  std::unique_ptr<alarm> (*make_alarm)(const asio::any_io_executor&);
};

template <class Clock>
fabric_clock fabric_clock_of() {
  return {[] { return std::chrono::nanoseconds(Clock::now().time_since_epoch()); },
          [](const asio::any_io_executor& executor) -> std::unique_ptr<alarm> {
            return std::make_unique<clock_alarm<Clock>>(executor);
          }};
}
ILM_INLINE fabric_clock steady_fabric_clock();

/// The members of memory_fabric, for peer ids of any one type and any clock. Thread-safe.
class fabric {
 public:
  fabric() = default;
  fabric(const fabric&) = delete;
  fabric& operator=(const fabric&) = delete;
  virtual ~fabric() = default;

  virtual std::shared_ptr<endpoint> join(const void* id) = 0;
  virtual void end(const void* id) = 0;
  virtual void connect(const void* a, const void* b) = 0;
  virtual void disconnect(const void* a, const void* b) = 0;
  virtual void block(const void* from, const void* to) = 0;
  virtual void unblock(const void* from, const void* to) = 0;
  virtual void set_faults(const faults& f) = 0;
  virtual fabric_counts counts() const = 0;
  virtual void inject(const void* from, const void* to, std::vector<std::byte> bytes) = 0;
};

ILM_INLINE std::shared_ptr<fabric> make_fabric(const id_type& ids, const fabric_clock& clock,
                                               std::uint64_t seed, std::size_t maximum_frame_size);

}  // namespace detail
}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/networks/memory/hub.hpp>
#endif
