#include "support/catch.hpp"

#include <ilm/stored.hpp>

#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace ilm;

namespace {

using number = std::uint64_t;

/// Every number of the cursors but the origin, in the order of the encoded form.
std::vector<number*> numbers(cursors& c) {
  lineage& h = c.history;
  outbox_cursors& o = c.outbox;
  inbox_cursors& i = c.inbox;
  return {&h.mark.count,
          &h.mark.random,
          &h.mark_delivered,
          &h.mark_hash.high,
          &h.mark_hash.low,
          &h.confirmed.count,
          &h.confirmed.random,
          &h.confirmed_delivered,
          &h.confirmed_hash.high,
          &h.confirmed_hash.low,
          &h.base,
          &h.parted.count,
          &h.parted.random,
          &h.former.count,
          &h.former.random,
          &h.seen.count,
          &h.seen.random,
          &o.stream.count,
          &o.stream.random,
          &o.first,
          &o.next,
          &o.acknowledged,
          &o.erased_hash.high,
          &o.erased_hash.low,
          &o.last_hash.high,
          &o.last_hash.low,
          &i.stream.count,
          &i.stream.random,
          &i.first,
          &i.next,
          &i.start,
          &i.offset,
          &i.received_hash.high,
          &i.received_hash.low,
          &i.delivered_hash.high,
          &i.delivered_hash.low};
}

}  // namespace

TEST_CASE("an incarnation of zeros is none") {
  CHECK_FALSE(incarnation{});
  CHECK(incarnation{0, 1});
  CHECK(incarnation{1, 0});
  CHECK(incarnation{1, 0} != incarnation{0, 1});
}

TEST_CASE("a stamp is none if it counts none, whatever its random bits") {
  CHECK_FALSE(stamp{});
  CHECK_FALSE(stamp{0, 1});
  CHECK(stamp{1, 0});
  CHECK(stamp{1, 2} == stamp{1, 2});
  CHECK(stamp{1, 2} != stamp{1, 3});
  CHECK(stamp{1, 2} != stamp{2, 2});
}

TEST_CASE("every cursor comes back from its encoded form") {
  std::set<std::string> forms;
  auto check = [&](const cursors& c) {
    cursors::encoded e = c.encode();
    CHECK(cursors::decode(e) == c);
    forms.insert(std::string(reinterpret_cast<const char*>(e.data()), e.size()));
  };
  cursors none;
  std::size_t count = numbers(none).size();
  check(none);
  for (std::size_t i = 0; i < count; ++i) {
    cursors c;
    *numbers(c)[i] = 0xfedcba9876543210;
    check(c);
  }
  for (lineage_origin origin : {lineage_origin::store_lost, lineage_origin::rolled_back}) {
    cursors c;
    c.history.origin = origin;
    check(c);
  }
  CHECK(count + 1 == cursors::encoded_size / 8);
  CHECK(forms.size() == count + 3);
}

TEST_CASE("encoded cursors keep the order and width that stores rely on") {
  cursors c;
  number n = 1;
  for (number* field : numbers(c)) {
    if (field == &c.history.parted.count) c.history.origin = static_cast<lineage_origin>(n++);
    *field = n++;
  }
  cursors::encoded e = c.encode();
  REQUIRE(e.size() == 296);
  for (std::size_t i = 0; i < e.size(); ++i) {
    CHECK(std::to_integer<std::size_t>(e[i]) == (i % 8 == 7 ? i / 8 + 1 : 0));
  }
}

TEST_CASE("an origin of an encoded form that no build writes is not consistent") {
  // The number is read modulo 256: a higher byte that is set is found by nothing else.
  cursors c;
  c.history.mark = c.outbox.stream = stamp{1, 1};
  c.history.base = 1;
  REQUIRE(c.consistent());
  cursors::encoded e = c.encode();
  e[11 * 8 + 7] = std::byte{3};
  CHECK_FALSE(cursors::decode(e).consistent());
  e[11 * 8 + 7] = std::byte{2};
  CHECK(cursors::decode(e).consistent());
}

TEST_CASE("new cursors have received and delivered nothing, and met nobody") {
  cursors c;
  CHECK(c.inbox.received() == 0);
  CHECK(c.inbox.delivered() == 0);
  CHECK_FALSE(c.met());
}

TEST_CASE("cursors of a new stream do not count messages of the old one as delivered") {
  inbox_cursors c;  // three of an old stream, of which one was consumed; then 1 and 2 of a new one
  c.first = 2;
  c.start = 4;
  c.next = 6;
  c.offset = number{1} - 4;
  CHECK(c.received() == 2);
  CHECK(c.delivered() == 0);
  c.first = 5;
  CHECK(c.delivered() == 1);
  c.offset = 100;
  CHECK(c.delivered() == 104);
  CHECK(c.received() == 105);
}

namespace {

/// Those of a side that went back once, and whose peer lost its store once: three messages of its
/// old stream, two of the new one.
cursors in_use() {
  cursors c;
  lineage& h = c.history;
  h.mark = stamp{9, 90};
  h.mark_delivered = 1;
  h.confirmed = stamp{8, 80};
  h.base = 5;
  h.origin = lineage_origin::rolled_back;
  h.parted = stamp{3, 30};
  h.former = stamp{4, 40};
  h.seen = stamp{7, 70};
  c.outbox.stream = stamp{5, 50};
  c.outbox.first = 10;
  c.outbox.next = 20;
  c.outbox.acknowledged = 15;
  c.inbox.stream = stamp{2, 20};
  c.inbox.first = 2;
  c.inbox.start = 4;
  c.inbox.next = 6;
  c.inbox.offset = number{1} - 4;
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
  fresh.history.mark = fresh.outbox.stream = stamp{1, 7};
  fresh.history.base = 1;
  CHECK(fresh.consistent());
  CHECK(in_use().consistent());
  CHECK(still_consistent([](cursors& c) { c.history.base = 1; }));
  CHECK(still_consistent([](cursors& c) { c.history.base = c.history.mark.count; }));
  CHECK(still_consistent([](cursors& c) { c.history.confirmed = c.history.mark; }));
  CHECK(still_consistent([](cursors& c) { c.history.confirmed = {}; }));
  CHECK(still_consistent([](cursors& c) { c.history.mark_delivered = c.inbox.received(); }));
  CHECK(still_consistent([](cursors& c) { c.outbox.stream.count = c.history.mark.count; }));
  CHECK(still_consistent([](cursors& c) { c.outbox.first = c.outbox.next; }));
  CHECK(still_consistent([](cursors& c) { c.outbox.first = 1, c.outbox.acknowledged = 0; }));
  CHECK(still_consistent([](cursors& c) { c.outbox.acknowledged = c.outbox.next - 1; }));
  CHECK(still_consistent([](cursors& c) { c.outbox.next = protocol::maximum_sequence; }));
  CHECK(still_consistent([](cursors& c) { c.inbox.first = c.inbox.next; }));
  CHECK(still_consistent([](cursors& c) { c.inbox.start = c.inbox.next; }));
  CHECK(still_consistent([](cursors& c) { c.inbox.stream = c.history.seen = {}; }));
  // Behind a gap, and where a peer numbers its messages up to the end.
  CHECK(still_consistent([](cursors& c) { c.inbox.offset = 1000; }));
  CHECK(still_consistent(
      [](cursors& c) { c.inbox.offset = protocol::maximum_sequence - c.inbox.next + 1; }));
}

TEST_CASE("cursors that contradict each other are not consistent") {
  CHECK_FALSE(cursors{}.consistent());
  CHECK_FALSE(still_consistent([](cursors& c) { c.history.mark = {}; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.history.base = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.history.base = c.history.mark.count + 1; }));
  CHECK_FALSE(
      still_consistent([](cursors& c) { c.history.confirmed.count = c.history.mark.count + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.history.mark_delivered = 3; }));
  CHECK_FALSE(
      still_consistent([](cursors& c) { c.history.origin = static_cast<lineage_origin>(3); }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.history.seen = {}; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox.stream = {}; }));
  CHECK_FALSE(
      still_consistent([](cursors& c) { c.outbox.stream.count = c.history.mark.count + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox.first = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox.first = c.outbox.next + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox.next = protocol::maximum_sequence + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.outbox.acknowledged = c.outbox.next; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.stream = {}; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.first = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.first = c.inbox.next + 1; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.start = 0; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.start = c.inbox.next + 1; }));
  CHECK_FALSE(still_consistent(
      [](cursors& c) { c.inbox.offset = protocol::maximum_sequence - c.inbox.next + 2; }));
  // A stream that begins with sequence 0, and one that wraps around.
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.offset = 0 - c.inbox.start; }));
  CHECK_FALSE(still_consistent([](cursors& c) { c.inbox.offset = 0 - c.inbox.start - 1; }));
}
