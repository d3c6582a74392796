#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::testing {

/// How long frames are under way: never less than `least`.
struct frame_delay {
  enum class shape : std::uint8_t {
    constant,      ///< `least`
    uniform,       ///< `least` to `least + spread`, each equally likely
    heavy_tailed,  ///< `least` plus a Pareto draw: half within `spread`, one in a million 1000
                   ///< times
  };

  shape form = shape::constant;
  std::chrono::nanoseconds least{};
  std::chrono::nanoseconds spread{};
};

/// What a simulated network does to the frames of one direction. Probabilities are from 0 to 1,
/// each drawn for each frame.
struct link_faults {
  double loss = 0;
  double repetition = 0;
  /// Delays a frame by up to `reordering_delay` more, so that later ones overtake it.
  double reordering = 0;
  /// Flips a random bit.
  double corruption = 0;
  frame_delay delay;
  std::chrono::nanoseconds reordering_delay = std::chrono::milliseconds(10);
};

/// What a simulated network did to frames.
struct simulated_network_counts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t repeated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t arrived = 0;
};

template <class PeerId>
class simulated_network;

/// A network for simulations: peers join by name, and each direction between two of them has faults
/// of its own, drawn from one seed. It lives in one thread and in simulated time, and a test can
/// watch every frame. A copy is a handle to the same fabric.
///
/// All who joined have sessions with each other until `disconnect`. Beyond memory_fabric it has
/// delay distributions, links that clog or stall, and peers that are cut off as by a crash.
template <class PeerId>
class simulated_fabric {
 public:
  using network_type = simulated_network<PeerId>;
  using time_point = simulated_clock::time_point;
  using observer =
      std::function<void(const PeerId& from, const PeerId& to, std::span<const std::byte> frame)>;

  explicit simulated_fabric(std::uint64_t seed = 1, std::size_t maximum_frame_size = 1 << 16)
      : core_(std::make_shared<core>(seed, maximum_frame_size)) {}

  /// Takes the name `id` in the fabric, from its last holder if there is one.
  network_type join(PeerId id) { return network_type(core_, core_->join(std::move(id))); }

  /// For all directions, also those that have faults of their own.
  void set_faults(const link_faults& f) {
    core_->usual = f;
    for (auto& [name, l] : core_->links) l.rules = f;
  }
  void set_faults(const PeerId& from, const PeerId& to, const link_faults& f) {
    core_->link_of(from, to).rules = f;
  }
  /// Whether frames under way when a session ends arrive all the same, in the next one.
  void set_late_frames(bool wanted) { core_->late_frames = wanted; }

  /// Ends the session of two peers; both are told. What is under way is lost.
  void disconnect(const PeerId& a, const PeerId& b) { core_->set_session(a, b, false); }
  /// Begins a session between two peers again; a session that is open ends first.
  void connect(const PeerId& a, const PeerId& b) {
    core_->set_session(a, b, false);
    core_->set_session(a, b, true);
  }

  /// Drops every frame from `from` to `to`, and tells nobody, until `unblock`.
  void block(const PeerId& from, const PeerId& to) { core_->link_of(from, to).blocked = true; }
  void unblock(const PeerId& from, const PeerId& to) { core_->link_of(from, to).blocked = false; }

  /// Holds frames from `from` to `to` back; they arrive together at `unclog`.
  void clog(const PeerId& from, const PeerId& to) { core_->link_of(from, to).clogged = true; }
  void unclog(const PeerId& from, const PeerId& to) { core_->unclog(from, to); }

  /// Lets sends from `from` to `to` wait, as on a full transport, until `resume`.
  void stall(const PeerId& from, const PeerId& to) { core_->link_of(from, to).stalled = true; }
  void resume(const PeerId& from, const PeerId& to) { core_->resume(core_->link_of(from, to)); }

  /// Ends the network for one peer, as a transport that breaks for good, or as a crash: what its
  /// holder still sends goes nowhere.
  void end(const PeerId& id) {
    if (auto at = core_->seats.find(id); at != core_->seats.end()) core_->leave(*at->second);
  }

  /// Called with each frame that a peer sends, before the faults, and with each that arrives.
  void watch_sent(observer o) { core_->sent = std::move(o); }
  void watch_arrived(observer o) { core_->arrived = std::move(o); }

  const simulated_network_counts& counts() const noexcept { return core_->counts; }

 private:
  friend network_type;
  using event = network_event<PeerId>;
  using pair_name = std::pair<PeerId, PeerId>;

  struct arrival {
    arrival(time_point due, std::uint64_t n, event e, std::uint64_t s)
        : at(due), number(n), what(std::move(e)), session(s) {}
    /// For a heap with the earliest on top; of one moment, the first sent.
    friend bool operator<(const arrival& a, const arrival& b) noexcept {
      return std::pair(a.at, a.number) > std::pair(b.at, b.number);
    }

    time_point at;
    std::uint64_t number;
    event what;
    std::uint64_t session;  ///< 0 for what belongs to none
  };

  struct link {
    link_faults rules;
    bool blocked = false;
    bool clogged = false;
    bool stalled = false;
    std::vector<arrival> held;
    detail::completion<> waiter;  ///< a send that waits
  };

  /// One peer's place: what is under way to it.
  struct seat : std::enable_shared_from_this<seat> {
    explicit seat(PeerId who) : id(std::move(who)) {}

    void wake() {
      if (waiter) waiter();
    }

    PeerId id;
    std::vector<arrival> queue;  ///< a heap
    detail::completion<> waiter;
    std::unique_ptr<simulated_timer> timer;
    time_point armed = time_point::max();
    bool ended = false;
    bool cancelled = false;
  };

  struct core {
    core(std::uint64_t seed, std::size_t largest)
        : random(seed != 0 ? seed : ~std::uint64_t{0}), maximum(largest) {}

    std::shared_ptr<seat> join(PeerId id) {
      if (auto old = seats.find(id); old != seats.end()) leave(*old->second);
      auto made = std::make_shared<seat>(id);
      for (auto& [other, s] : seats) open_session(*made, *s);
      seats.emplace(std::move(id), made);
      return made;
    }

    void leave(seat& gone) {
      auto at = seats.find(gone.id);
      if (at == seats.end() || at->second.get() != &gone) return;
      std::shared_ptr<seat> keep = at->second;
      seats.erase(at);
      for (auto& [other, s] : seats) close_session(gone, *s);
      gone.ended = true;
      gone.wake();
    }

    link& link_of(const PeerId& from, const PeerId& to) {
      auto at = links.find(pair_name(from, to));
      if (at == links.end()) {
        at = links.try_emplace(pair_name(from, to)).first;
        at->second.rules = usual;
      }
      return at->second;
    }

    void set_session(const PeerId& a, const PeerId& b, bool open) {
      if (open) {
        cut.erase(ordered(a, b));
      } else {
        cut.insert(ordered(a, b));
      }
      auto first = seats.find(a);
      auto second = seats.find(b);
      if (first == seats.end() || second == seats.end()) return;
      open ? open_session(*first->second, *second->second)
           : close_session(*first->second, *second->second);
    }

    void open_session(seat& a, seat& b) {
      if (cut.contains(ordered(a.id, b.id))) return;
      sessions[ordered(a.id, b.id)] = ++session_numbers;
      put(a, simulated_clock::now(), event::up(b.id), 0);
      put(b, simulated_clock::now(), event::up(a.id), 0);
    }

    void close_session(seat& a, seat& b) {
      if (sessions.erase(ordered(a.id, b.id)) == 0) return;
      put(a, simulated_clock::now(), event::down(b.id), 0);
      put(b, simulated_clock::now(), event::down(a.id), 0);
    }

    void unclog(const PeerId& from, const PeerId& to) {
      link& l = link_of(from, to);
      l.clogged = false;
      auto at = seats.find(to);
      for (arrival& a : std::exchange(l.held, {})) {
        if (at == seats.end()) break;
        put(*at->second, std::max(a.at, simulated_clock::now()), std::move(a.what), a.session);
      }
    }

    void resume(link& l) {
      l.stalled = false;
      if (l.waiter) l.waiter();
    }

    void send(const seat& sender, const PeerId& to, std::vector<std::byte> frame) {
      if (sender.ended) return;
      const PeerId& from = sender.id;
      ++counts.sent;
      if (sent) sent(from, to, frame);
      link& l = link_of(from, to);
      auto session = sessions.find(ordered(from, to));
      auto at = seats.find(to);
      if (session == sessions.end() || at == seats.end() || l.blocked || draw(l.rules.loss)) {
        ++counts.lost;
        return;
      }
      if (draw(l.rules.repetition)) {
        ++counts.repeated;
        pass(l, *at->second, from, frame, session->second);
      }
      pass(l, *at->second, from, std::move(frame), session->second);
    }

    /// One copy of a frame goes its way.
    void pass(link& l, seat& to, const PeerId& from, std::vector<std::byte> frame,
              std::uint64_t session) {
      time_point due = simulated_clock::now() + draw(l.rules.delay);
      if (draw(l.rules.reordering)) {
        ++counts.reordered;
        due += std::chrono::nanoseconds(below(l.rules.reordering_delay.count() + 1));
      }
      if (draw(l.rules.corruption) && !frame.empty()) {
        ++counts.corrupted;
        frame[next() % frame.size()] ^= static_cast<std::byte>(1U << next() % 8);
      }
      event e = event::frame(from, std::move(frame));
      if (l.clogged) {
        l.held.emplace_back(due, 0, std::move(e), session);
      } else {
        put(to, due, std::move(e), session);
      }
    }

    void put(seat& to, time_point due, event e, std::uint64_t session) {
      to.queue.emplace_back(due, ++arrival_numbers, std::move(e), session);
      std::push_heap(to.queue.begin(), to.queue.end());
      if (due <= simulated_clock::now()) {
        to.wake();
      } else if (to.waiter) {
        arm(to, due);
      }
    }

    /// Has the receiver woken at `due`, unless it will be woken before.
    static void arm(seat& s, time_point due) {
      if (due >= s.armed || !s.timer) return;
      s.armed = due;
      s.timer->expires_at(due);
      s.timer->async_wait([keep = s.weak_from_this()](std::error_code failed) {
        std::shared_ptr<seat> at = keep.lock();
        if (failed || !at) return;
        at->armed = time_point::max();
        at->wake();
      });
    }

    /// The next event that has arrived, if there is any.
    std::optional<event> take(seat& at) {
      while (!at.queue.empty() && at.queue.front().at <= simulated_clock::now()) {
        std::pop_heap(at.queue.begin(), at.queue.end());
        arrival a = std::move(at.queue.back());
        at.queue.pop_back();
        if (a.session != 0) {
          auto session = sessions.find(ordered(at.id, a.what.peer));
          bool open = session != sessions.end();
          if (!open || (session->second != a.session && !late_frames)) {
            ++counts.lost;
            continue;
          }
          ++counts.arrived;
          if (arrived) arrived(a.what.peer, at.id, a.what.bytes);
        }
        return std::move(a.what);
      }
      return std::nullopt;
    }

    static pair_name ordered(const PeerId& a, const PeerId& b) {
      return a < b ? pair_name(a, b) : pair_name(b, a);
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
    std::uint64_t next() noexcept {
      random ^= random >> 12;
      random ^= random << 25;
      random ^= random >> 27;
      return random * 0x2545f4914f6cdd1d;
    }
    std::int64_t below(std::int64_t bound) noexcept {
      return bound <= 0 ? 0 : static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(bound));
    }
    bool draw(double probability) noexcept {
      if (probability <= 0) return false;
      return static_cast<double>(next() >> 11) < probability * 0x1p53;
    }
    std::chrono::nanoseconds draw(const frame_delay& d) noexcept {
      switch (d.form) {
        case frame_delay::shape::uniform:
          return d.least + std::chrono::nanoseconds(below(d.spread.count() + 1));
        case frame_delay::shape::heavy_tailed: {
          // Pareto with exponent 2, from 0: half the draws are below spread.
          double u = (static_cast<double>(next() >> 11) + 1) * 0x1p-53;
          double times = (1 / std::sqrt(u) - 1) / 0.41421356237;
          return d.least + std::chrono::nanoseconds(static_cast<std::int64_t>(
                               static_cast<double>(d.spread.count()) * std::min(times, 1000.0)));
        }
        case frame_delay::shape::constant:
          break;
      }
      return d.least;
    }

    std::uint64_t random;
    std::size_t maximum;
    link_faults usual;
    bool late_frames = false;
    simulated_network_counts counts;
    observer sent;
    observer arrived;
    std::map<PeerId, std::shared_ptr<seat>> seats;
    std::map<pair_name, link> links;
    std::map<pair_name, std::uint64_t> sessions;
    std::set<pair_name> cut;
    std::uint64_t session_numbers = 0;
    std::uint64_t arrival_numbers = 0;
  };

  std::shared_ptr<core> core_;
};

/// One peer's place in a simulated_fabric, got from `join`: models `network`. Destroying it leaves
/// the fabric.
template <class PeerId>
class simulated_network {
  using fabric = simulated_fabric<PeerId>;
  using core = typename fabric::core;
  using seat = typename fabric::seat;
  using link = typename fabric::link;

 public:
  using clock_type = simulated_clock;
  static constexpr bool reliable = false;

  simulated_network(simulated_network&&) noexcept = default;
  simulated_network& operator=(simulated_network&& other) noexcept {
    leave();
    core_ = std::move(other.core_);
    seat_ = std::move(other.seat_);
    return *this;
  }
  ~simulated_network() { leave(); }

  PeerId local_id() const { return seat_->id; }
  std::size_t maximum_frame_size() const { return core_->maximum; }

  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    std::shared_ptr<core> c = core_;
    std::shared_ptr<seat> s = seat_;
    link& l = c->link_of(s->id, to);
    while (l.stalled && !s->ended) {
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          wait_for_room(c, s, l, std::move(executor)), asio::use_awaitable);
      if (s->cancelled) throw std::system_error(asio::error::operation_aborted);
    }
    c->send(*s, to, std::move(frame));
  }

  asio::awaitable<network_event<PeerId>> receive() {
    std::shared_ptr<core> c = core_;
    std::shared_ptr<seat> s = seat_;
    for (;;) {
      if (s->cancelled) throw std::system_error(asio::error::operation_aborted);
      if (s->ended) throw std::system_error(error::network_ended);
      if (std::optional<network_event<PeerId>> e = c->take(*s)) co_return std::move(*e);
      asio::any_io_executor executor = co_await asio::this_coro::executor;
      if (!s->timer) s->timer = std::make_unique<simulated_timer>(executor);
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
          wait_for_arrival(c, s, std::move(executor)), asio::use_awaitable);
    }
  }

 private:
  friend fabric;

  simulated_network(std::shared_ptr<core> c, std::shared_ptr<seat> s)
      : core_(std::move(c)), seat_(std::move(s)) {}

  class wait_for_arrival {
   public:
    wait_for_arrival(std::shared_ptr<core> c, std::shared_ptr<seat> s, asio::any_io_executor e)
        : core_(std::move(c)), seat_(std::move(s)), executor_(std::move(e)) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([s = std::weak_ptr<seat>(seat_)](asio::cancellation_type) {
          std::shared_ptr<seat> at = s.lock();
          if (!at) return;
          at->cancelled = true;
          at->wake();
        });
      }
      seat_->waiter = detail::completion<>(std::forward<Handler>(handler), executor_);
      if (!seat_->queue.empty()) core_->arm(*seat_, seat_->queue.front().at);
    }

   private:
    std::shared_ptr<core> core_;
    std::shared_ptr<seat> seat_;
    asio::any_io_executor executor_;
  };

  class wait_for_room {
   public:
    wait_for_room(std::shared_ptr<core> c, std::shared_ptr<seat> s, link& l,
                  asio::any_io_executor e)
        : core_(std::move(c)), seat_(std::move(s)), link_(&l), executor_(std::move(e)) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        // Links live as long as the core.
        slot.assign([c = std::weak_ptr<core>(core_), s = std::weak_ptr<seat>(seat_),
                     l = link_](asio::cancellation_type) {
          std::shared_ptr<core> alive = c.lock();
          std::shared_ptr<seat> at = s.lock();
          if (!alive || !at) return;
          at->cancelled = true;
          if (l->waiter) l->waiter();
        });
      }
      link_->waiter = detail::completion<>(std::forward<Handler>(handler), executor_);
    }

   private:
    std::shared_ptr<core> core_;
    std::shared_ptr<seat> seat_;
    link* link_;
    asio::any_io_executor executor_;
  };

  void leave() {
    if (core_) core_->leave(*seat_);
  }

  std::shared_ptr<core> core_;
  std::shared_ptr<seat> seat_;
};

}  // namespace ilm::testing
