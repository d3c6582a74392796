#pragma once

// The observations of a run from outside, shared by the checkers.

#include "crash_plan.hpp"
#include "disk.hpp"

#include <ilm/message.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace crash_points {

using send_id = std::size_t;

enum class fate : std::uint8_t { open, stored, refused, interrupted };

struct sent {
  fate state = fate::open;
  std::uint64_t sequence = 0;  ///< 0 while unknown
  bool abandoned = false;      ///< in a store that was lost, or later than its older copy
  unsigned consumed = 0;
  unsigned repeated = 0;         ///< beyond the window of a crash
  std::optional<send_id> cause;  ///< the input that it answers
  unsigned answers = 0;          ///< to this one, in the store of its receiver
};
struct place_in_inbox {
  send_id which = 0;
  std::uint64_t sequence = 0;
};

/// The messages of one side to the other.
struct stream {
  std::vector<sent> sends;
  /// The messages consumed by the receiver's application, by index, in the present history of its
  /// store.
  std::map<std::uint64_t, place_in_inbox> by_index;
  std::optional<std::uint64_t> expected;  ///< the next index; none if the receiver has no peer
  std::uint64_t next_to_consume = 1;      ///< one past the highest index ever consumed
  std::uint64_t recorded = 1;             ///< `next_to_consume` at the last completed commit
  bool may_jump = false;                  ///< an event said that sequences begin elsewhere
  // Sequences named by events.
  std::vector<ilm::sequence_range> may_repeat;
  std::vector<ilm::sequence_range> missed_by_receiver;
  std::vector<ilm::sequence_range> missed_by_sender;
  std::vector<ilm::sequence_range> forgotten;
};

/// The text of a send.
inline std::string text_of(side from, send_id which) {
  return name_of(from) + std::to_string(which);
}

struct observations {
  stream& from(side s) { return streams[s]; }
  const stream& from(side s) const { return streams[s]; }
  stream& to(side s) { return streams[other(s)]; }

  void fail(std::string failure) { failures.push_back(std::move(failure)); }
  /// Messages that the sender has as delivered, according to `source`, were consumed.
  void check_consumed_below(side sender, std::uint64_t first, const char* source);

  std::array<stream, 2> streams;
  std::optional<side> replaced;   ///< the side that got another store
  bool lost = false;              ///< which is empty
  std::array<bool, 2> answers{};  ///< whether the application of a side answers each message
  std::size_t open_sends = 0;
  std::vector<std::string> failures;
};

}  // namespace crash_points
