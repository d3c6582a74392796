#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/commit_backoff.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::runtime {

/// Decides when to commit, and when the frames that commits enabled go. A change that is due
/// goes at once, one batch at a time. Frames wait a few turns for more messages to share them.
class commit_scheduler {
 public:
  enum class step {
    commit,  ///< commit the changes that are due, then take a turn
    gather,  ///< take a turn
    flush,   ///< let the frames go
    wait,    ///< nothing is to be done before the next input
  };

  explicit commit_scheduler(const options& o) : options_(o) {}

  /// The next step; `due` says whether a change is due.
  step next(bool due, protocol::timestamp now) {
    assert(!committing_);
    if (due && backoff_.open(now)) return step::commit;
    if (!unflushed_) return step::wait;
    if (idle_turns_ == coalescing_turns) return step::flush;
    ++idle_turns_;
    assert(invariants_hold());
    return step::gather;
  }

  void handle_commit_started() noexcept {
    assert(!committing_);
    committing_ = true;
  }

  /// True if the store had failed before.
  bool handle_committed() noexcept {
    end_commit();
    return backoff_.handle_committed();
  }
  void handle_commit_failed() noexcept { end_commit(); }
  /// The store took nothing that it was asked to: it is held back. True for the first time in a
  /// row.
  bool handle_store_failed(protocol::timestamp now) noexcept {
    assert(!committing_);
    return backoff_.handle_failed(now, options_);
  }

  /// Whether frames go although more messages may come. `unsent_bytes`: the most that waits for
  /// one peer's frames.
  bool flush_due(std::size_t unsent_bytes) const noexcept {
    if (!unflushed_) return false;
    return unsent_bytes >= options_.frame_fill || commits_ % commits_before_flush == 0;
  }

  void handle_flushed() noexcept { unflushed_ = false; }
  /// A send, or a change of a peer that the store did not refuse before: neither waits for the end
  /// of a failure that may be over, or another's.
  void handle_news() noexcept { backoff_.handle_send(); }

  /// True if a commit that was held back may be tried again.
  bool handle_time(protocol::timestamp now) noexcept { return backoff_.handle_time(now); }

  /// When to call `handle_time`.
  protocol::timestamp deadline() const noexcept { return backoff_.until(); }

  /// Whether a batch is with the store. Frames then wait for nothing: the store may take its time.
  bool committing() const noexcept { return committing_; }
  bool has_unflushed() const noexcept { return unflushed_; }

 private:
  bool invariants_hold() const noexcept {
    return idle_turns_ <= coalescing_turns && (!unflushed_ || commits_ > 0);
  }

  void end_commit() noexcept {
    assert(committing_);
    committing_ = false;
    unflushed_ = true;
    idle_turns_ = 0;
    ++commits_;
    assert(invariants_hold());
  }

  const options& options_;
  commit_backoff backoff_;
  unsigned idle_turns_ = 0;
  std::uint64_t commits_ = 0;
  bool committing_ = false;
  bool unflushed_ = false;
};

}  // namespace ilm::inline v0::runtime
