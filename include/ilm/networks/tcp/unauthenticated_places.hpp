#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// The addresses that count as one remote host: an IPv4 address, or the 64 bits that an IPv6
/// network gives to a host to choose from.
struct address_group {
  bool is_ipv6 = false;
  std::uint64_t prefix = 0;

  friend auto operator<=>(const address_group&, const address_group&) = default;
};

/// Bounds the connections that are accepted and not proven, in all and from each address group, and
/// chooses the one to close for another. The oldest goes, so that a handshake of milliseconds
/// succeeds among any number of silent connections; of the group that has most, so that others do
/// not pay for it. Connections that have said hello and those that have not keep half of the places
/// each: neither kind drives out the other.
class unauthenticated_places {
 public:
  /// Names a place; grows with time.
  using ticket = std::uint64_t;
  /// In the order in which they are given up.
  enum class stage : std::uint8_t { refused, silent, heard };

  unauthenticated_places(std::size_t maximum, std::size_t maximum_per_group)
      : maximum_(maximum), maximum_per_group_(maximum_per_group) {
    assert(maximum > 0 && maximum_per_group > 0);
  }

  std::size_t size() const noexcept { return places_.size(); }
  bool contains(ticket t) const { return places_.contains(t); }
  /// Whether first bytes are to come soon: more than half of the places are taken.
  bool is_pressed() const noexcept { return places_.size() > maximum_ / 2; }

  /// The place to be given up before one is added for `from`, if any.
  std::optional<ticket> excess(const address_group& from) const {
    std::array<std::size_t, stages> of_group{}, of_all{};
    for (std::size_t s = 0; s < stages; ++s) {
      of_group[s] = queues_[s].size_of(from);
      of_all[s] = queues_[s].size();
    }
    if (sum(of_group) >= maximum_per_group_) return queues_[fullest(of_group)].oldest_of(from);
    if (sum(of_all) >= maximum_) return queues_[fullest(of_all)].oldest_of_largest_group();
    return std::nullopt;
  }

  ticket add(const address_group& from, clock::time_point now) {
    assert(!excess(from));
    ticket t = next_++;
    places_.emplace(t, place{from, stage::silent, now});
    queue_of(stage::silent).add(from, t);
    check_invariants();
    return t;
  }

  void move(ticket t, stage to) {
    auto at = places_.find(t);
    if (at == places_.end()) return;
    if (at->second.at == to) return;
    queue_of(to).add(at->second.from, t);
    queue_of(at->second.at).remove(at->second.from, t);
    at->second.at = to;
    check_invariants();
  }

  void remove(ticket t) noexcept {
    auto at = places_.find(t);
    if (at == places_.end()) return;
    queue_of(at->second.at).remove(at->second.from, t);
    places_.erase(at);
    check_invariants();
  }

  /// Under pressure, the place that has been silent for too long, if there is one.
  std::optional<ticket> overdue(clock::time_point now) const {
    const queue& silent = queues_[static_cast<std::size_t>(stage::silent)];
    if (!is_pressed() || silent.size() == 0) return std::nullopt;
    ticket oldest = silent.oldest();
    if (now - places_.at(oldest).added_at < pressed_handshake_timeout) return std::nullopt;
    return oldest;
  }

  /// The oldest place of the first stage that has one.
  std::optional<ticket> least() const {
    for (const queue& q : queues_) {
      if (q.size() != 0) return q.oldest();
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t stages = 3;

  struct place {
    address_group from;
    stage at;
    clock::time_point added_at;
  };

  /// The places of one stage, by age: of all, and of each group.
  class queue {
   public:
    std::size_t size() const noexcept { return all_.size(); }
    std::size_t size_of(const address_group& g) const {
      auto at = groups_.find(g);
      return at == groups_.end() ? 0 : at->second.size();
    }
    ticket oldest() const { return *all_.begin(); }
    ticket oldest_of(const address_group& g) const { return *groups_.at(g).begin(); }
    /// Of equal groups, of that with the oldest place.
    ticket oldest_of_largest_group() const {
      const std::set<ticket>* largest = nullptr;
      for (const auto& [g, members] : groups_) {
        if (largest == nullptr || rank_of(members) < rank_of(*largest)) largest = &members;
      }
      return *largest->begin();
    }

    void add(const address_group& g, ticket t) {
      all_.insert(t);
      groups_[g].insert(t);
    }
    void remove(const address_group& g, ticket t) noexcept {
      all_.erase(t);
      auto at = groups_.find(g);
      if (at == groups_.end()) return;
      at->second.erase(t);
      if (at->second.empty()) groups_.erase(at);
    }

   private:
    using rank = std::pair<std::size_t, ticket>;
    static rank rank_of(const std::set<ticket>& members) {
      return {SIZE_MAX - members.size(), *members.begin()};
    }

    std::set<ticket> all_;
    std::map<address_group, std::set<ticket>> groups_;
  };

  queue& queue_of(stage s) { return queues_[static_cast<std::size_t>(s)]; }

  static std::size_t sum(const std::array<std::size_t, stages>& sizes) {
    std::size_t total = 0;
    for (std::size_t s : sizes) total += s;
    return total;
  }

  /// The stage that gives up a place.
  static std::size_t fullest(const std::array<std::size_t, stages>& sizes) {
    auto [refused, silent, heard] = sizes;
    if (refused != 0) return static_cast<std::size_t>(stage::refused);
    return static_cast<std::size_t>(silent >= heard ? stage::silent : stage::heard);
  }

  void check_invariants() const {
    assert(places_.size() <= maximum_);
    assert(queues_[0].size() + queues_[1].size() + queues_[2].size() == places_.size());
  }

  std::size_t maximum_;
  std::size_t maximum_per_group_;
  std::map<ticket, place> places_;
  std::array<queue, stages> queues_;
  ticket next_ = 0;
};

}  // namespace ilm::inline v0::detail::tcp
