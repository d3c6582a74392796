#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/memory_use.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// The part of a budget that lies in each peer.
struct memory_account {
  protocol::memory_use use;
  std::size_t reserved = 0;  ///< for pages that are read
  bool refused = false;      ///< the store holds the peer's changes back
  unsigned rank = 0;         ///< of the list in which it is; 0: none
  std::size_t place = 0;     ///< there
};

/// Bounds the memory that messages take over all peers, and says which peer is to let go of some:
/// the one with the most that it can, within a factor of 2. Each event costs the same beside any
/// number of peers. `Peer` has a member `memory` of type memory_account.
template <class Peer>
class memory_budget {
 public:
  explicit memory_budget(const options& o) noexcept
      : limit_(o.memory_limit != 0 ? o.memory_limit : std::numeric_limits<std::size_t>::max()) {}

  /// The peer takes so much now. `refused`: the store holds its changes back, and may do so for
  /// long.
  void update(Peer& p, const protocol::memory_use& now, bool refused = false) {
    assert(now.releasable <= now.held && now.unstored <= now.held);
    memory_account& a = p.memory;
    count_holder(a, [&] {
      held_ += now.held - a.use.held;
      unstored_of(a) -= a.use.unstored;
      a.use = now;
      a.refused = refused;
      unstored_of(a) += a.use.unstored;
    });
    auto rank = static_cast<unsigned>(std::bit_width(now.releasable));
    if (rank == a.rank) return;
    leave(a);
    if (rank != 0) join(p, rank);
    assert(invariants_hold());
  }

  /// How much of a page of so many bytes to read for the peer: it is reserved until
  /// `handle_page_read`. Pages of all peers that hold anything take no more than half of the limit,
  /// so that none has to leave again before it is of use; each has one message at least.
  std::size_t reserve(Peer& p, std::size_t bytes) noexcept {
    std::size_t fair = limit_ / 2 / std::max<std::size_t>(holders_, 1);
    std::size_t granted = std::clamp<std::size_t>(fair, 1, bytes);
    count_holder(p.memory, [&] {
      held_ += granted;
      p.memory.reserved += granted;
    });
    return granted;
  }
  void handle_page_read(Peer& p, std::size_t granted) noexcept {
    assert(p.memory.reserved >= granted);
    count_holder(p.memory, [&] {
      held_ -= granted;
      p.memory.reserved -= granted;
    });
  }

  /// The peer is no more.
  void remove(Peer& p) noexcept {
    memory_account& a = p.memory;
    count_holder(a, [&] {
      held_ -= a.use.held + a.reserved;
      unstored_of(a) -= a.use.unstored;
      a.use = {};
      a.reserved = 0;
    });
    leave(a);
    assert(invariants_hold());
  }

  /// The peer that is to let go of messages; null if the limit is kept, or none can go.
  Peer* next_to_release() const noexcept {
    if (held_ <= limit_ || ranks_ == 0) return nullptr;
    return lists_[static_cast<unsigned>(std::bit_width(ranks_)) - 1].back();
  }

  /// Whether messages may be taken from the network: a quarter of the limit is for those that the
  /// store does not have yet, which cannot leave memory.
  bool has_room_for_unstored() const noexcept { return unstored_ < limit_ / 4; }
  /// Whether those of the peer may. Peers whose messages the store refuses have a quarter of their
  /// own, so that they keep no others out.
  bool has_room_for_unstored(const Peer& p) const noexcept {
    return (p.memory.refused ? refused_ : unstored_) < limit_ / 4;
  }

  std::size_t held() const noexcept { return held_; }

 private:
  static constexpr unsigned ranks = std::numeric_limits<std::size_t>::digits;

  bool invariants_hold() const noexcept {
    return unstored_ + refused_ <= held_ && (holders_ > 0 || held_ == 0) &&
           (held_ > 0 || ranks_ == 0);
  }

  std::size_t& unstored_of(const memory_account& a) noexcept {
    return a.refused ? refused_ : unstored_;
  }
  static bool holds(const memory_account& a) noexcept { return a.use.held + a.reserved > 0; }

  template <class Change>
  void count_holder(const memory_account& a, Change change) noexcept {
    holders_ -= holds(a) ? 1 : 0;
    change();
    holders_ += holds(a) ? 1 : 0;
  }

  void join(Peer& p, unsigned rank) {
    std::vector<Peer*>& list = lists_[rank - 1];
    list.push_back(&p);
    p.memory.rank = rank;
    p.memory.place = list.size() - 1;
    ranks_ |= std::uint64_t{1} << (rank - 1);
  }
  void leave(memory_account& a) noexcept {
    if (a.rank == 0) return;
    std::vector<Peer*>& list = lists_[a.rank - 1];
    assert(a.place < list.size() && &list[a.place]->memory == &a);
    list[a.place] = list.back();
    list[a.place]->memory.place = a.place;
    list.pop_back();
    if (list.empty()) ranks_ &= ~(std::uint64_t{1} << (a.rank - 1));
    a.rank = 0;
  }

  std::size_t limit_;
  std::size_t held_ = 0;
  std::size_t unstored_ = 0;
  std::size_t refused_ = 0;  ///< as `unstored_`, of peers whose changes the store holds back
  std::size_t holders_ = 0;  ///< how many peers hold anything
  /// The peers that can let go of something, by the width of its size in bits.
  std::array<std::vector<Peer*>, ranks> lists_;
  std::uint64_t ranks_ = 0;  ///< the lists that are not empty, a bit each
};

}  // namespace ilm::inline v0::runtime
