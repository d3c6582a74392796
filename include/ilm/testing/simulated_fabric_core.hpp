#pragma once

#include <ilm/network.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_faults.hpp>
#include <ilm/testing/simulated_waits.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

/// An event on its way to a peer.
template <class PeerId>
struct simulated_arrival {
  using time_point = simulated_clock::time_point;

  simulated_arrival(time_point at, std::uint64_t n, network_event<PeerId> e, std::uint64_t s)
      : due(at), number(n), event(std::move(e)), session(s) {}
  /// For a heap with the earliest on top; of one moment, the first sent.
  friend bool operator<(const simulated_arrival& a, const simulated_arrival& b) noexcept {
    return std::pair(a.due, a.number) > std::pair(b.due, b.number);
  }

  time_point due;
  std::uint64_t number;
  network_event<PeerId> event;
  std::uint64_t session;  ///< 0 for an event outside sessions

  /// Of a frame that belongs to whichever session is open when it arrives.
  static constexpr std::uint64_t any_session = ~std::uint64_t{0};
};

/// One peer's end of the fabric: the events on their way to it.
template <class PeerId>
struct simulated_endpoint : arrival_waiter {
  explicit simulated_endpoint(PeerId name) : id(std::move(name)) {}

  std::optional<simulated_clock::time_point> first_due() const {
    if (queue.empty()) return std::nullopt;
    return queue.front().due;
  }

  PeerId id;
  std::vector<simulated_arrival<PeerId>> queue;  ///< a heap
};

/// The link from one peer to another.
template <class PeerId>
struct simulated_link {
  link_faults rules;
  bool blocked = false;
  bool clogged = false;
  std::vector<simulated_arrival<PeerId>> held;
  send_gate gate;
};

/// The state that a fabric and its networks share: endpoints, links, sessions and faults.
template <class PeerId>
class simulated_fabric_core {
 public:
  using endpoint = simulated_endpoint<PeerId>;
  using link = simulated_link<PeerId>;
  using event = network_event<PeerId>;
  using time_point = simulated_clock::time_point;
  using observer =
      std::function<void(const PeerId& from, const PeerId& to, std::span<const std::byte> frame)>;

  simulated_fabric_core(std::uint64_t seed, std::size_t largest_frame)
      : maximum_frame_size(largest_frame), random_(seed) {}

  const std::size_t maximum_frame_size;
  bool late_frames = false;
  simulated_network_counts counts;
  observer sent;
  observer arrived;
  observer injected;

  std::shared_ptr<endpoint> join(PeerId id) {
    end(id);
    auto joined = std::make_shared<endpoint>(id);
    for (auto& [other, e] : endpoints_) open_session(*joined, *e);
    endpoints_.emplace(std::move(id), joined);
    return joined;
  }

  void end(const PeerId& id) {
    if (auto e = endpoints_.find(id); e != endpoints_.end()) leave(*e->second);
  }

  void leave(endpoint& gone) {
    auto e = endpoints_.find(gone.id);
    if (e == endpoints_.end() || e->second.get() != &gone) return;
    std::shared_ptr<endpoint> keep = e->second;
    endpoints_.erase(e);
    for (auto& [other, remaining] : endpoints_) close_session(gone, *remaining);
    gone.end();
  }

  void set_faults(const link_faults& f) {
    usual_ = f;
    for (auto& [name, l] : links_) l.rules = f;
  }

  link& link_of(const PeerId& from, const PeerId& to) {
    auto l = links_.find(pair_name(from, to));
    if (l == links_.end()) {
      l = links_.try_emplace(pair_name(from, to)).first;
      l->second.rules = usual_;
    }
    return l->second;
  }

  void set_session(const PeerId& a, const PeerId& b, bool open) {
    if (open) {
      cut_.erase(ordered(a, b));
    } else {
      cut_.insert(ordered(a, b));
    }
    auto first = endpoints_.find(a);
    auto second = endpoints_.find(b);
    if (first == endpoints_.end() || second == endpoints_.end()) return;
    open ? open_session(*first->second, *second->second)
         : close_session(*first->second, *second->second);
  }

  void unclog(const PeerId& from, const PeerId& to) {
    link& l = link_of(from, to);
    l.clogged = false;
    auto e = endpoints_.find(to);
    for (simulated_arrival<PeerId>& a : std::exchange(l.held, {})) {
      if (e == endpoints_.end()) break;
      put(*e->second, std::max(a.due, simulated_clock::now()), std::move(a.event), a.session);
    }
  }

  void send(const endpoint& sender, const PeerId& to, std::vector<std::byte> frame) {
    if (sender.ended()) return;
    const PeerId& from = sender.id;
    ++counts.sent;
    if (sent) sent(from, to, frame);
    link& l = link_of(from, to);
    auto session = sessions_.find(ordered(from, to));
    auto receiver = endpoints_.find(to);
    if (session == sessions_.end() || receiver == endpoints_.end() || l.blocked ||
        random_.draw(l.rules.loss)) {
      ++counts.lost;
      return;
    }
    if (random_.draw(l.rules.repetition)) {
      ++counts.repeated;
      pass(l, *receiver->second, from, frame, session->second);
    }
    pass(l, *receiver->second, from, std::move(frame), session->second);
  }

  /// A frame that `from` did not send now, past all faults.
  void inject(const PeerId& from, const PeerId& to, std::vector<std::byte> frame,
              simulated_clock::duration delay) {
    auto receiver = endpoints_.find(to);
    if (receiver == endpoints_.end()) return;
    put(*receiver->second, simulated_clock::now() + delay, event::frame(from, std::move(frame)),
        simulated_arrival<PeerId>::any_session);
  }

  /// The next event that has arrived, if there is any.
  std::optional<event> poll_event(endpoint& receiver) {
    auto& queue = receiver.queue;
    while (!queue.empty() && queue.front().due <= simulated_clock::now()) {
      std::pop_heap(queue.begin(), queue.end());
      simulated_arrival<PeerId> a = std::move(queue.back());
      queue.pop_back();
      if (a.session != 0) {
        if (!arrives(receiver.id, a)) {
          if (a.session != simulated_arrival<PeerId>::any_session) ++counts.lost;
          continue;
        }
        bool sent_by_peer = a.session != simulated_arrival<PeerId>::any_session;
        ++(sent_by_peer ? counts.arrived : counts.injected);
        const observer& watching = sent_by_peer ? arrived : injected;
        if (watching) watching(a.event.peer, receiver.id, a.event.bytes);
      }
      return std::move(a.event);
    }
    return std::nullopt;
  }

 private:
  using pair_name = std::pair<PeerId, PeerId>;

  static pair_name ordered(const PeerId& a, const PeerId& b) {
    return a < b ? pair_name(a, b) : pair_name(b, a);
  }

  void open_session(endpoint& a, endpoint& b) {
    if (cut_.contains(ordered(a.id, b.id))) return;
    sessions_[ordered(a.id, b.id)] = ++session_numbers_;
    put(a, simulated_clock::now(), event::up(b.id), 0);
    put(b, simulated_clock::now(), event::up(a.id), 0);
  }

  void close_session(endpoint& a, endpoint& b) {
    if (sessions_.erase(ordered(a.id, b.id)) == 0) return;
    put(a, simulated_clock::now(), event::down(b.id), 0);
    put(b, simulated_clock::now(), event::down(a.id), 0);
  }

  /// Whether a frame's session is still open, or another one is and takes late frames.
  bool arrives(const PeerId& to, const simulated_arrival<PeerId>& a) const {
    auto session = sessions_.find(ordered(to, a.event.peer));
    return session != sessions_.end() &&
           (session->second == a.session || a.session == simulated_arrival<PeerId>::any_session ||
            late_frames);
  }

  /// Sends one copy of a frame on its way.
  void pass(link& l, endpoint& to, const PeerId& from, std::vector<std::byte> frame,
            std::uint64_t session) {
    time_point due = simulated_clock::now() + random_.draw(l.rules.delay);
    if (random_.draw(l.rules.reordering)) {
      ++counts.reordered;
      due += random_.up_to(l.rules.reordering_delay);
    }
    if (random_.draw(l.rules.corruption) && !frame.empty()) {
      ++counts.corrupted;
      random_.corrupt(frame);
    }
    event e = event::frame(from, std::move(frame));
    if (l.clogged) {
      l.held.emplace_back(due, 0, std::move(e), session);
    } else {
      put(to, due, std::move(e), session);
    }
  }

  void put(endpoint& to, time_point due, event e, std::uint64_t session) {
    to.queue.emplace_back(due, ++arrival_numbers_, std::move(e), session);
    std::push_heap(to.queue.begin(), to.queue.end());
    to.expect(due);
  }

  fault_generator random_;
  link_faults usual_;
  std::map<PeerId, std::shared_ptr<endpoint>> endpoints_;
  std::map<pair_name, link> links_;
  std::map<pair_name, std::uint64_t> sessions_;
  std::set<pair_name> cut_;
  std::uint64_t session_numbers_ = 0;
  std::uint64_t arrival_numbers_ = 0;
};

}  // namespace ilm::inline v0::testing
