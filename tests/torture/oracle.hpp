#pragma once

#include "diary.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace torture {

/// An inclusive range of sequences that an event named.
struct told_range {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  bool contains(std::uint64_t s) const noexcept { return first <= s && s <= last; }
};

struct stream_counts {
  std::uint64_t intended = 0;            ///< calls of send_to that were announced
  std::uint64_t accepted = 0;            ///< whose send_to completed
  std::uint64_t refused = 0;             ///< whose send_to failed
  std::uint64_t delivered = 0;           ///< different ones that arrived
  std::uint64_t doubtful_delivered = 0;  ///< of these, without an outcome of send_to
  std::uint64_t lost = 0, repeated = 0, disordered = 0, damaged = 0;
  std::uint64_t told_lost = 0, told_repeated = 0;  ///< that events of a roll-back account for

  stream_counts& operator+=(const stream_counts& other);
};

using complaint_sink = std::function<void(const std::string&)>;

/// What one peer sent to another, by its own diary, and what the other took, by its.
class stream {
 public:
  stream(std::string name, complaint_sink complain);

  void handle_sent(const sent_record& r);
  void handle_received(const received_record& r);

  /// The store of one side is put back: up to two turns back may follow (what was in its inbox, and
  /// what is sent again).
  void expect_turns() { turns_expected_ += 2; }
  /// Of what was sent until now, some may be missing or come again, if an event names it.
  void excuse_so_far() { excused_to_ = sends_.size(); }
  void note_told(told_range r) { told_.push_back(r); }

  /// Whether so many arrived of what was sent since the mark.
  void mark() { mark_ = sends_.size(); }
  bool past_mark(std::uint64_t by) const noexcept { return highest_ >= mark_ + by; }

  /// All has come to rest: what did not arrive is lost.
  void finish();
  const stream_counts& counts() const noexcept { return counts_; }

 private:
  enum class outcome : std::uint8_t { unknown, done, failed };
  struct send {
    std::uint64_t sequence = 0;  ///< that send_to gave, or before that, with which it arrived
    outcome what = outcome::unknown;
    bool arrived = false;
  };

  void handle_intent(const sent_record& r);
  void check_numbers(const received_record& r);
  void check_order(const received_record& r);
  bool told(std::uint64_t id, std::uint64_t sequence) const;
  void finish_send(std::uint64_t id, const send& s);

  std::string name_;
  complaint_sink complain_;
  std::vector<send> sends_;  ///< by id, from 1
  received_record last_;
  std::uint64_t highest_ = 0;
  std::uint64_t turns_ = 0, turns_expected_ = 0;
  std::uint64_t excused_to_ = 0;
  std::uint64_t mark_ = 0;
  std::vector<told_range> told_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> again_;  ///< id and sequence
  stream_counts counts_;
};

/// Judges from outside: it knows the diaries of the applications and the events that they saw, and
/// shares no code with the library.
class oracle {
 public:
  oracle(const std::filesystem::path& directory, std::size_t peers, complaint_sink complain);

  /// Reads on in the diaries; what can be judged already is.
  void follow();
  void finish();

  stream_counts counts() const;

  /// Marks where all streams are; whether so much was sent and has arrived since, in each.
  void mark();
  bool past_mark(std::uint64_t by) const;

  void store_put_back(std::size_t peer);
  /// Both sides of each of its pairs have reported it.
  void put_back_reported(std::size_t peer);
  /// An event at `peer` about `other` names these.
  void note_event(std::size_t peer, std::size_t other, told_range outbound, told_range inbound);

 private:
  stream& of(std::size_t from, std::size_t to) { return streams_[from * peers_ + to]; }
  const stream& of(std::size_t from, std::size_t to) const { return streams_[from * peers_ + to]; }

  std::size_t peers_;
  std::vector<diary_reader<sent_record>> sent_;
  std::vector<diary_reader<received_record>> received_;
  std::deque<stream> streams_;
};

}  // namespace torture
