#include "support/catch.hpp"
#include "support/names.hpp"

#include <ilm/runtime/statistics_board.hpp>

#include <chrono>

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
