#include "support/catch.hpp"

#include <ilm/protocol/random.hpp>
#include <ilm/protocol/sequence_set.hpp>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

using ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

ranges of(const sequence_set& s) { return {s.ranges().begin(), s.ranges().end()}; }

/// Adds a range, and gives the parts that were new.
ranges add(sequence_set& s, std::uint64_t first, std::uint64_t last) {
  ranges fresh;
  s.add({first, last}, [&](const sequence_range& r) { fresh.emplace_back(r.first, r.last); });
  return fresh;
}

}  // namespace

TEST_CASE("ranges that touch or overlap are one, and only what is new is told") {
  sequence_set s;
  CHECK(s.empty());
  CHECK(add(s, 10, 20) == ranges{{10, 20}});
  CHECK(add(s, 12, 15).empty());
  CHECK(add(s, 10, 20).empty());
  CHECK(add(s, 21, 22) == ranges{{21, 22}});
  CHECK(add(s, 8, 9) == ranges{{8, 9}});
  CHECK(of(s) == ranges{{8, 22}});
  CHECK(add(s, 30, 40) == ranges{{30, 40}});
  CHECK(add(s, 50, 50) == ranges{{50, 50}});
  CHECK(of(s) == ranges{{8, 22}, {30, 40}, {50, 50}});
  CHECK(add(s, 1, 60) == ranges{{1, 7}, {23, 29}, {41, 49}, {51, 60}});
  CHECK(of(s) == ranges{{1, 60}});
}

TEST_CASE("a sequence that fills a gap joins both sides") {
  sequence_set s;
  s.add(1);
  s.add(3);
  CHECK(of(s) == ranges{{1, 1}, {3, 3}});
  s.add(2);
  CHECK(of(s) == ranges{{1, 3}});
  CHECK(s.contains(2));
  CHECK_FALSE(s.contains(4));
  CHECK(s.next_absent(1) == 4);
  CHECK(s.next_absent(4) == 4);
}

TEST_CASE("a sequence that is removed splits its range") {
  sequence_set s;
  add(s, 1, 5);
  s.remove(3);
  s.remove(3);
  CHECK(of(s) == ranges{{1, 2}, {4, 5}});
  s.remove(1);
  s.remove(5);
  CHECK(of(s) == ranges{{2, 2}, {4, 4}});
  s.remove(2);
  s.remove(9);
  CHECK(of(s) == ranges{{4, 4}});
}

TEST_CASE("what is below a sequence goes, and a range that holds it begins there") {
  sequence_set s;
  add(s, 1, 3);
  add(s, 5, 9);
  s.remove_below(7);
  CHECK(of(s) == ranges{{7, 9}});
  s.remove_below(7);
  CHECK(of(s) == ranges{{7, 9}});
  s.remove_below(10);
  CHECK(s.empty());
}

TEST_CASE("a set of ranges holds the same as a set of single sequences") {
  random_source random(7);
  for (int round = 0; round < 200; ++round) {
    sequence_set s;
    std::set<std::uint64_t> model;
    for (int step = 0; step < 60; ++step) {
      std::uint64_t at = 1 + random.below(40);
      std::uint64_t choice = random.below(8);
      if (choice == 0) {
        s.remove_below(at);
        model.erase(model.begin(), model.lower_bound(at));
      } else if (choice < 3) {
        s.remove(at);
        model.erase(at);
      } else {
        std::uint64_t last = at + random.below(6);
        std::set<std::uint64_t> fresh;
        for (const auto& [from, to] : add(s, at, last)) {
          for (std::uint64_t i = from; i <= to; ++i) fresh.insert(i);
        }
        std::set<std::uint64_t> expected;
        for (std::uint64_t i = at; i <= last; ++i) {
          if (model.insert(i).second) expected.insert(i);
        }
        CHECK(fresh == expected);
      }
      REQUIRE(s.invariants_hold());
      std::set<std::uint64_t> held;
      std::uint64_t before = 0;
      for (const auto& [from, to] : s.ranges()) {
        CHECK((before == 0 || from > before + 1));
        before = to;
        for (std::uint64_t i = from; i <= to; ++i) held.insert(i);
      }
      CHECK(held == model);
    }
  }
}
