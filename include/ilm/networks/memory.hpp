#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

/// What a memory fabric does to frames. Probabilities are from 0 to 1, each drawn for each frame.
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

/// What a memory fabric did to frames.
struct fabric_counts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t repeated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t arrived = 0;
};

template <class PeerId, class Clock = std::chrono::steady_clock, bool Reliable = false>
class memory_network;

/// A network in memory that peers join by name, with faults drawn from a seed. All who joined have
/// sessions with each other until `disconnect`. Thread-safe; a copy is a handle to the same fabric.
template <class PeerId, class Clock = std::chrono::steady_clock, bool Reliable = false>
class memory_fabric {
 public:
  using network_type = memory_network<PeerId, Clock, Reliable>;

  explicit memory_fabric(std::uint64_t seed = 1, std::size_t maximum_frame_size = (1 << 20) + 1024)
      : core_(std::make_shared<core>(seed, maximum_frame_size)) {}

  /// Takes the name `id` in the fabric, from its last holder if there is one.
  network_type join(PeerId id) { return network_type(core_, core_->join(std::move(id))); }

  void set_faults(const faults& f) requires(!Reliable) {
    std::lock_guard lock(core_->mutex);
    core_->rules = f;
  }
  fabric_counts counts() const {
    std::lock_guard lock(core_->mutex);
    return core_->counts;
  }

  /// Ends the session of two peers; both are told. What is under way is lost.
  void disconnect(const PeerId& a, const PeerId& b) { core_->set_session(a, b, false); }
  /// Begins a session between two peers again; a session that is open ends first.
  void connect(const PeerId& a, const PeerId& b) {
    core_->set_session(a, b, false);
    core_->set_session(a, b, true);
  }

  /// Drops every frame from `from` to `to`, and tells nobody, until `unblock`.
  void block(const PeerId& from, const PeerId& to) {
    std::lock_guard lock(core_->mutex);
    core_->blocked.emplace(from, to);
  }
  void unblock(const PeerId& from, const PeerId& to) {
    std::lock_guard lock(core_->mutex);
    core_->blocked.erase({from, to});
  }

  /// Ends the network for one peer, as a transport that breaks for good.
  void end(const PeerId& id) { core_->end(id); }

  /// Hands `bytes` to `to` as a frame from `from`, whatever the faults: for tests of bad input.
  void inject(const PeerId& from, const PeerId& to, std::vector<std::byte> bytes) {
    std::lock_guard lock(core_->mutex);
    if (auto at = core_->seats.find(to); at != core_->seats.end()) {
      core_->put(*at->second, Clock::now(), network_event<PeerId>::frame(from, std::move(bytes)),
                 0);
    }
  }

 private:
  friend network_type;
  using event = network_event<PeerId>;
  using time_point = typename Clock::time_point;

  struct arrival {
    arrival(event e, std::uint64_t s) : what(std::move(e)), session(s) {}
    event what;
    std::uint64_t session;  ///< 0 for what belongs to none
  };

  /// One peer's place: what is under way to it, in order of arrival.
  struct seat {
    explicit seat(PeerId who) : id(std::move(who)) {}

    PeerId id;
    std::multimap<time_point, arrival> queue;
    detail::completion<> waiter;
    bool ended = false;
    bool cancelled = false;

    void wake() {
      if (waiter) waiter();
    }
  };

  struct core {
    /// The generator never leaves 0.
    core(std::uint64_t seed, std::size_t largest)
        : random(seed != 0 ? seed : ~std::uint64_t{0}), maximum(largest) {}

    std::shared_ptr<seat> join(PeerId id) {
      std::lock_guard lock(mutex);
      if (auto old = seats.find(id); old != seats.end()) leave(*old->second);
      auto made = std::make_shared<seat>(id);
      for (auto& [other, s] : seats) open_session(*made, *s);
      seats.emplace(std::move(id), made);
      return made;
    }

    /// Gives the place up; the others see the session end.
    void leave(seat& gone) {
      auto at = seats.find(gone.id);
      if (at == seats.end() || at->second.get() != &gone) return;
      std::shared_ptr<seat> keep = at->second;
      seats.erase(at);
      for (auto& [other, s] : seats) close_session(gone, *s);
      gone.ended = true;
      gone.wake();
    }

    void end(const PeerId& id) {
      std::lock_guard lock(mutex);
      if (auto at = seats.find(id); at != seats.end()) leave(*at->second);
    }

    void set_session(const PeerId& a, const PeerId& b, bool open) {
      std::lock_guard lock(mutex);
      auto first = seats.find(a);
      auto second = seats.find(b);
      if (!open) cut.insert(pair_of(a, b));
      if (open) cut.erase(pair_of(a, b));
      if (first == seats.end() || second == seats.end()) return;
      open ? open_session(*first->second, *second->second)
           : close_session(*first->second, *second->second);
    }

    void open_session(seat& a, seat& b) {
      if (cut.contains(pair_of(a.id, b.id))) return;
      sessions[pair_of(a.id, b.id)] = ++session_numbers;
      put(a, Clock::now(), event::up(b.id), 0);
      put(b, Clock::now(), event::up(a.id), 0);
    }

    void close_session(seat& a, seat& b) {
      if (sessions.erase(pair_of(a.id, b.id)) == 0) return;
      put(a, Clock::now(), event::down(b.id), 0);
      put(b, Clock::now(), event::down(a.id), 0);
    }

    void send(const seat& sender, const PeerId& to, std::vector<std::byte> frame) {
      std::lock_guard lock(mutex);
      if (sender.ended) return;
      const PeerId& from = sender.id;
      ++counts.sent;
      auto session = sessions.find(pair_of(from, to));
      auto at = seats.find(to);
      if (session == sessions.end() || at == seats.end() || blocked.contains({from, to}) ||
          draw(rules.loss)) {
        ++counts.lost;
        return;
      }
      if (draw(rules.repetition)) {
        ++counts.repeated;
        dispatch(*at->second, from, frame, session->second);
      }
      dispatch(*at->second, from, std::move(frame), session->second);
    }

    void dispatch(seat& to, const PeerId& from, std::vector<std::byte> frame,
                  std::uint64_t session) {
      auto due = Clock::now() + std::chrono::duration_cast<typename Clock::duration>(rules.delay);
      if (draw(rules.reordering)) {
        ++counts.reordered;
        due += std::chrono::duration_cast<typename Clock::duration>(std::chrono::nanoseconds(
            next() % static_cast<std::uint64_t>(rules.reordering_delay.count() + 1)));
      }
      if (draw(rules.corruption) && !frame.empty()) {
        ++counts.corrupted;
        frame[next() % frame.size()] ^= static_cast<std::byte>(1U << next() % 8);
      }
      put(to, due, event::frame(from, std::move(frame)), session);
    }

    void put(seat& to, time_point due, event e, std::uint64_t session) {
      to.queue.emplace(due, arrival(std::move(e), session));
      to.wake();
    }

    /// The next event that has arrived; otherwise none, and `next_due` tells when to look again.
    std::optional<event> take(seat& at, time_point& next_due) {
      while (!at.queue.empty()) {
        auto first = at.queue.begin();
        if (first->first > Clock::now()) {
          next_due = first->first;
          return std::nullopt;
        }
        arrival a = std::move(first->second);
        at.queue.erase(first);
        if (a.session != 0) {
          auto session = sessions.find(pair_of(at.id, a.what.peer));
          bool open = session != sessions.end();
          if (!open || (session->second != a.session && !rules.late_frames)) {
            ++counts.lost;
            continue;
          }
          ++counts.arrived;
        }
        return std::move(a.what);
      }
      next_due = time_point::max();
      return std::nullopt;
    }

    static std::pair<PeerId, PeerId> pair_of(const PeerId& a, const PeerId& b) {
      return a < b ? std::pair(a, b) : std::pair(b, a);
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
    std::uint64_t next() {
      random ^= random >> 12;
      random ^= random << 25;
      random ^= random >> 27;
      return random * 0x2545f4914f6cdd1d;
    }
    bool draw(double probability) {
      if (probability <= 0) return false;
      return static_cast<double>(next() >> 11) < probability * 0x1p53;
    }

    std::mutex mutex;
    std::uint64_t random;
    std::size_t maximum;
    faults rules;
    fabric_counts counts;
    std::map<PeerId, std::shared_ptr<seat>> seats;
    std::map<std::pair<PeerId, PeerId>, std::uint64_t> sessions;
    std::set<std::pair<PeerId, PeerId>> cut;
    std::set<std::pair<PeerId, PeerId>> blocked;
    std::uint64_t session_numbers = 0;
  };

  std::shared_ptr<core> core_;
};

/// One peer's place in a memory_fabric, got from `join`. Destroying it leaves the fabric.
template <class PeerId, class Clock, bool Reliable>
class memory_network {
  using fabric = memory_fabric<PeerId, Clock, Reliable>;
  using core = typename fabric::core;
  using seat = typename fabric::seat;

 public:
  using clock_type = Clock;
  static constexpr bool reliable = Reliable;

  memory_network(memory_network&&) noexcept = default;
  memory_network& operator=(memory_network&& other) noexcept {
    leave();
    core_ = std::move(other.core_);
    seat_ = std::move(other.seat_);
    timer_ = std::move(other.timer_);
    return *this;
  }
  ~memory_network() { leave(); }

  PeerId local_id() const { return seat_->id; }
  std::size_t maximum_frame_size() const { return core_->maximum; }

  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    core_->send(*seat_, to, std::move(frame));
    co_return;
  }

  asio::awaitable<network_event<PeerId>> receive() {
    std::shared_ptr<core> c = core_;
    std::shared_ptr<seat> s = seat_;
    for (;;) {
      typename Clock::time_point due{};
      {
        std::lock_guard lock(c->mutex);
        if (s->cancelled) throw std::system_error(asio::error::operation_aborted);
        if (s->ended) throw std::system_error(error::network_ended);
        if (std::optional<network_event<PeerId>> e = c->take(*s, due)) co_return std::move(*e);
      }
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      arm(executor, due);
      wait_for wait(c, s, std::move(executor), due);
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(wait),
                                                                            asio::use_awaitable);
    }
  }

 private:
  friend fabric;
  using timer_type = typename timer_of<Clock>::type;

  memory_network(std::shared_ptr<core> c, std::shared_ptr<seat> s)
      : core_(std::move(c)), seat_(std::move(s)) {}

  /// Parks the receiver until something arrives, unless something did meanwhile.
  class wait_for {
   public:
    wait_for(std::shared_ptr<core> c, std::shared_ptr<seat> s, asio::any_io_executor executor,
             typename Clock::time_point due)
        : core_(std::move(c)), seat_(std::move(s)), executor_(std::move(executor)), due_(due) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([c = std::weak_ptr<core>(core_),
                     s = std::weak_ptr<seat>(seat_)](asio::cancellation_type) {
          auto alive = c.lock();
          auto at = s.lock();
          if (!alive || !at) return;
          std::lock_guard lock(alive->mutex);
          at->cancelled = true;
          at->wake();
        });
      }
      std::lock_guard lock(core_->mutex);
      seat_->waiter = detail::completion<>(std::forward<Handler>(handler), executor_);
      bool sooner = !seat_->queue.empty() && seat_->queue.begin()->first < due_;
      if (sooner || seat_->ended || seat_->cancelled) seat_->wake();
    }

   private:
    std::shared_ptr<core> core_;
    std::shared_ptr<seat> seat_;
    asio::any_io_executor executor_;
    typename Clock::time_point due_;
  };

  /// Has the seat woken when the next frame under way arrives.
  void arm(const asio::any_io_executor& executor, typename Clock::time_point due) {
    if (due == Clock::time_point::max()) return;
    if (!timer_) timer_ = std::make_unique<timer_type>(executor);
    timer_->expires_at(due);
    timer_->async_wait([c = core_, s = std::weak_ptr<seat>(seat_)](std::error_code failed) {
      auto at = s.lock();
      if (failed || !at) return;
      std::lock_guard lock(c->mutex);
      at->wake();
    });
  }

  void leave() {
    if (!core_) return;
    std::lock_guard lock(core_->mutex);
    core_->leave(*seat_);
  }

  std::shared_ptr<core> core_;
  std::shared_ptr<seat> seat_;
  std::unique_ptr<timer_type> timer_;
};

}  // namespace ilm
