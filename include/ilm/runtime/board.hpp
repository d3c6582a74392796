#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/peer.hpp>
#include <ilm/statistics.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace ilm::runtime {

/// Where the engine shows its figures, for threads that may not touch the engine itself.
template <class PeerId>
class board {
 public:
  void show(const peer<PeerId>& p, protocol::timestamp now) {
    const protocol::association& core = p.core;
    std::lock_guard lock(mutex_);
    auto& [s, since] = peers_[p.id];
    s.peer = p.id;
    s.connected = core.state() == protocol::phase::established;
    s.outbox_depth = core.outbox_depth();
    s.inbox_depth = core.inbox_depth();
    s.in_flight = core.in_flight();
    s.round_trip = core.rtt();
    s.accepted = p.accepted;
    s.delivered = core.delivered_by_peer() - p.delivered_at_open;
    s.received = p.taken;
    s.resent = core.resent();
    s.duplicates_dropped = core.duplicates();
    s.frames_sent = p.frames_sent;
    s.frames_received = p.frames_received;
    s.frames_stale = core.stale_frames();
    s.frames_rejected = core.rejected_frames();
    since = now - p.ages.oldest(now);
  }

  void show_waiting(std::uint64_t messages, std::uint64_t bytes, std::uint64_t events_lost) {
    std::lock_guard lock(mutex_);
    totals_.uncommitted_messages = messages;
    totals_.uncommitted_bytes = bytes;
    totals_.events_lost = events_lost;
  }

  void count_commit(bool failed) {
    std::lock_guard lock(mutex_);
    ++(failed ? totals_.commits_failed : totals_.commits);
  }

  void show_end() {
    std::lock_guard lock(mutex_);
    for (auto& [id, shown] : peers_) shown.first.connected = false;
  }

  messenger_statistics<PeerId> read(protocol::timestamp now) const {
    std::lock_guard lock(mutex_);
    messenger_statistics<PeerId> s = totals_;
    for (const auto& [id, shown] : peers_) {
      s.peers.push_back(shown.first);
      if (shown.first.outbox_depth > 0) s.peers.back().oldest_age = now - shown.second;
    }
    return s;
  }

 private:
  mutable std::mutex mutex_;
  messenger_statistics<PeerId> totals_;
  std::map<PeerId, std::pair<peer_statistics<PeerId>, protocol::timestamp>> peers_;
};

}  // namespace ilm::runtime
