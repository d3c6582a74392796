// A few histories of each profile; the same seed gives the same history; the checker finds planted
// defects, and shrinking shortens their histories.

#include "simulation/play.hpp"
#include "simulation/shrink.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t share = 10;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr std::uint64_t share = 10;
#else
constexpr std::uint64_t share = 1;
#endif
#else
constexpr std::uint64_t share = 1;
#endif

namespace {

using simulation::make_plan;
using simulation::sabotage;

void play_seeds(const std::string& profile, std::uint64_t count) {
  for (std::uint64_t seed = 1; seed <= count / share; ++seed) {
    simulation::outcome o = simulation::play(make_plan(seed, profile));
    INFO("ilm_simulate --profile " << profile << " --replay " << seed);
    INFO(o.failure.text);
    REQUIRE(o.failure.kind == "");
  }
}

/// The kind of the first failure among some seeds; empty if there is none.
std::string found(const std::string& profile, sabotage planted, std::uint64_t seeds = 40) {
  simulation::playing how;
  how.planted = planted;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    simulation::outcome o = simulation::play(make_plan(seed, profile), how);
    if (o.failure) return o.failure.kind;
  }
  return {};
}

}  // namespace

TEST_CASE("histories with nothing in the way lose, repeat and reorder nothing") {
  play_seeds("calm", 100);
}
TEST_CASE("histories on a bad network lose, repeat and reorder nothing") {
  play_seeds("network", 300);
}
TEST_CASE("histories with crashes lose, repeat and reorder nothing") { play_seeds("crashes", 300); }
TEST_CASE("histories on failing stores lose, repeat and reorder nothing") {
  play_seeds("stores", 300);
}
TEST_CASE("a lost store is always reported") { play_seeds("lost", 300); }
TEST_CASE("a rolled back store is always reported") { play_seeds("old_copies", 300); }
TEST_CASE("old frames of the handshake, guessed frames and other builds change nothing") {
  play_seeds("attackers", 300);
}
TEST_CASE("histories of relays give each input its outputs once, in one commit") {
  play_seeds("relays", 300);
}
TEST_CASE("histories with every trouble at once hold every promise") {
  play_seeds("everything", 300);
}

TEST_CASE("the same seed gives the same history") {
  for (const std::string& profile : simulation::profiles()) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      INFO(profile << ' ' << seed);
      simulation::plan p = make_plan(seed, profile);
      CHECK(simulation::play(p).hash == simulation::play(p).hash);
      CHECK(describe(make_plan(seed, profile)) == describe(p));
    }
  }
}

TEST_CASE("another seed gives another history") {
  CHECK(simulation::play(make_plan(1, "network")).hash !=
        simulation::play(make_plan(2, "network")).hash);
}

TEST_CASE("the checker sees an application get a message twice") {
  CHECK(found("calm", sabotage::repeat_delivery) == "out of order");
}
TEST_CASE("the checker sees an application not get a message") {
  CHECK(found("calm", sabotage::lose_delivery) != "");
}
TEST_CASE("the checker sees two messages change places") {
  CHECK(found("calm", sabotage::swap_deliveries) == "out of order");
}
TEST_CASE("the checker sees a store that acknowledges and forgets") {
  CHECK(found("calm", sabotage::forgetful_store) != "");
}
TEST_CASE("the checker sees an acknowledgement before the commit") {
  CHECK(found("calm", sabotage::hasty_store) != "");
}
TEST_CASE("the checker sees that no event reports a lost store") {
  CHECK(found("lost", sabotage::withheld_events) != "");
}
TEST_CASE("the checker sees that no event reports a rolled back store") {
  CHECK(found("old_copies", sabotage::withheld_events) != "");
}
TEST_CASE("the checker sees more in flight than the window allows") {
  CHECK(found("network", sabotage::leaky_window) != "");
}

TEST_CASE("the checker sees relays whose outputs go with another commit") {
  std::string kind = found("relays", sabotage::separate_sends);
  CHECK((kind == "consumed without its output" || kind == "stored without its input"));
}
TEST_CASE("the checker sees a message consumed before its reader is done") {
  CHECK(found("relays", sabotage::hasty_reader) == "recorded but not consumed");
}

TEST_CASE("the checker sees a consumption without its effect") {
  CHECK(found("effects", sabotage::dropped_effects) == "effect without its record");
}

TEST_CASE("the checker sees that guessed frames count") {
  CHECK(found("attackers", sabotage::known_tags) != "");
}
TEST_CASE("the checker sees that only a part of a batch is stored") {
  CHECK(found("crashes", sabotage::separate_batches) == "half a batch");
}
TEST_CASE("the checker sees that an old frame of the handshake ends a session") {
  std::string kind = found("attackers", sabotage::heeded_replays);
  CHECK((kind == "session ended" || kind == "stands still" || kind == "does not converge"));
}

TEST_CASE("a history that fails by a guessed frame is shrunk to that and a few more steps") {
  simulation::playing how;
  how.planted = sabotage::known_tags;
  for (std::uint64_t seed = 1;; ++seed) {
    simulation::plan p = make_plan(seed, "attackers");
    if (!simulation::play(p, how).failure) continue;
    simulation::shrunk s = simulation::shrink(p, how, 500);
    INFO(describe(s.plan));
    CHECK(s.plan.steps.size() <= 6);
    CHECK(std::any_of(s.plan.steps.begin(), s.plan.steps.end(),
                      [](const auto& x) { return x.kind == simulation::action::guess; }));
    break;
  }
}

TEST_CASE("a history that fails is shrunk to a short one") {
  simulation::playing how;
  how.planted = sabotage::lose_delivery;
  for (std::uint64_t seed = 1;; ++seed) {
    simulation::plan p = make_plan(seed, "crashes");
    std::string kind = simulation::play(p, how).failure.kind;
    if (kind.empty()) continue;
    simulation::shrunk s = simulation::shrink(p, how, 500);
    CHECK(s.outcome.failure.kind == kind);
    CHECK(s.plan.steps.size() <= 8);
    CHECK(s.plan.steps.size() < p.steps.size() / 2);
    CHECK(simulation::play(s.plan, how).failure.kind == kind);
    break;
  }
}
