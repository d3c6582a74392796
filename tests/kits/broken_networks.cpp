#include "flawed_network.hpp"
#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>
#include <ilm/testing/kit/test_peer.hpp>
#include <ilm/testing/network_kit.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;
using ilm::testing::network_clause;

// Networks that each break one clause: the kit's first finding must name it.

namespace {

using simulated = ilm::testing::simulated_clock;
using table = std::vector<std::pair<bad_line, network_clause>>;

const table of_frames = {
    {bad_line::one_name_for_all, network_clause::local_id},
    {bad_line::name_changes, network_clause::local_id},
    {bad_line::small_maximum, network_clause::maximum_frame_size},
    {bad_line::maximum_differs, network_clause::maximum_frame_size},
    {bad_line::maximum_changes, network_clause::maximum_frame_size},
    {bad_line::drops_all, network_clause::frame_arrives},
    {bad_line::send_throws, network_clause::frame_arrives},
    {bad_line::wrong_from, network_clause::from},
    {bad_line::wrong_destination, network_clause::destination},
    {bad_line::to_everybody, network_clause::destination},
    {bad_line::cuts_long_frames, network_clause::whole_frames},
    {bad_line::cuts_at_zero, network_clause::whole_frames},
    {bad_line::loses_last_byte, network_clause::whole_frames},
    {bad_line::flips_a_bit, network_clause::whole_frames},
    {bad_line::merges_frames, network_clause::whole_frames},
    {bad_line::splits_frames, network_clause::whole_frames},
    {bad_line::drops_the_largest, network_clause::frame_sizes},
    {bad_line::cuts_the_largest, network_clause::frame_sizes},
    {bad_line::drops_tiny_frames, network_clause::frame_sizes},
    {bad_line::shared_buffer, network_clause::own_buffer},
    {bad_line::echo, network_clause::nothing_of_oneself},
    {bad_line::invents_frames, network_clause::no_strangers},
};

const table of_reliability = {
    {bad_line::loses_one_in_fifty, network_clause::no_loss},
    {bad_line::loses_one_in_three_thousand, network_clause::no_loss},
    {bad_line::loses_half_the_sizes, network_clause::frame_sizes},
    {bad_line::wrong_from_in_a_thousand, network_clause::from},
    {bad_line::small_overtake_large, network_clause::order},
    {bad_line::swaps_neighbours, network_clause::order},
    {bad_line::repeats_one_in_fifty, network_clause::no_repetition},
    {bad_line::loses_beyond_a_thousand, network_clause::many_frames},
    {bad_line::keeps_a_hundred, network_clause::many_frames},
};

const table of_calls = {
    {bad_line::absent_blocks, network_clause::absent_peer},
    {bad_line::absent_ends_it, network_clause::absent_peer},
    {bad_line::slow_one_blocks_all, network_clause::slow_peer},
    {bad_line::polls, network_clause::receive_waits},
    {bad_line::foreign_send, network_clause::executor},
    {bad_line::foreign_receive, network_clause::executor},
    {bad_line::receive_ignores_cancellation, network_clause::receive_cancelled},
    {bad_line::send_ignores_cancellation, network_clause::send_cancelled},
};

const table of_sessions = {
    {bad_line::no_up, network_clause::up},
    {bad_line::receive_throws, network_clause::up},
    {bad_line::up_under_another_name, network_clause::up},
    {bad_line::up_for_one_side_only, network_clause::up},
    {bad_line::frame_before_up, network_clause::up_before_frames},
    {bad_line::up_twice, network_clause::up_and_down_alternate},
    {bad_line::up_of_itself, network_clause::nothing_of_oneself},
    {bad_line::down_twice, network_clause::up_and_down_alternate},
    {bad_line::no_down, network_clause::down},
    {bad_line::no_down_when_cut, network_clause::next_session},
    {bad_line::frame_after_down, network_clause::no_frames_after_down},
    {bad_line::name_stays_taken, network_clause::successor},
    {bad_line::no_successor, network_clause::successor},
    {bad_line::old_frames, network_clause::no_old_frames},
    {bad_line::moved_from_leaves, network_clause::moved_handle},
    {bad_line::no_second_session, network_clause::next_session},
    {bad_line::repeats_the_last_after_up, network_clause::no_old_frames},
    {bad_line::end_hangs, network_clause::ended_network},
    {bad_line::end_throws_once, network_clause::ended_network},
};

struct kit_result {
  ilm::testing::kit_summary<network_clause> summary;
  std::string findings;
  std::vector<network_clause> skipped;
};

kit_result try_flaw(bad_line f) {
  simulated::reset();
  kit_result v;
  auto listen = [&](const ilm::testing::kit_report<network_clause>& r) {
    if (r.outcome == ilm::testing::kit_outcome::skipped) v.skipped.push_back(r.clause);
    note(r, v.findings);
  };
  asio::io_context context;
  {
    flawed_networks factory(context, f);
    v.summary = ilm::testing::try_network<simulated>(context, factory, listen);
  }
  simulated::reset();
  return v;
}

}  // namespace

TEST_CASE("a network without a flaw has none that the kit finds") {
  for (bad_line f : {bad_line::none, bad_line::waits_when_full, bad_line::throws_for_absent}) {
    kit_result v = try_flaw(f);
    INFO(v.findings);
    CHECK(v.summary);
    // A send that never waits cannot be cancelled while it waits.
    bool waits = f == bad_line::waits_when_full;
    CHECK(v.skipped == std::vector<network_clause>(waits ? 0 : 1, network_clause::send_cancelled));
  }
}

TEST_CASE("the kit's first finding names the flaw of a network with frames") {
  require_named(of_frames, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a reliable network") {
  require_named(of_reliability, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a network in its calls") {
  require_named(of_calls, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a network with sessions") {
  require_named(of_sessions, try_flaw);
}

namespace {

/// The events that one peer of the kit receives from "b", and the clauses that they break.
struct scripted_events {
  using peer_id = std::string;
  using event = ilm::network_event<peer_id>;
  static constexpr bool reliable = true, may_corrupt = false;

  class network_type {
   public:
    explicit network_type(scripted_events* s) : script_(s) {}
    peer_id local_id() const { return "a"; }
    asio::awaitable<event> receive() {
      if (script_->events.empty()) throw std::system_error(ilm::error::network_ended);
      event next = std::move(script_->events.front());
      script_->events.pop_front();
      co_return next;
    }

   private:
    scripted_events* script_;
  };

  auto factory() {
    return [this](unsigned) { return network_type(this); };
  }
  template <class Result, class Operation>
  std::shared_ptr<ilm::testing::kit::call<Result>> start(Operation operation) {
    asio::co_spawn(context, operation(), [](const std::exception_ptr&) {});
    return nullptr;
  }
  bool on_strand() const { return true; }
  void progress() {}
  void report_violation(network_clause c, const std::string&) { broken.push_back(c); }

  asio::io_context context;
  std::deque<event> events;
  std::vector<network_clause> broken;
};

/// `u` is an up of "b", `d` a down, `f` a frame, `o` an up of the peer itself.
std::vector<network_clause> broken_by(const std::string& script) {
  using event = scripted_events::event;
  scripted_events s;
  for (char c : script) {
    if (c == 'u') s.events.push_back(event::up("b"));
    if (c == 'd') s.events.push_back(event::down("b"));
    if (c == 'o') s.events.push_back(event::up("a"));
    if (c == 'f') s.events.push_back(event::frame("b", {std::byte{2}, std::byte{2}}));
  }
  auto peer = std::make_shared<ilm::testing::kit::test_peer<scripted_events>>(s, 0U);
  peer->known["b"] = 1;
  peer->receive();
  s.context.run();
  return s.broken;
}

}  // namespace

TEST_CASE("the kit tells an event that is out of its order, and no other") {
  using clauses = std::vector<network_clause>;
  const clauses alternate{network_clause::up_and_down_alternate};
  CHECK(broken_by("ufdufud") == alternate);
  CHECK(broken_by("ufdufd").empty());
  CHECK(broken_by("uu") == alternate);
  CHECK(broken_by("uuf") == alternate);
  CHECK(broken_by("d") == alternate);
  CHECK(broken_by("udd") == alternate);
  CHECK(broken_by("f") == clauses{network_clause::up_before_frames});
  CHECK(broken_by("udf") == clauses{network_clause::no_frames_after_down});
  CHECK(broken_by("o") == clauses{network_clause::nothing_of_oneself});
}
