#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/named.hpp>
#include <ilm/runtime/packed_numbers.hpp>
#include <ilm/statistics.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>

namespace ilm::inline v0::runtime {

/// Where the engine publishes its figures, for threads that may not touch the engine itself. It
/// never waits for more than a slice of what a reader copies.
class statistics_board {
 public:
  /// A peer's figures as of its last change; in as few bytes as can be while it is dormant, and
  /// then they do not change.
  class entry {
   public:
    explicit entry(std::shared_ptr<const peer_name> p) : peer(std::move(p)) {}

    std::shared_ptr<const peer_name> peer;

   private:
    friend statistics_board;

    struct state {
      peer_figures figures;
      protocol::timestamp oldest{};  ///< since when the oldest message waits
    };

    std::unique_ptr<state> awake;
    packed_numbers dormant;  ///< none if all are 0, as in a life without the peer
  };

  /// A dormant peer without figures. The entry stays where it is. It takes constant time in the
  /// order of the ids.
  entry& add(std::shared_ptr<const peer_name> peer) {
    assert(peer);
    const peer_name* key = peer.get();
    std::lock_guard lock(mutex_);
    [[maybe_unused]] std::size_t before = entries_.size();
    auto at = entries_.try_emplace(entries_.end(), key, std::move(peer));
    assert(entries_.size() > before);
    return at->second;
  }
  /// The entry of a peer that is there.
  entry& at(const peer_name& peer) {
    std::lock_guard lock(mutex_);
    return entries_.at(&peer);
  }

  /// The figures of a peer that is there.
  peer_figures figures(const entry& e) const {
    std::lock_guard lock(mutex_);
    return figures_of(e);
  }

  /// Nothing is to be done for the peer, and its figures are not published before it wakes.
  void handle_dormant(entry& e) {
    peer_figures kept = figures(e);
    packed_numbers packed = pack(kept);
    std::lock_guard lock(mutex_);
    e.dormant = std::move(packed);
    e.awake = nullptr;
  }

  void remove(const peer_name& peer) {
    std::lock_guard lock(mutex_);
    [[maybe_unused]] std::size_t removed = entries_.erase(&peer);
    assert(removed == 1);
  }

  /// Figures of a peer and of the sends that wait.
  void publish(entry& e, const peer_figures& figures, protocol::timestamp oldest,
               const messenger_totals& totals) {
    assert(e.peer);
    std::unique_ptr<entry::state> woken;
    if (!e.awake) woken = std::make_unique<entry::state>();
    std::lock_guard lock(mutex_);
    if (woken) {
      e.awake = std::move(woken);
      e.dormant = {};
    }
    e.awake->figures = figures;
    e.awake->oldest = oldest;
    publish_locked(totals);
  }
  /// Of `totals`, the counts of commits are the board's own.
  void publish(const messenger_totals& totals) {
    std::lock_guard lock(mutex_);
    publish_locked(totals);
  }

  void count_commit(bool failed) {
    std::lock_guard lock(mutex_);
    ++(failed ? totals_.commits_failed : totals_.commits);
  }

  void handle_end() {
    std::lock_guard lock(mutex_);
    for (auto& [name, e] : entries_) {
      if (e.awake) e.awake->figures.connected = false;
    }
  }

  named_statistics read(protocol::timestamp now) const {
    named_statistics s;
    while (read_slice(s, now)) {
    }
    return s;
  }
  /// Goes on with the peers behind the last one in `s`. False if there are no more.
  bool read_slice(named_statistics& s, protocol::timestamp now) const {
    // The room is made beforehand, by whoever reads.
    if (s.peers.capacity() < s.peers.size() + peers_in_slice) {
      s.peers.reserve(2 * s.peers.size() + peers_in_slice);
    }
    std::lock_guard lock(mutex_);
    s.totals = totals_;
    auto at = s.peers.empty() ? entries_.begin() : entries_.upper_bound(s.peers.back().first.get());
    for (std::size_t left = peers_in_slice; left > 0 && at != entries_.end(); --left, ++at) {
      const entry& e = at->second;
      s.peers.emplace_back(e.peer, figures_of(e));
      peer_figures& figures = s.peers.back().second;
      if (figures.outbox_depth > 0) figures.oldest_age = now - e.awake->oldest;
    }
    return at != entries_.end();
  }

 private:
  /// Whoever waits has it next: one that locks it again and again does not keep others out.
  class fair_mutex {
   public:
    void lock() {
      std::lock_guard turn(turn_);
      mutex_.lock();
    }
    void unlock() { mutex_.unlock(); }

   private:
    std::mutex turn_;  ///< of the one that waits
    std::mutex mutex_;
  };

  /// Of the figures of a dormant peer, those that may not be 0.
  static auto kept(peer_figures& f) noexcept {
    return std::tie(f.accepted, f.delivered, f.received, f.resent, f.duplicates_dropped,
                    f.frames_sent, f.frames_received, f.frames_stale, f.frames_rejected);
  }
  static constexpr std::size_t kept_count = 10;  ///< with the round trip

  static packed_numbers pack(peer_figures f) {
    assert(!f.connected && f.outbox_depth == 0 && f.inbox_depth == 0 && f.in_flight == 0);
    std::array<std::uint64_t, kept_count> all = std::apply(
        [&](auto... each) {
          return std::array{each..., static_cast<std::uint64_t>(f.round_trip.count())};
        },
        kept(f));
    bool any = std::any_of(all.begin(), all.end(), [](std::uint64_t n) { return n != 0; });
    return any ? packed_numbers(all) : packed_numbers();
  }
  static peer_figures figures_of(const entry& e) {
    if (e.awake) return e.awake->figures;
    peer_figures f;
    if (!e.dormant) return f;
    std::array<std::uint64_t, kept_count> all{};
    e.dormant.unpack(all);
    std::size_t at = 0;
    std::apply([&](auto&... each) { ((each = all[at++]), ...); }, kept(f));
    f.round_trip = std::chrono::nanoseconds(all[at]);
    return f;
  }

  void publish_locked(const messenger_totals& totals) {
    totals_.uncommitted_messages = totals.uncommitted_messages;
    totals_.uncommitted_bytes = totals.uncommitted_bytes;
    totals_.held_bytes = totals.held_bytes;
    totals_.events_lost = totals.events_lost;
  }

  mutable fair_mutex mutex_;
  messenger_totals totals_;
  std::map<const peer_name*, entry, name_order> entries_;
};

}  // namespace ilm::inline v0::runtime
