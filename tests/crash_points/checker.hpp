#pragma once

// Decides from outside whether a run kept the promises: the checker sees sends, deliveries and
// events of applications, the frames on the wire, and the content of the stores.

#include "crash_plan.hpp"
#include "disk.hpp"

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

class checker {
 public:
  using message = ilm::message<std::string>;
  using event_type = ilm::event<std::string>;
  using report_type = ilm::shutdown_report<std::string>;
  using id = std::size_t;

  // Inputs from applications.

  /// A send begins; its text is `text_of`.
  id handle_send(side from);
  static std::string text_of(side from, id which) { return name_of(from) + std::to_string(which); }
  void handle_stored(side from, id which, std::uint64_t sequence, const disk& d);
  void handle_refused(side from, id which);
  void handle_receipt(side from, id which);
  void handle_consumed(side at, const message& m, const disk& d);
  void handle_declined(side at, const message& m) { declined_[at].insert(m.sequence); }
  void handle_event(side self, const event_type& e);
  void handle_report(side self, const report_type& r, std::uint64_t first_at_open, const disk& d);

  // Inputs from sides and their stores.

  void handle_start(side self, const disk& d);
  /// Open sends may be stored or not: they get no result.
  void handle_crash(side self);
  void handle_commit_begin(side self) { committing_[self] = to(self).next_to_consume; }
  void handle_commit(side self, const disk& d);
  /// The store of `self` is now another: an empty one or an older copy.
  void handle_replacement(side self, const disk& by);
  void expect_store_failures() noexcept { stores_fail_ = true; }

  // Inputs from the network: frames as they are sent.

  void handle_frame(side from, const disk& d, std::span<const std::byte> bytes);

  // Results.

  void fail(std::string failure);
  /// The checks after convergence.
  void finish(const disk& a, const disk& b);
  /// Whether a send has no result yet.
  bool waiting() const noexcept { return open_sends_ != 0; }
  bool last_is_stored(side sender) const {
    return streams_[sender].sends.back().state == fate::stored;
  }
  const std::vector<std::string>& failures() const noexcept { return failures_; }

 private:
  enum class fate : std::uint8_t { open, stored, refused, interrupted };
  using range = ilm::sequence_range;

  struct sent {
    fate state = fate::open;
    std::uint64_t sequence = 0;  ///< 0 while unknown
    bool abandoned = false;      ///< in a store that was lost, or later than its older copy
    unsigned consumed = 0;
    unsigned repeated = 0;  ///< beyond the window of a crash
  };
  struct place_in_inbox {
    id which = 0;
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
    std::vector<range> may_repeat;
    std::vector<range> missed_by_receiver;
    std::vector<range> missed_by_sender;
    std::vector<range> forgotten;
  };

  stream& from(side s) { return streams_[s]; }
  stream& to(side s) { return streams_[other(s)]; }

  id id_of(side from, const std::string& text);
  void check_order(side at, const stream& s, const message& m, id which);
  void check_queues(side self, const disk& d);
  void check_consumed_below(side sender, std::uint64_t first, const char* source);
  void finish_stream(side sender);
  void finish_abandoned(side sender, id which);
  void finish_replacement();
  static bool named(const std::vector<range>& ranges, std::uint64_t sequence);

  std::array<stream, 2> streams_;
  std::array<std::uint64_t, 2> committing_{1, 1};
  std::array<std::set<std::uint64_t>, 2> declined_;
  std::array<std::map<ilm::event_kind, unsigned>, 2> events_;
  std::optional<side> replaced_;
  bool lost_ = false;
  bool stores_fail_ = false;
  std::size_t open_sends_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace crash_points
