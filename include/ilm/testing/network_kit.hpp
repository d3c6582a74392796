#pragma once

#include <ilm/network.hpp>
#include <ilm/testing/kit/network_checks.hpp>
#include <ilm/testing/kit/network_clause.hpp>
#include <ilm/testing/kit/network_fixture.hpp>
#include <ilm/testing/kit/network_sessions.hpp>
#include <ilm/testing/kit/report.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <utility>

namespace ilm::inline v0::testing {

/// Tries the whole contract of ilm::network on a network of yours, clause by clause, and says which
/// ones it breaks. Works with any test framework, and with none.
///
/// `factory` is anything that can be called with a number: `factory(place)` gives the network of
/// the peer with that number, which runs on `context`. Each number is a peer of another name; one
/// that comes again, when the first has been destroyed, is a successor of the same name. The
/// factory may have these members as well, as far as they apply; clauses that need a missing one
/// are reported as skipped:
///
/// | member of the factory               | effect                                                 |
/// |-------------------------------------|--------------------------------------------------------|
/// | `introduce(network&, network&)`     | has the two find each other, by an address, say.       |
/// |                                     | Called once for each pair, before either receives, or  |
/// |                                     | when a successor comes                                 |
/// | `cut(network&, network&)`           | ends the session between the two, from below           |
/// | `restore(network&, network&)`       | lets the next one begin                                |
/// | `end(network&)`                     | ends the network for this peer, for good               |
/// | `tells_presence`, a `bool` constant | false if the network cannot tell when peers go: it     |
/// |                                     | reports `up` once for each, and is done                |
/// | `may_corrupt`, a `bool` constant    | true if frames may be changed on their way             |
///
/// `report` is called with a kit_report for each clause: kept, broken with the finding, or skipped
/// with the reason. The first broken clause is the most telling; others may follow from it.
///
/// Runs `context`, in this thread, on which nothing else should be under way. An operation that
/// does not complete, or a frame that does not arrive, within `options.limit` of `Clock`'s time or
/// a part of it is a finding. Frames beyond maximum_frame_size are not tried: a messenger sends
/// none. After a finding of an operation that does not complete, do not run `context` again: its
/// handlers refer to destroyed objects.
template <class Clock = std::chrono::steady_clock, class Factory>
kit_summary<network_clause> try_network(
    asio::io_context& context, Factory&& factory,
    std::function<void(const kit_report<network_clause>&)> report,
    const kit_options& options = {}) {
  using fixture_type = kit::network_fixture<Clock, std::remove_reference_t<Factory>>;
  using clause = network_clause;
  fixture_type fixture(context, factory, options, std::move(report));
  kit::network_checks<fixture_type> frames(fixture);
  frames.run_frames();
  kit::network_sessions<fixture_type>(fixture).run();
  frames.run_peers();
  // These are looked for in all that is done.
  for (clause c : {clause::up_before_frames, clause::up_and_down_alternate, clause::executor,
                   clause::nothing_of_oneself, clause::no_strangers}) {
    fixture.attempt(c, [] {});
  }
  if (fixture_type::tells_presence) {
    fixture.attempt(clause::no_frames_after_down, [] {});
  } else {
    fixture.results().skipped(clause::no_frames_after_down,
                              "not tried: the network tells of no `down`");
  }
  for (clause c : {clause::no_loss, clause::order, clause::no_repetition}) {
    if (fixture_type::reliable) {
      fixture.attempt(c, [] {});
    } else {
      fixture.results().skipped(c, "not tried: the network does not say that it is reliable");
    }
  }
  return fixture.results().finish();
}

}  // namespace ilm::inline v0::testing
