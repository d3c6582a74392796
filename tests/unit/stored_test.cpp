#include "support/catch.hpp"

#include <ilm/stored.hpp>

#include <set>

using namespace ilm;

TEST_CASE("an incarnation of zeros is none") {
  CHECK_FALSE(incarnation{});
  CHECK(incarnation{0, 1});
  CHECK(incarnation{1, 0});
  CHECK(incarnation{1, 0} != incarnation{0, 1});
}

TEST_CASE("every cursor comes back from its encoded form") {
  std::set<std::string> forms;
  std::vector<std::uint64_t cursors::*> fields = {
      &cursors::outbox_first,     &cursors::outbox_next,
      &cursors::acknowledged,     &cursors::erased_epoch,
      &cursors::inbox_first,      &cursors::inbox_next,
      &cursors::stream_start,     &cursors::stream_offset,
      &cursors::received_epoch,   &cursors::delivered_epoch,
      &cursors::former_received,  &cursors::advertised_first,
      &cursors::advertised_epoch, &cursors::peer_confirmed_incarnation};
  auto check = [&](const cursors& c) {
    cursors::encoded e = c.encode();
    CHECK(cursors::decode(e) == c);
    forms.insert(std::string(reinterpret_cast<const char*>(e.data()), e.size()));
  };
  check(cursors{});
  for (auto field : fields) {
    cursors c;
    c.*field = 0xfedcba9876543210;
    check(c);
  }
  for (auto field : {&incarnation::high, &incarnation::low}) {
    cursors local, peer, former;
    local.local.*field = 0xfedcba9876543210;
    peer.peer.*field = 0xfedcba9876543210;
    former.former_peer.*field = 0xfedcba9876543210;
    check(local);
    check(peer);
    check(former);
  }
  CHECK(forms.size() == 21);
}

TEST_CASE("encoded cursors keep the order and width that stores rely on") {
  cursors c;
  c.local = incarnation{1, 2};
  c.peer = incarnation{3, 4};
  c.former_peer = incarnation{5, 6};
  std::uint64_t n = 7;
  for (std::uint64_t* field :
       {&c.former_received, &c.outbox_first, &c.outbox_next, &c.acknowledged, &c.erased_epoch,
        &c.inbox_first, &c.inbox_next, &c.stream_start, &c.stream_offset, &c.received_epoch,
        &c.delivered_epoch, &c.advertised_first, &c.advertised_epoch,
        &c.peer_confirmed_incarnation}) {
    *field = n++;
  }
  cursors::encoded e = c.encode();
  REQUIRE(e.size() == 160);
  for (std::size_t i = 0; i < e.size(); ++i) {
    CHECK(std::to_integer<std::size_t>(e[i]) == (i % 8 == 7 ? i / 8 + 1 : 0));
  }
}

TEST_CASE("new cursors have received and delivered nothing") {
  cursors c;
  CHECK(c.received() == 0);
  CHECK(c.delivered() == 0);
}

TEST_CASE("cursors of a new stream do not count messages of the old one as delivered") {
  cursors c;  // three of an old stream, of which one was consumed; then 1 and 2 of a new one
  c.inbox_first = 2;
  c.stream_start = 4;
  c.inbox_next = 6;
  c.stream_offset = std::uint64_t{1} - 4;
  CHECK(c.received() == 2);
  CHECK(c.delivered() == 0);
  c.inbox_first = 5;
  CHECK(c.delivered() == 1);
}

namespace {

/// Those of a peer that lost its store once: three messages of its old stream, two of the new one.
cursors in_use() {
  cursors c;
  c.local = incarnation{1, 2};
  c.peer = incarnation{3, 4};
  c.former_peer = incarnation{5, 6};
  c.former_received = 3;
  c.outbox_first = 10;
  c.outbox_next = 20;
  c.acknowledged = 15;
  c.inbox_first = 2;
  c.stream_start = 4;
  c.inbox_next = 6;
  c.stream_offset = std::uint64_t{1} - 4;
  c.advertised_first = 2;
  c.peer_confirmed_incarnation = 1;
  return c;
}

template <class Change>
bool still_consistent(Change change) {
  cursors c = in_use();
  change(c);
  return c.consistent();
}

}  // namespace

TEST_CASE("cursors of a messenger are consistent, at their limits as well") {
  cursors fresh;
  fresh.local = incarnation{0, 1};
  CHECK(fresh.consistent());
  CHECK(in_use().consistent());
  CHECK(still_consistent([](cursors& c) { c.outbox_first = c.outbox_next; }));
  CHECK(still_consistent([](cursors& c) { c.outbox_first = 1, c.acknowledged = 0; }));
  CHECK(still_consistent([](cursors& c) { c.acknowledged = c.outbox_next - 1; }));
  CHECK(still_consistent([](cursors& c) { c.outbox_next = protocol::maximum_sequence; }));
  CHECK(still_consistent([](cursors& c) { c.inbox_first = c.inbox_next; }));
  CHECK(still_consistent([](cursors& c) { c.advertised_first = c.inbox_next; }));
  CHECK(still_consistent([](cursors& c) { c.stream_start = c.inbox_next; }));
  // Behind a gap, and where a peer numbers its messages up to the end.
  CHECK(still_consistent([](cursors& c) { c.stream_offset = 1000; }));
  CHECK(still_consistent(
      [](cursors& c) { c.stream_offset = protocol::maximum_sequence - c.stream_start; }));
  CHECK(still_consistent([](cursors& c) { c.former_peer = {}, c.former_received = 0; }));
  CHECK(still_consistent([](cursors& c) { c.peer = {}, c.peer_confirmed_incarnation = 0; }));
}

TEST_CASE("cursors that contradict each other are not consistent") {
  CHECK_FALSE(cursors{}.consistent());
  CHECK_FALSE(still_consistent([](cursors& c) { c.local = {}; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox_first = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox_first = c.outbox_next + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox_next = protocol::maximum_sequence + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.acknowledged = c.outbox_next; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox_first = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox_first = c.inbox_next + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.stream_start = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.stream_start = c.inbox_next + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.advertised_first = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.advertised_first = c.inbox_next + 1; }));
  // A stream that begins with sequence 0, and one that wraps around.
  CHECK_FALSE(still_consistent([](cursors& c) { c.stream_offset = 0 - c.stream_start; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.stream_offset = 0 - c.stream_start - 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.former_peer = {}; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.peer_confirmed_incarnation = 2; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.peer = {}; }));
}
