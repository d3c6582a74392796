#include "support/catch.hpp"
#include "support/names.hpp"

#include <ilm/runtime/statistics_board.hpp>

#include <chrono>
#include <cstdint>

using namespace ilm::runtime;
using namespace std::chrono_literals;

TEST_CASE("a messenger that has ended is connected to nobody, and its other figures stay") {
  test::name_table names("self");
  statistics_board board;
  for (const char* id : {"bob", "carol"}) {
    ilm::peer_figures figures;
    figures.connected = true;
    figures.accepted = 7;
    board.publish(board.add(test::met(names, id)), figures, 0s, {});
  }
  board.handle_end();
  named_statistics s = board.read(1s);
  REQUIRE(s.peers.size() == 2);
  for (const auto& [name, figures] : s.peers) {
    CHECK_FALSE(figures.connected);
    CHECK(figures.accepted == 7);
  }
}

TEST_CASE("the totals are those that were published last, with the counts of all commits") {
  statistics_board board;
  ilm::messenger_totals totals;
  totals.uncommitted_messages = 1;
  totals.uncommitted_bytes = 2;
  totals.held_bytes = 3;
  totals.events_lost = 4;
  totals.commits = totals.commits_failed = 99;
  board.publish(totals);
  board.count_commit(false);
  board.count_commit(false);
  board.count_commit(true);
  ilm::messenger_totals read = board.read(0s).totals;
  CHECK(read.uncommitted_messages == 1);
  CHECK(read.uncommitted_bytes == 2);
  CHECK(read.held_bytes == 3);
  CHECK(read.events_lost == 4);
  CHECK(read.commits == 2);
  CHECK(read.commits_failed == 1);
}

TEST_CASE("the figures of a dormant peer stay, and those that come after its waking") {
  test::name_table names("self");
  statistics_board board;
  auto name = test::met(names, "bob");
  statistics_board::entry& bob = board.add(name);
  board.add(test::met(names, "carol"));
  auto figures = [&] { return board.read(0s).peers[0].second; };
  CHECK(figures().frames_sent == 0);
  ilm::peer_figures f;
  f.round_trip = 7ms;
  std::uint64_t number = 0;
  for (std::uint64_t* each :
       {&f.accepted, &f.delivered, &f.received, &f.resent, &f.duplicates_dropped, &f.frames_sent,
        &f.frames_received, &f.frames_stale, &f.frames_rejected}) {
    *each = ++number * 1000;
  }
  board.publish(bob, f, 0s, {});
  board.handle_dormant(bob);
  board.handle_end();
  ilm::peer_figures kept = figures();
  CHECK(board.figures(board.at(*name)).accepted == 1000);
  CHECK(kept.round_trip == 7ms);
  number = 0;
  for (std::uint64_t each :
       {kept.accepted, kept.delivered, kept.received, kept.resent, kept.duplicates_dropped,
        kept.frames_sent, kept.frames_received, kept.frames_stale, kept.frames_rejected}) {
    CHECK(each == ++number * 1000);
  }
  f.accepted = 5;
  board.publish(bob, f, 0s, {});
  CHECK(figures().accepted == 5);
  board.handle_dormant(bob);
  board.publish(bob, {}, 0s, {});
  board.handle_dormant(bob);
  CHECK(figures().accepted == 0);
  CHECK(board.read(0s).peers.size() == 2);
}
