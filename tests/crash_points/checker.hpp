#pragma once

// Decides from outside whether a run kept the promises: the checker sees sends, deliveries and
// events of applications, the frames on the wire, and the content of the stores.

#include "event_checker.hpp"
#include "observations.hpp"

#include <ilm/statistics.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace crash_points {

class checker {
 public:
  using message = ilm::message<std::string>;
  using event_type = event_checker::event_type;
  using report_type = ilm::shutdown_report<std::string>;

  checker() = default;
  checker(const checker&) = delete;
  checker& operator=(const checker&) = delete;

  // Inputs from applications.

  /// A send begins; its text is `text_of`.
  send_id handle_send(side from);
  void handle_stored(side from, send_id which, std::uint64_t sequence, const disk& d);
  void handle_refused(side from, send_id which);
  void handle_receipt(side from, send_id which);
  void handle_consumed(side at, const message& m, const disk& d);
  /// The application of `at` answers each message, with its consumption.
  void expect_answers(side at) { seen_.answers[at] = true; }
  /// It sends an answer; its text is `text_of`. It is stored with the consumption, or never.
  send_id handle_answer(side at, const message& m);
  /// It was told that the store has recorded the consumption.
  void handle_recorded(side at, const message& m, const disk& d);
  void handle_declined(side at, const message& m) { events_.handle_declined(at, m.sequence); }
  void handle_event(side self, const event_type& e) { events_.handle_event(self, e); }
  void handle_report(side self, const report_type& r, std::uint64_t first_at_open, const disk& d);

  // Inputs from sides and their stores.

  void handle_start(side self, const disk& d);
  /// Open sends may be stored or not: they get no result.
  void handle_crash(side self);
  void handle_commit_begin(side self) { committing_[self] = seen_.to(self).next_to_consume; }
  void handle_commit(side self, const disk& before, const batch& change, const disk& d);
  /// The store of `self` is now another: an empty one or an older copy.
  void handle_replacement(side self, const disk& by);
  void expect_store_failures() noexcept { events_.expect_store_failures(); }

  // Inputs from the network: frames as they are sent.

  void handle_frame(side from, const disk& d, std::span<const std::byte> bytes);

  // Results.

  void fail(std::string failure) { seen_.fail(std::move(failure)); }
  /// The checks after convergence.
  void finish(const disk& a, const disk& b);
  /// Whether a send has no result yet.
  bool waiting() const noexcept { return seen_.open_sends != 0; }
  bool last_is_stored(side sender) const {
    return seen_.from(sender).sends.back().state == fate::stored;
  }
  const std::vector<std::string>& failures() const noexcept { return seen_.failures; }

 private:
  send_id id_of(side from, const std::string& text);
  void check_order(side at, const stream& s, const message& m, send_id which);
  void check_answers(side self, const disk& before, const batch& change, const disk& d);
  void finish_answers(side self);
  void check_queues(side self, const disk& d);

  observations seen_;
  event_checker events_{seen_};
  std::array<std::uint64_t, 2> committing_{1, 1};
};

}  // namespace crash_points
