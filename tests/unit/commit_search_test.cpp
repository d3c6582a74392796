#include "support/catch.hpp"

#include <ilm/runtime/commit_search.hpp>

#include <cstddef>
#include <functional>
#include <set>
#include <vector>

using ilm::runtime::commit_search;
using ilm::runtime::fewest_refusals;
using ilm::runtime::longest_search;
using ilm::runtime::most_refusals;
using namespace std::chrono_literals;

namespace {

/// What a search did with a store that refuses each batch with a position of `refused`.
struct outcome {
  std::set<std::size_t> stored;
  std::set<std::size_t> found;  ///< tried alone, and refused
  std::size_t tries = 0;
};

outcome play(std::size_t together, std::size_t all, const std::set<std::size_t>& refused,
             std::chrono::nanoseconds per_try = 0s) {
  commit_search s;
  ilm::protocol::timestamp now = 1s;
  s.start(together, all, now);
  outcome o;
  while (auto tried = s.next(now)) {
    ++o.tries;
    now += per_try;
    auto at = refused.lower_bound(tried->first);
    if (at != refused.end() && *at < tried->last) {
      s.handle_failed();
      if (tried->size() == 1) o.found.insert(tried->first);
      continue;
    }
    s.handle_stored();
    for (std::size_t i = tried->first; i < tried->last; ++i) {
      CHECK(o.stored.insert(i).second);
    }
  }
  CHECK(s.ended());
  CHECK(s.any_stored() == !o.stored.empty());
  return o;
}

std::set<std::size_t> all_of(std::size_t n) {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < n; ++i) all.insert(i);
  return all;
}

}  // namespace

TEST_CASE("changes that the store takes are one batch") {
  outcome o = play(100, 100, {});
  CHECK(o.tries == 1);
  CHECK(o.stored.size() == 100);
}

TEST_CASE("one refused change is found wherever it is, and all others are stored") {
  for (std::size_t n : {2U, 3U, 7U, 64U, 100U}) {
    for (std::size_t bad = 0; bad < n; ++bad) {
      outcome o = play(n, n, {bad});
      CHECK(o.stored.size() == n - 1);
      CHECK(o.found == std::set<std::size_t>{bad});
      CHECK(o.tries <= 15);
    }
  }
}

TEST_CASE("some refused changes among many are found, and all others are stored") {
  outcome o = play(1000, 1000, {0, 250, 500, 999});
  CHECK(o.stored.size() == 996);
  CHECK(o.found == std::set<std::size_t>{0, 250, 500, 999});
  CHECK(o.tries < 80);
}

TEST_CASE("a store that takes nothing is asked a bounded number of times") {
  outcome o = play(1000, 1000, all_of(1000));
  CHECK(o.stored.empty());
  CHECK(o.tries == most_refusals);
  CHECK(play(1, 1, {0}).tries == 1);
  CHECK(play(2, 2, {0, 1}).tries == 3);
}

TEST_CASE("a store that is slow to refuse is asked for a batch and its halves, and not for long") {
  outcome o = play(1000, 1000, all_of(1000), longest_search);
  CHECK(o.tries == fewest_refusals);
  // One refused change is found all the same: a half without it is stored.
  outcome one = play(1000, 1000, {3}, longest_search);
  CHECK(one.stored.size() == 999);
}

TEST_CASE("what was held back is tried alone, and shows that the store works") {
  outcome o = play(2, 4, {0, 1, 2});
  CHECK(o.stored == std::set<std::size_t>{3});
  CHECK(o.found == std::set<std::size_t>{0, 1, 2});
  CHECK(play(0, 2, {}).tries == 2);
}

TEST_CASE("a search that is stopped tries nothing more") {
  commit_search s;
  s.start(4, 4, 0s);
  REQUIRE(s.next(0s));
  s.handle_failed();
  CHECK_FALSE(s.ended());
  s.handle_stop();
  CHECK(s.ended());
  CHECK_FALSE(s.next(0s));
}
