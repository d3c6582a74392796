#include "support/catch.hpp"

#include <ilm/runtime/commit_search.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

using ilm::runtime::commit_search;
using ilm::runtime::fewest_refusals;
using ilm::runtime::longest_search;
using ilm::runtime::most_refusals;
using namespace std::chrono_literals;

namespace {

/// The end of searches in a store that refuses each batch with a position of `refused`.
struct outcome {
  std::set<std::size_t> stored;
  std::set<std::size_t> found;  ///< tried alone, and refused
  std::size_t tries = 0;
  std::size_t searches = 0;
};

struct setup {
  std::chrono::nanoseconds per_try = 0s;
  bool to_the_end = false;
  bool goes_on = false;   ///< with those that had no try in the last search
  std::size_t fresh = 0;  ///< and so many others
};

/// One search of `positions`, of which the first `together` go together.
void search(const std::vector<std::size_t>& positions, std::size_t together,
            const std::set<std::size_t>& refused, setup how, outcome& o) {
  commit_search s;
  ilm::protocol::timestamp now = 1s;
  s.start(how.goes_on ? how.fresh : together, together, positions.size(), how.to_the_end, now);
  bool any = how.goes_on;
  ++o.searches;
  while (auto tried = s.next(now)) {
    ++o.tries;
    now += how.per_try;
    std::set<std::size_t> those(positions.begin() + static_cast<std::ptrdiff_t>(tried->first),
                                positions.begin() + static_cast<std::ptrdiff_t>(tried->last));
    bool fails = std::any_of(those.begin(), those.end(),
                             [&](std::size_t at) { return refused.count(at) != 0; });
    if (fails) {
      s.handle_failed();
      if (tried->size() == 1) o.found.insert(*those.begin());
      continue;
    }
    s.handle_stored();
    any = true;
    for (std::size_t at : those) CHECK(o.stored.insert(at).second);
  }
  CHECK(s.ended());
  CHECK(s.store_works() == any);
}

outcome play(std::size_t together, std::size_t all, const std::set<std::size_t>& refused,
             setup how = {}) {
  outcome o;
  std::vector<std::size_t> positions(all);
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  search(positions, together, refused, how, o);
  return o;
}

/// Searches one after another, as batches are. Those that were found come last while the store
/// takes none, and not again once it does.
outcome play_all(std::size_t n, const std::set<std::size_t>& refused, setup how = {}) {
  outcome all;
  std::vector<std::size_t> left(n);
  std::iota(left.begin(), left.end(), std::size_t{0});
  while (!left.empty() && all.searches <= n) {
    outcome o;
    search(left, left.size(), refused, how, o);
    how.goes_on = how.goes_on || !o.stored.empty();
    std::erase_if(left, [&](std::size_t at) {
      return o.stored.count(at) != 0 || (how.goes_on && o.found.count(at) != 0);
    });
    std::stable_partition(left.begin(), left.end(),
                          [&](std::size_t at) { return o.found.count(at) == 0; });
    all.stored.merge(o.stored);
    all.found.merge(o.found);
    all.tries += o.tries;
    all.searches += o.searches;
  }
  CHECK(left.empty());
  CHECK(all.found == refused);
  return all;
}

std::set<std::size_t> all_of(std::size_t n) {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < n; ++i) all.insert(i);
  return all;
}

/// All but the positions where `stored` says so.
template <class Function>
std::set<std::size_t> all_but(std::size_t n, Function stored) {
  std::set<std::size_t> all = all_of(n);
  std::erase_if(all, stored);
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
  outcome o = play_all(1000, {0, 250, 500, 999});
  CHECK(o.stored.size() == 996);
  CHECK(o.found == std::set<std::size_t>{0, 250, 500, 999});
  CHECK(o.tries < 80);
  CHECK(o.searches <= 3);
}

TEST_CASE("whatever share is refused, the others are stored within few tries each") {
  using refused_set = std::set<std::size_t>;
  refused_set spread = all_but(40, [](std::size_t at) { return at % 5 != 0; });
  refused_set half = all_but(1000, [](std::size_t at) { return at % 2 != 0; });
  for (setup how : {setup{}, setup{longest_search, false}}) {
    CHECK(play_all(40, spread, how).stored.size() == 32);
    CHECK(play_all(1000, half, how).stored.size() == 500);
    for (std::size_t n : {2U, 16U, 17U, 101U}) {
      for (std::size_t good = 0; good < n; ++good) {
        outcome o = play_all(n, all_but(n, [&](std::size_t at) { return at == good; }), how);
        CHECK(o.stored == refused_set{good});
      }
    }
  }
  CHECK(play_all(40, spread).searches == 2);
  CHECK(play_all(1000, half).tries < 2000);
  CHECK(play_all(101, all_of(100)).searches <= 15);
}

TEST_CASE("what comes while a search goes on is tried first, and does not wait for the others") {
  setup how{0s, false, true, 50};
  std::set<std::size_t> refused = all_but(150, [](std::size_t at) { return at < 50; });
  outcome o = play(150, 150, refused, how);
  CHECK(o.stored == all_of(50));
  CHECK(o.found.size() == most_refusals);
  CHECK(o.tries == 1 + most_refusals);
  CHECK(play(150, 150, {}, how).tries < 10);
  // Where it is refused, all take their turns.
  o = play(150, 150, {0}, how);
  CHECK(o.found == std::set<std::size_t>{0});
  CHECK(o.stored.size() == 149);
}

TEST_CASE("a store that takes nothing is asked a bounded number of times") {
  outcome o = play(1000, 1000, all_of(1000));
  CHECK(o.stored.empty());
  CHECK(o.tries == most_refusals);
  CHECK(play(1000, 1000, all_of(1000), {0s, true}).tries == most_refusals);
  CHECK(play(1, 1, {0}).tries == 1);
  CHECK(play(2, 2, {0, 1}).tries == 3);
}

TEST_CASE("a store that is slow to refuse is asked for a batch and two changes, and not for long") {
  outcome o = play(1000, 1000, all_of(1000), {longest_search, false});
  CHECK(o.tries == fewest_refusals);
  CHECK(o.found == std::set<std::size_t>{0, 1});
}

TEST_CASE("a search to the end leaves nothing out once the store took anything") {
  std::set<std::size_t> refused = all_but(200, [](std::size_t at) { return at % 7 == 3; });
  outcome o = play(200, 200, refused, {longest_search, true});
  CHECK(o.stored.empty());
  o = play(200, 200, refused, {0s, true});
  CHECK(o.found == refused);
  CHECK(o.stored.size() == 200 - refused.size());
  // Others were stored before, and the store has failed since.
  CHECK(play(200, 200, all_of(200), {0s, true, true, 0}).tries == most_refusals);
}

TEST_CASE("what was held back is tried alone, whatever became of the others") {
  outcome o = play(2, 4, {0, 1, 2});
  CHECK(o.stored == std::set<std::size_t>{3});
  CHECK(o.found == std::set<std::size_t>{0, 1, 2});
  CHECK(play(0, 2, {}).tries == 2);
  CHECK(play(100, 101, all_of(101)).found.count(100) == 1);
  CHECK(play(100, 101, all_of(100)).stored == std::set<std::size_t>{100});
}

TEST_CASE("a search that is stopped tries nothing more") {
  commit_search s;
  s.start(4, 4, 4, false, 0s);
  REQUIRE(s.next(0s));
  s.handle_failed();
  CHECK_FALSE(s.ended());
  s.handle_stop();
  CHECK(s.ended());
  CHECK_FALSE(s.next(0s));
}
