#include "flawed_network.hpp"
#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/testing/network_kit.hpp>

#include <chrono>
#include <utility>
#include <vector>

using namespace test;
using ilm::testing::network_clause;

// Networks that each break one clause: the kit's first finding must name it.

namespace {

using table = std::vector<std::pair<bad_line, network_clause>>;

const table of_frames = {
    {bad_line::one_name_for_all, network_clause::local_id},
    {bad_line::small_maximum, network_clause::maximum_frame_size},
    {bad_line::maximum_differs, network_clause::maximum_frame_size},
    {bad_line::no_up, network_clause::up},
    {bad_line::up_under_another_name, network_clause::up},
    {bad_line::up_for_one_side_only, network_clause::up},
    {bad_line::drops_all, network_clause::frame_arrives},
    {bad_line::wrong_from, network_clause::from},
    {bad_line::wrong_destination, network_clause::destination},
    {bad_line::to_everybody, network_clause::destination},
    {bad_line::cuts_long_frames, network_clause::whole_frames},
    {bad_line::cuts_at_zero, network_clause::whole_frames},
    {bad_line::loses_last_byte, network_clause::whole_frames},
    {bad_line::flips_a_bit, network_clause::whole_frames},
    {bad_line::drops_the_largest, network_clause::frame_sizes},
    {bad_line::drops_tiny_frames, network_clause::frame_sizes},
    {bad_line::echo, network_clause::nothing_of_oneself},
    {bad_line::invents_frames, network_clause::no_strangers},
};

const table of_lives = {
    {bad_line::up_twice, network_clause::up_and_down_alternate},
    {bad_line::up_of_itself, network_clause::nothing_of_oneself},
    {bad_line::down_twice, network_clause::up_and_down_alternate},
    {bad_line::foreign_send, network_clause::executor},
    {bad_line::foreign_receive, network_clause::executor},
};

struct verdict {
  ilm::testing::kit_summary<network_clause> summary;
  std::string findings;
};

verdict judge(bad_line f) {
  asio::io_context context;
  flawed_networks factory(context, f);
  verdict v;
  auto listen = [&](const ilm::testing::kit_report<network_clause>& r) {
    if (r.outcome != ilm::testing::kit_outcome::broken) return;
    v.findings.append(r.text).append("\n  found: ").append(r.found).append("\n");
  };
  ilm::testing::kit_options o;
  o.limit = std::chrono::milliseconds(f == bad_line::none ? 10'000 : 400);
  v.summary = ilm::testing::try_network(context, factory, listen, o);
  return v;
}

void require_named(const table& flaws) {
  for (auto [what, clause] : flaws) {
    verdict v = judge(what);
    INFO("flaw " << static_cast<int>(what) << ", expected: " << ilm::testing::text_of(clause)
                 << "\n"
                 << v.findings);
    CHECK_FALSE(v.summary);
    if (!v.summary) CHECK(v.summary.broken.front() == clause);
  }
}

}  // namespace

TEST_CASE("a network without a flaw has none that the kit finds") {
  verdict v = judge(bad_line::none);
  INFO(v.findings);
  CHECK(v.summary);
}

TEST_CASE("the kit's first finding names what a network does wrong with frames") {
  require_named(of_frames);
}

TEST_CASE("the kit's first finding names what a network does wrong with sessions") {
  require_named(of_lives);
}
