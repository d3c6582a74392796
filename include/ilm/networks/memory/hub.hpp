#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/networks/memory/fabric.hpp>
#include <ilm/networks/memory/fault_source.hpp>
#include <ilm/networks/memory/session_table.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// One stay of a peer in a fabric: frames and events under way to it, in order of arrival, and the
/// receiver that waits for them. The hub's lock guards it, and the receiver is posted with it: that
/// leads nowhere back here, and a receiver that cannot be posted waits on.
struct seat {
  using time = std::chrono::nanoseconds;

  struct arrival {
    arrival(fabric_event e, std::uint64_t s) : event(std::move(e)), session(s) {}
    fabric_event event;
    std::uint64_t session;  ///< 0 for an event that belongs to none
  };

  seat(const void* own_id, session_table::peer own_number) : id(own_id), number(own_number) {}

  void wake() {
    if (waiter) waiter();
  }

  const void* id;
  session_table::peer number;
  std::multimap<time, arrival> queue;
  completion<> waiter;
  time looks_again = time::max();  ///< at which a receiver that waits is woken
  bool ended = false;
};

/// The peers of a fabric, their sessions, and the faults between them.
class hub final : public fabric, public std::enable_shared_from_this<hub> {
 public:
  using time = seat::time;

  hub(const id_type& ids, const fabric_clock& clock, std::uint64_t seed, std::size_t maximum)
      : ids_(ids), clock_(clock), maximum_(maximum), random_(seed), peers_(id_less(ids)) {}

  std::shared_ptr<endpoint> join(const void* id) override;

  void end(const void* id) override {
    std::lock_guard lock(mutex_);
    if (seat* last = seat_of(id)) vacate(*last);
  }

  void disconnect(const void* a, const void* b) override {
    std::lock_guard lock(mutex_);
    sessions_.cut(number_of(a), number_of(b));
    close_session(a, b);
  }

  void connect(const void* a, const void* b) override {
    std::lock_guard lock(mutex_);
    sessions_.mend(number_of(a), number_of(b));
    close_session(a, b);
    seat* first = seat_of(a);
    seat* second = seat_of(b);
    if (first && second) open_session(*first, *second);
  }

  void block(const void* from, const void* to) override {
    std::lock_guard lock(mutex_);
    blocked_.emplace(number_of(from), number_of(to));
  }
  void unblock(const void* from, const void* to) override {
    std::lock_guard lock(mutex_);
    blocked_.erase({number_of(from), number_of(to)});
  }

  void set_faults(const faults& f) override {
    std::lock_guard lock(mutex_);
    faults_ = f;
  }
  fabric_counts counts() const override {
    std::lock_guard lock(mutex_);
    return counts_;
  }

  void inject(const void* from, const void* to, std::vector<std::byte> bytes) override {
    std::lock_guard lock(mutex_);
    if (seat* receiver = seat_of(to)) {
      put(*receiver, clock_.now(),
          fabric_event(network_event_type::frame, key_of(from), std::move(bytes)), 0);
    }
  }

  // For an endpoint, about its seat.

  const fabric_clock& clock() const noexcept { return clock_; }
  std::size_t maximum_frame_size() const noexcept { return maximum_; }

  void leave(seat& gone) noexcept {
    std::lock_guard lock(mutex_);
    vacate(gone);
  }

  void send(const seat& sender, const void* to, std::vector<std::byte> frame) {
    std::lock_guard lock(mutex_);
    if (sender.ended) return;
    ++counts_.sent;
    seat* receiver = seat_of(to);
    std::uint64_t session = receiver ? sessions_.find(sender.number, receiver->number) : 0;
    if (session == 0 || is_blocked(sender, *receiver) || random_.draw(faults_.loss)) {
      ++counts_.lost;
      return;
    }
    if (random_.draw(faults_.repetition)) {
      ++counts_.repeated;
      dispatch(sender, *receiver, frame, session);
    }
    dispatch(sender, *receiver, std::move(frame), session);
  }

  bool take(seat& at, fabric_event& next) {
    std::lock_guard lock(mutex_);
    if (at.ended) throw std::system_error(error::network_ended);
    while (!at.queue.empty()) {
      auto first = at.queue.begin();
      at.looks_again = first->first;
      if (first->first > clock_.now()) return false;
      seat::arrival arrived = std::move(first->second);
      at.queue.erase(first);
      if (!still_arrives(at, arrived)) continue;
      next = std::move(arrived.event);
      return true;
    }
    at.looks_again = time::max();
    return false;
  }

  /// Keeps the receiver that waits, unless an event came since it looked.
  void park(seat& at, completion<> waiter) {
    std::lock_guard lock(mutex_);
    at.waiter = std::move(waiter);
    bool sooner = !at.queue.empty() && at.queue.begin()->first < at.looks_again;
    if (sooner || at.ended) at.wake();
  }

  void wake(seat& at) {
    std::lock_guard lock(mutex_);
    at.wake();
  }

 private:
  struct peer {
    explicit peer(session_table::peer n) : number(n) {}
    session_table::peer number;
    std::shared_ptr<seat> present;
  };

  id_map<peer>::iterator find_or_add(const void* id) {
    auto at = peers_.find(id);
    if (at != peers_.end()) return at;
    return peers_.emplace(ids_.copy(id), peer(next_number_++)).first;
  }
  session_table::peer number_of(const void* id) { return find_or_add(id)->second.number; }
  const void* key_of(const void* id) { return find_or_add(id)->first.get(); }
  /// Null for a peer that is not here.
  seat* seat_of(const void* id) const {
    auto at = peers_.find(id);
    return at == peers_.end() ? nullptr : at->second.present.get();
  }

  bool is_blocked(const seat& from, const seat& to) const {
    return !blocked_.empty() && blocked_.contains({from.number, to.number});
  }

  void vacate(seat& gone) noexcept {
    auto holds = [&gone](const auto& entry) { return entry.second.present.get() == &gone; };
    auto at = std::find_if(peers_.begin(), peers_.end(), holds);
    if (at == peers_.end()) return;
    std::shared_ptr<seat> keep = std::exchange(at->second.present, nullptr);
    for (auto& [id, other] : peers_) {
      if (other.present) close_session_of(gone, *other.present);
    }
    gone.ended = true;
    wake_if_possible(gone);
  }

  void open_session(seat& a, seat& b) {
    if (!sessions_.open(a.number, b.number)) return;
    put(a, clock_.now(), fabric_event(network_event_type::up, b.id), 0);
    put(b, clock_.now(), fabric_event(network_event_type::up, a.id), 0);
  }

  void close_session(const void* a, const void* b) {
    seat* first = seat_of(a);
    seat* second = seat_of(b);
    if (first && second) close_session(*first, *second);
  }
  void close_session(seat& a, seat& b) {
    if (!sessions_.close(a.number, b.number)) return;
    put(a, clock_.now(), fabric_event(network_event_type::down, b.id), 0);
    put(b, clock_.now(), fabric_event(network_event_type::down, a.id), 0);
  }

  /// Without memory the receiver waits until its messenger ends.
  static void wake_if_possible(seat& ended) noexcept {
    try {
      ended.wake();
    } catch (...) {
      // As above.
    }
  }

  /// The seat is given up whether or not there is memory to say so: the next session tells.
  void close_session_of(seat& gone, seat& other) noexcept {
    try {
      close_session(gone, other);
    } catch (...) {
      // As above.
    }
  }

  void dispatch(const seat& from, seat& to, std::vector<std::byte> frame, std::uint64_t session) {
    time due = clock_.now() + faults_.delay;
    if (random_.draw(faults_.reordering)) {
      ++counts_.reordered;
      due +=
          time(random_.next() % static_cast<std::uint64_t>(faults_.reordering_delay.count() + 1));
    }
    if (random_.draw(faults_.corruption) && !frame.empty()) {
      ++counts_.corrupted;
      frame[random_.next() % frame.size()] ^= static_cast<std::byte>(1U << random_.next() % 8);
    }
    put(to, due, fabric_event(network_event_type::frame, from.id, std::move(frame)), session);
  }

  void put(seat& to, time due, fabric_event e, std::uint64_t session) {
    to.queue.emplace(due, seat::arrival(std::move(e), session));
    to.wake();
  }

  /// False for a frame of a session that ended on its way.
  bool still_arrives(const seat& at, const seat::arrival& a) {
    if (a.session == 0) return true;
    std::uint64_t session = sessions_.find(at.number, peers_.find(a.event.peer)->second.number);
    if (session != 0 && (session == a.session || faults_.late_frames)) {
      ++counts_.arrived;
      return true;
    }
    ++counts_.lost;
    return false;
  }

  const id_type& ids_;
  fabric_clock clock_;
  std::size_t maximum_;
  mutable std::mutex mutex_;
  fault_source random_;
  faults faults_;
  fabric_counts counts_;
  /// Every id that was ever named; never erased, for events point to its key.
  id_map<peer> peers_;
  session_table::peer next_number_ = 0;
  session_table sessions_;
  std::set<std::pair<session_table::peer, session_table::peer>> blocked_;
};

/// A seat, and the alarm that wakes its receiver.
class hub_endpoint final : public endpoint, public std::enable_shared_from_this<hub_endpoint> {
 public:
  hub_endpoint(std::shared_ptr<hub> h, std::shared_ptr<seat> s)
      : hub_(std::move(h)), seat_(std::move(s)) {}

  const void* id() const noexcept override { return seat_->id; }
  std::size_t maximum_frame_size() const noexcept override { return hub_->maximum_frame_size(); }

  asio::awaitable<void> send(const void* to, std::vector<std::byte> frame) override {
    hub_->send(*seat_, to, std::move(frame));
    co_return;
  }

  bool take(fabric_event& next) override { return hub_->take(*seat_, next); }

  asio::awaitable<void> wait(const asio::any_io_executor& executor) override {
    if (seat_->looks_again != seat::time::max()) {
      if (!alarm_) alarm_ = hub_->clock().make_alarm(executor);
      alarm_->wake_at(seat_->looks_again, weak_from_this());
    }
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        park(shared_from_this(), executor), asio::use_awaitable);
    if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
  }

  void wake() override { hub_->wake(*seat_); }

  void leave() override {
    hub_->leave(*seat_);
    alarm_.reset();
  }

 private:
  /// Parks the receiver until an event arrives.
  class park {
   public:
    park(std::shared_ptr<hub_endpoint> self, const asio::any_io_executor& executor)
        : self_(std::move(self)), executor_(executor) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([weak = std::weak_ptr<hub_endpoint>(self_)](asio::cancellation_type) {
          if (auto alive = weak.lock()) alive->wake();
        });
      }
      // What an initiation throws does not reach the coroutine that waits.
      completion<> waiter;
      try {
        waiter = completion<>(std::forward<Handler>(handler), executor_);
      } catch (...) {
        self_->failed_ = std::current_exception();
        return asio::post(executor_, std::forward<Handler>(handler));
      }
      self_->hub_->park(*self_->seat_, std::move(waiter));
    }

   private:
    std::shared_ptr<hub_endpoint> self_;
    asio::any_io_executor executor_;
  };

  std::shared_ptr<hub> hub_;
  std::shared_ptr<seat> seat_;
  std::unique_ptr<alarm> alarm_;
  std::exception_ptr failed_;  ///< of a wait that could not begin
};

inline std::shared_ptr<endpoint> hub::join(const void* id) {
  std::lock_guard lock(mutex_);
  auto at = find_or_add(id);
  if (at->second.present) vacate(*at->second.present);
  auto joined = std::make_shared<seat>(at->first.get(), at->second.number);
  auto made = std::make_shared<hub_endpoint>(shared_from_this(), joined);
  try {
    for (auto& [other_id, other] : peers_) {
      if (other.present) open_session(*joined, *other.present);
    }
  } catch (...) {
    at->second.present = joined;
    vacate(*joined);
    throw;
  }
  at->second.present = std::move(joined);
  return made;
}

ILM_INLINE fabric_clock steady_fabric_clock() {
  return fabric_clock_of<std::chrono::steady_clock>();
}

ILM_INLINE std::shared_ptr<fabric> make_fabric(const id_type& ids, const fabric_clock& clock,
                                               std::uint64_t seed, std::size_t maximum_frame_size) {
  return std::make_shared<hub>(ids, clock, seed, maximum_frame_size);
}

}  // namespace ilm::inline v0::detail
