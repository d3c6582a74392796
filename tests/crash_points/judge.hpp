#pragma once

// Stands outside and decides whether what happened was allowed: it sees what applications send,
// take and are told, what goes over the wire, and what is in the stores.

#include "disk.hpp"
#include "words.hpp"

#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/statistics.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace crash_points {

class judge {
 public:
  using message = ilm::message<std::string>;
  using event_type = ilm::event<std::string>;
  using report_type = ilm::shutdown_report<std::string>;
  using id = std::size_t;

  // What applications do and are told.

  /// A send begins; its text is `text_of`.
  id sending(side from);
  static std::string text_of(side from, id which) { return name_of(from) + std::to_string(which); }
  void stored(side from, id which, std::uint64_t sequence, const disk& d);
  void refused(side from, id which);
  void receipt(side from, id which);
  void taken(side at, const message& m, const disk& d);
  void not_taken(side at, const message& m) { turned_down_[at].insert(m.sequence); }
  void told(side who, const event_type& e);
  void reported(side who, const report_type& r, std::uint64_t first_at_open, const disk& d);

  // What happens to sides and their stores.

  void started(side who, const disk& d);
  /// Its open sends may be stored or not: nobody will say.
  void crashed(side who);
  void committing(side who) { committing_[who] = to(who).next_to_take; }
  void committed(side who, const disk& d);
  /// The store of `who` is now another: an empty one or an older copy.
  void replaced(side who, const disk& by);
  void expect_store_failures() noexcept { stores_fail_ = true; }

  // What goes over the wire, as it goes out.

  void frame_sent(side from, const disk& d, std::span<const std::byte> bytes);

  // Verdicts.

  void fail(std::string what);
  /// When all has come to rest.
  void finish(const disk& a, const disk& b);
  /// Whether anybody waits for an answer to a send.
  bool waiting() const noexcept { return open_sends_ != 0; }
  bool last_is_stored(side sender) const {
    return streams_[sender].sends.back().what == fate::stored;
  }
  const std::vector<std::string>& failures() const noexcept { return failures_; }

 private:
  enum class fate : std::uint8_t { open, stored, refused, interrupted };
  using range = ilm::sequence_range;

  struct sent {
    fate what = fate::open;
    std::uint64_t sequence = 0;  ///< 0 while unknown
    bool abandoned = false;      ///< in a store that was lost, or later than its older copy
    unsigned taken = 0;
    unsigned repeated = 0;  ///< beyond what the window of a crash explains
  };
  struct place_in_inbox {
    id which = 0;
    std::uint64_t sequence = 0;
  };

  /// The messages of one side to the other.
  struct stream {
    std::vector<sent> sends;
    /// What the receiver's application took, by index, in the present history of its store.
    std::map<std::uint64_t, place_in_inbox> by_index;
    std::optional<std::uint64_t> expected;  ///< the next index; none if the receiver knows nobody
    std::uint64_t next_to_take = 1;         ///< one past the highest index ever taken
    std::uint64_t recorded = 1;             ///< what a completed commit knew of that
    bool may_jump = false;                  ///< an event said that sequences begin elsewhere
    // What events named.
    std::vector<range> may_repeat;
    std::vector<range> missed_by_receiver;
    std::vector<range> missed_by_sender;
    std::vector<range> forgotten;
  };

  stream& from(side s) { return streams_[s]; }
  stream& to(side s) { return streams_[other(s)]; }

  id id_of(side from, const std::string& text);
  void check_order(side at, const stream& s, const message& m, id which);
  void check_boxes(side who, const disk& d);
  void check_taken_below(side sender, std::uint64_t first, const char* who_says);
  void finish_stream(side sender);
  void finish_abandoned(side sender, id which);
  void finish_disaster();
  static bool named(const std::vector<range>& ranges, std::uint64_t sequence);

  std::array<stream, 2> streams_;
  std::array<std::uint64_t, 2> committing_{1, 1};
  std::array<std::set<std::uint64_t>, 2> turned_down_;
  std::array<std::map<ilm::event_kind, unsigned>, 2> events_;
  std::optional<side> replaced_;
  bool lost_ = false;
  bool stores_fail_ = false;
  std::size_t open_sends_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace crash_points
