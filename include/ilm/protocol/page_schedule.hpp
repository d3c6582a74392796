#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/retry.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::inline v0::protocol {

/// When a page may be asked for, and which failures to report: at most one page is outstanding for
/// each purpose, a failure delays the next request, and is reported once for each message.
class page_schedule {
 public:
  explicit page_schedule(const options& o) noexcept : slots_{slot(o), slot(o), slot(o)} {}

  bool ready(page_purpose p, timestamp now) const noexcept { return at(p).work.ready(now); }
  bool outstanding(page_purpose p) const noexcept { return at(p).work.outstanding(); }
  /// Whether no page is outstanding, and no failure is remembered.
  bool at_rest() const noexcept {
    return std::all_of(slots_.begin(), slots_.end(),
                       [](const slot& s) { return s.work.at_rest() && !s.reported.first; });
  }
  void handle_request(page_purpose p) noexcept { at(p).work.handle_given(); }

  void handle_page(const page_request& r) noexcept {
    assert(outstanding(r.purpose));
    at(r.purpose).work.handle_done();
    at(r.purpose).reported = {};
  }
  /// The event to report, if the failure is news. If a message is damaged, it is named.
  std::optional<event_record> handle_failure(const page_request& r, ilm::detail::failure why,
                                             timestamp now, const cursors& stored) noexcept {
    assert(outstanding(r.purpose) && why);
    at(r.purpose).work.handle_failed(now);
    std::pair<std::error_code, std::uint64_t> failure(why.code, r.from);
    if (std::exchange(at(r.purpose).reported, failure) == failure) return std::nullopt;
    event_record e(event_kind::store_failed, std::move(why));
    if (e.error != error::store_corrupt) return e;
    bool inbox = r.source() == queue::inbox;
    bool offset = inbox && r.from >= stored.inbox.start;
    std::uint64_t sequence = r.from + (offset ? stored.inbox.offset : 0);
    (inbox ? e.inbound : e.outbound) = sequence_range{sequence, sequence};
    return e;
  }
  void handle_timeout(timestamp now) noexcept {
    for (slot& s : slots_) s.work.handle_timeout(now);
  }
  timestamp deadline() const noexcept {
    return std::min(
        {slots_[0].work.deadline(), slots_[1].work.deadline(), slots_[2].work.deadline()});
  }

  bool invariants_hold() const noexcept {
    return slots_[0].work.invariants_hold() && slots_[1].work.invariants_hold() &&
           slots_[2].work.invariants_hold();
  }

 private:
  struct slot {
    explicit slot(const options& o) noexcept : work(o.minimum_store_retry, o.maximum_store_retry) {}

    retry work;
    std::pair<std::error_code, std::uint64_t> reported;  ///< the last failure, and its `from`
  };

  slot& at(page_purpose p) noexcept { return slots_[static_cast<std::size_t>(p)]; }
  const slot& at(page_purpose p) const noexcept { return slots_[static_cast<std::size_t>(p)]; }

  std::array<slot, page_purposes> slots_;
};

}  // namespace ilm::inline v0::protocol
