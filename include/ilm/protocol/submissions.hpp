#pragma once

#include <ilm/bytes.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/stream_hash.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::protocol {

/// The sends from their acceptance to their end: accepted, in commit, ended.
class submissions {
 public:
  void handle_send(send_id id, payload p, on_failure then = on_failure::ends) {
    accepted_.emplace_back(id, std::move(p), then);
  }

  bool empty() const noexcept { return accepted_.empty(); }
  /// Whether each send has ended, and its end was given.
  bool idle() const noexcept { return accepted_.empty() && in_commit_.empty() && ended_.empty(); }
  std::size_t size() const noexcept { return accepted_.size(); }
  /// How many are in the change in commit.
  std::size_t in_commit() const noexcept { return in_commit_.size(); }

  /// Gives all that was accepted its sequences and hashes, where `first` is the next sequence and
  /// `before` the hash of the stream so far. The first message gets the salt.
  std::vector<stored_message> begin_commit(std::uint64_t first, stream_hash before,
                                           std::uint64_t salt) {
    assert(in_commit_.empty() && first != 0);
    in_commit_.swap(accepted_);
    std::vector<stored_message> batch;
    batch.reserve(in_commit_.size());
    for (submission& s : in_commit_) {
      s.salt = std::exchange(salt, 0);
      before = s.hash =
          extend(before, first, s.salt, s.message.contents.view(), s.message.attributes.view());
      batch.emplace_back(first, first, s.salt, s.hash, s.message.contents, s.message.attributes);
      ++first;
    }
    return batch;
  }
  /// The sends of the change, which now end. They stay valid until `forget_committed`.
  std::span<submission> complete_commit(std::uint64_t first) {
    assert(first != 0);
    for (const submission& s : in_commit_) ended_.push_back(send_result{s.id, first++, {}});
    return in_commit_;
  }
  void forget_committed() noexcept { in_commit_.clear(); }
  /// Sends that stay keep their place before those that came meanwhile. Without a reason all stay.
  void fail_commit(std::error_code reason) {
    std::vector<submission> next;
    for (submission& s : in_commit_) {
      if (!reason || s.failing == on_failure::stays) {
        next.push_back(std::move(s));
      } else {
        ended_.push_back(send_result{s.id, 0, reason});
      }
    }
    std::move(accepted_.begin(), accepted_.end(), std::back_inserter(next));
    accepted_ = std::move(next);
    in_commit_.clear();
  }

  /// Ends a send, unless it is in commit.
  void withdraw(send_id id, std::error_code reason) {
    assert(reason);
    auto at = std::lower_bound(accepted_.begin(), accepted_.end(), id,
                               [](const submission& s, send_id i) { return s.id < i; });
    if (at == accepted_.end() || at->id != id) return;
    accepted_.erase(at);
    ended_.push_back(send_result{id, 0, reason});
  }
  /// Ends the sends that are not in commit.
  void fail_accepted(std::error_code reason) {
    assert(reason);
    for (const submission& s : std::exchange(accepted_, {})) {
      ended_.push_back(send_result{s.id, 0, reason});
    }
  }

  std::optional<send_result> poll_result() {
    if (ended_.empty()) return std::nullopt;
    send_result r = ended_.front();
    ended_.pop_front();
    return r;
  }

  bool invariants_hold() const noexcept {
    auto ended = [](const send_result& r) { return (r.sequence == 0) == bool(r.error); };
    return ended_.empty() || (ended(ended_.front()) && ended(ended_.back()));
  }

 private:
  std::vector<submission> accepted_;  ///< for the next change
  std::vector<submission> in_commit_;
  std::deque<send_result> ended_;
};

}  // namespace ilm::inline v0::protocol
