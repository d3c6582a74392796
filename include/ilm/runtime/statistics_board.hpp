#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/named.hpp>
#include <ilm/statistics.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace ilm::inline v0::runtime {

/// Where the engine publishes its figures, for threads that may not touch the engine itself. It
/// never waits for more than a slice of what a reader copies.
class statistics_board {
 public:
  /// A peer's figures as of its last change.
  struct entry {
    std::shared_ptr<const peer_name> peer;
    peer_figures figures;
    protocol::timestamp oldest{};  ///< since when the oldest message waits
  };

  /// The entry stays where it is.
  entry& add(std::shared_ptr<const peer_name> peer) {
    assert(peer);
    std::lock_guard lock(mutex_);
    entry& e = entries_[peer.get()];
    assert(!e.peer);
    e.peer = std::move(peer);
    return e;
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
    std::lock_guard lock(mutex_);
    e.figures = figures;
    e.oldest = oldest;
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
    for (auto& [name, e] : entries_) e.figures.connected = false;
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
      s.peers.emplace_back(e.peer, e.figures);
      peer_figures& figures = s.peers.back().second;
      if (figures.outbox_depth > 0) figures.oldest_age = now - e.oldest;
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
