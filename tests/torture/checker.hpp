#pragma once

#include "journal.hpp"

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
struct reported_range {
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  bool contains(std::uint64_t s) const noexcept { return first <= s && s <= last; }
};

struct stream_counts {
  std::uint64_t intended = 0;            ///< calls of send_to that were announced
  std::uint64_t accepted = 0;            ///< with a completed send_to
  std::uint64_t refused = 0;             ///< with a failed send_to
  std::uint64_t delivered = 0;           ///< different ones that arrived
  std::uint64_t doubtful_delivered = 0;  ///< of these, without an outcome of send_to
  std::uint64_t lost = 0, repeated = 0, disordered = 0, damaged = 0;
  std::uint64_t reported_lost = 0,
                reported_repeated = 0;  ///< that events of a roll-back account for

  stream_counts& operator+=(const stream_counts& other);
};

using complaint_sink = std::function<void(const std::string&)>;

/// The messages of one peer to another: sends by the sender's journal, deliveries by the
/// receiver's.
class stream {
 public:
  stream(std::string name, complaint_sink complain);

  void handle_sent(const sent_record& r);
  void handle_received(const received_record& r);

  /// The store of one side is put back: up to two rewinds may follow (its inbox, and messages sent
  /// again).
  void expect_rewinds() { rewinds_expected_ += 2; }
  /// Messages sent until now may be missing or come again, if an event names them.
  void excuse_so_far() { excused_to_ = sends_.size(); }
  void note_reported(reported_range r) { reported_.push_back(r); }

  /// Whether so many messages sent since the mark have arrived.
  void mark() { mark_ = sends_.size(); }
  bool past_mark(std::uint64_t by) const noexcept { return highest_ >= mark_ + by; }

  /// After convergence: messages that did not arrive are lost.
  void finish();
  const stream_counts& counts() const noexcept { return counts_; }

 private:
  enum class outcome : std::uint8_t { unknown, done, failed };
  struct send {
    std::uint64_t sequence = 0;  ///< from send_to, or until that completes, from its arrival
    outcome state = outcome::unknown;
    bool arrived = false;
  };

  void handle_intent(const sent_record& r);
  void check_numbers(const received_record& r);
  void check_order(const received_record& r);
  bool reported(std::uint64_t id, std::uint64_t sequence) const;
  void finish_send(std::uint64_t id, const send& s);

  std::string name_;
  complaint_sink complain_;
  std::vector<send> sends_;  ///< by id, from 1
  received_record last_;
  std::uint64_t highest_ = 0;
  std::uint64_t rewinds_ = 0, rewinds_expected_ = 0;
  std::uint64_t excused_to_ = 0;
  std::uint64_t mark_ = 0;
  std::vector<reported_range> reported_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> again_;  ///< id and sequence
  stream_counts counts_;
};

/// Checks from outside: it reads the journals of the applications and the events that they saw, and
/// shares no code with the library.
class checker {
 public:
  checker(const std::filesystem::path& directory, std::size_t peers, complaint_sink complain);

  /// Reads on in the journals, and makes the checks that need no later records.
  void follow();
  void finish();

  stream_counts counts() const;

  /// Marks the present end of all streams; whether so many messages sent since have arrived, in
  /// each.
  void mark();
  bool past_mark(std::uint64_t by) const;

  void store_put_back(std::size_t peer);
  /// Both sides of each of its pairs have reported it.
  void put_back_reported(std::size_t peer);
  /// An event at `peer` about `other` names these sequences.
  void note_event(std::size_t peer, std::size_t other, reported_range outbound,
                  reported_range inbound);

 private:
  stream& of(std::size_t from, std::size_t to) { return streams_[from * peers_ + to]; }
  const stream& of(std::size_t from, std::size_t to) const { return streams_[from * peers_ + to]; }

  std::size_t peers_;
  std::vector<journal_reader<sent_record>> sent_;
  std::vector<journal_reader<received_record>> received_;
  std::deque<stream> streams_;
};

}  // namespace torture
