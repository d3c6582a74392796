#include "support/catch.hpp"
#include "support/counted_memory.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/frame_writer.hpp>
#include <ilm/protocol/reconcile.hpp>
#include <ilm/runtime/bounds.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace test;

namespace {

constexpr std::size_t many = 100'000;

/// Has the store of `p` know so many peers that it was met by, and one of them with a message.
void add_peers(world& w, peer& p, std::size_t count) {
  ilm::incarnation local{1, 2};
  ilm::batch<std::string> first;
  first.new_incarnation = local;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = "peer" + std::to_string(i);
    ilm::cursors c = ilm::protocol::begin_history(local, ilm::bytes(name).view());
    std::uint64_t random = (i + 1) * 0x9e3779b97f4a7c15;
    c.history.mark = c.history.confirmed = ilm::stamp{7, random};
    c.history.seen = ilm::stamp{9, ~random};
    c.outbox.erased_hash = c.outbox.last_hash = ilm::stream_hash{random + 1, ~random + 1};
    c.outbox.first = c.outbox.next = 1001;
    c.outbox.acknowledged = 1000;
    c.inbox.stream = ilm::stamp{1, random + 2};
    c.inbox.first = c.inbox.next = 2001;
    c.history.mark_delivered = c.history.confirmed_delivered = 2000;
    c.inbox.received_hash = c.inbox.delivered_hash = ilm::stream_hash{random + 3, ~random + 3};
    c.history.mark_hash = c.history.confirmed_hash = c.inbox.delivered_hash;
    first.changes.emplace_back(std::move(name), c);
  }
  w.run(open_and_commit(p.disk(), std::move(first)));
}

}  // namespace

TEST_CASE("each of 100,000 peers that are opened and have nothing to do takes 512 bytes at most") {
  world w;
  peer a = w.make("a");
  add_peers(w, a, many);
  std::size_t before = bytes_in_use;
  a.start();
  w.run_for(1s);
  std::size_t each = (bytes_in_use - before) / many;
  CAPTURE(each);
  CHECK(each <= 512);
  CHECK(a.statistics().peers.size() == many);
  CHECK(w.run(a.undelivered("peer99999")).last == 1000);
}

TEST_CASE("opening a peer that has nothing to do takes few pieces of memory: it is not made") {
  auto pieces_of = [](std::size_t count) {
    world w;
    peer a = w.make("a");
    add_peers(w, a, count);
    std::size_t before = pieces_taken;
    a.start();
    w.run_for(1s);
    return pieces_taken - before;
  };
  double each = static_cast<double>(pieces_of(2000) - pieces_of(1000)) / 1000;
  CAPTURE(each);
  CHECK(each <= 8);
}

TEST_CASE("a peer that a frame woke takes no more than before once it has nothing to do again") {
  constexpr std::size_t count = 1000;
  world w;
  peer a = w.make("a");
  add_peers(w, a, count);
  a.start();
  w.run_for(1s);
  // The network of the test remembers each link that was ever used.
  for (std::size_t i = 0; i < count; ++i) w.net.unblock("a", "peer" + std::to_string(i));
  std::size_t before = bytes_in_use;
  auto each = [&] { return static_cast<double>(bytes_in_use - before) / count; };
  // Of a session that is over: it is counted, and nothing else.
  std::vector<std::byte> stale;
  ilm::protocol::frame_header head;
  head.version = 1;
  head.session = 7;
  ilm::protocol::frame_writer writer(stale, head, true, 1 << 16);
  writer.ping();
  writer.finish();
  for (std::size_t i = 0; i < count; ++i) w.net.inject("peer" + std::to_string(i), "a", stale);
  w.run_for(10ms);
  CHECK(a.statistics_of("peer7").frames_stale == 1);
  CHECK(each() > 1000);
  w.run_for(2 * ilm::runtime::quiet_before_leaving);
  CAPTURE(each());
  CHECK(each() <= 64);
  CHECK(a.statistics_of("peer7").frames_stale == 1);
}
