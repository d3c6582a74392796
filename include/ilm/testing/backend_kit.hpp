#pragma once

#include <ilm/backend.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/testing/kit/backend_clause.hpp>
#include <ilm/testing/kit/backend_faults.hpp>
#include <ilm/testing/kit/backend_fixture.hpp>
#include <ilm/testing/kit/backend_handles.hpp>
#include <ilm/testing/kit/backend_messages.hpp>
#include <ilm/testing/kit/backend_reading.hpp>
#include <ilm/testing/kit/report.hpp>
#include <ilm/testing/kit/store_under_test.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <utility>

namespace ilm::inline v0::testing {

/// Tries the whole contract of ilm::backend on a backend of yours, clause by clause, and says which
/// ones it breaks. Works with any test framework, and with none.
///
/// `factory` is anything that can be called with a number: `factory(n)` gives a new handle to the
/// store number n, which is new when n is. Two handles of one number are to one store. A lambda
/// will do. Further clauses are tried if the factory has these members as well, and are reported as
/// skipped otherwise; `n` is an `unsigned`, `on` a `bool`:
///
/// | member of the factory           | effect                                                     |
/// |---------------------------------|------------------------------------------------------------|
/// | `peers()`                       | a range of five peer ids or more, all different. Needed if |
/// |                                 | the type is no string, integer or array of bytes           |
/// | `fail_commits(n, on)`           | while on, the store n cannot be written: a full disk       |
/// | `fail_reads(n, on)`             | while on, the store n cannot be read                       |
/// | `fail_opens(n, on)`             | while on, the store n cannot be opened                     |
/// | `crash(n)`                      | a crash of the kind that `durable_to` names, now, perhaps  |
/// |                                 | with a commit under way. Operations of handles made        |
/// |                                 | before do not reach the store any more that                |
/// |                                 | `factory(n)` gives: copy its files away, say               |
/// | `crash_at(n, step)`             | the next commit of store n ends at its `step`-th write,    |
/// |                                 | from 0, as if by a crash, whether or not it throws. A      |
/// |                                 | `crash(n)` follows. No effect if it has fewer writes       |
/// | `damage(n, queue, peer, index)` | flips a bit of that message in the closed store n          |
/// | `damage(n)`                     | makes the closed store n unreadable                        |
/// | `one_handle`, a `bool` constant | true if the store is in the handle and goes with it        |
///
/// `report` is called with a kit_report for each clause: kept, broken with the finding, or skipped
/// with the reason. The first broken clause is the most telling; others may follow from it.
///
/// Runs `context`, in this thread, on which nothing else should be under way; stores that it made
/// are left behind, and another run needs others: one that was not new is said to be so, and ends
/// the kit. An operation that does not complete within `options.limit` of `Clock`'s time is
/// a finding, and so is an unexpected exception; an operation that blocks the thread for ever
/// blocks the kit. A backend in memory takes well below a second.
template <class PeerId = std::string, class Clock = std::chrono::steady_clock, class Factory>
kit_summary<backend_clause> try_backend(
    asio::io_context& context, Factory&& factory,
    std::function<void(const kit_report<backend_clause>&)> report,
    const kit_options& options = {}) {
  using fixture_type = kit::backend_fixture<PeerId, Clock, std::remove_reference_t<Factory>>;
  fixture_type fixture(context, factory, options, std::move(report));
  kit::backend_messages<fixture_type> messages(fixture);
  kit::backend_reading<fixture_type> reading(fixture);
  messages.run();
  reading.run_erasure();
  messages.run_numbers();
  reading.run_pages();
  kit::backend_handles<fixture_type>(fixture).run();
  messages.run_reopened();
  messages.run_large();
  reading.run_together();
  // These are looked for in all that is done.
  fixture.attempt(backend_clause::read_without_gap, [] {});
  fixture.attempt(backend_clause::executor, [] {});
  kit::backend_faults<fixture_type>(fixture).run();
  return fixture.results().finish();
}

}  // namespace ilm::inline v0::testing
