#pragma once

#include <ilm/protocol/time.hpp>
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

/// Where the engine publishes its figures, for threads that may not touch the engine itself.
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
    std::lock_guard lock(mutex_);
    named_statistics s;
    s.totals = totals_;
    for (const auto& [name, e] : entries_) {
      peer_figures figures = e.figures;
      if (figures.outbox_depth > 0) figures.oldest_age = now - e.oldest;
      s.peers.emplace_back(e.peer, figures);
    }
    return s;
  }

 private:
  void publish_locked(const messenger_totals& totals) {
    totals_.uncommitted_messages = totals.uncommitted_messages;
    totals_.uncommitted_bytes = totals.uncommitted_bytes;
    totals_.events_lost = totals.events_lost;
  }

  mutable std::mutex mutex_;
  messenger_totals totals_;
  std::map<const peer_name*, entry, name_order> entries_;
};

}  // namespace ilm::inline v0::runtime
