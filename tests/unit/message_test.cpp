#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/message.hpp>

#include <set>
#include <string>

using namespace ilm;

TEST_CASE("bytes are a copy of what they were made from") {
  std::string text = "hello";
  bytes b(text);
  text = "other";
  CHECK(b.text() == "hello");
  CHECK(b.size() == 5);
  CHECK_FALSE(b.empty());
}

TEST_CASE("copies of bytes share their storage") {
  bytes a("some text");
  bytes b = a;
  CHECK(a.view().data() == b.view().data());
  CHECK(a == b);
  a = bytes("other");
  CHECK(b.text() == "some text");
  CHECK_FALSE(a == b);
}

TEST_CASE("empty bytes are equal however they came to be") {
  bytes none, empty_text{std::string_view()}, empty_view{std::span<const std::byte>()};
  CHECK(none.empty());
  CHECK(none.view().empty());
  CHECK(none.text().empty());
  CHECK(none == empty_text);
  CHECK(none == empty_view);
}

TEST_CASE("bytes hold zeros and high values as they are") {
  std::string text("\0\xff\0", 3);
  CHECK(bytes(text).text() == text);
  CHECK_FALSE(bytes(text) == bytes(text.substr(0, 2)));
}

TEST_CASE("a message gives its contents as a type with a codec") {
  message<int> m(7, 3, encode(std::uint32_t{12}));
  CHECK(m.from == 7);
  CHECK(m.sequence == 3);
  CHECK(m.as<std::uint32_t>() == 12);
  CHECK_THROWS_AS(m.as<std::uint64_t>(), std::system_error);
}

TEST_CASE("an incarnation of zeros is none") {
  CHECK_FALSE(incarnation{});
  CHECK(incarnation{0, 1});
  CHECK(incarnation{1, 0});
  CHECK(incarnation{1, 0} != incarnation{0, 1});
}

TEST_CASE("every cursor comes back from its encoded form") {
  std::set<std::string> forms;
  std::vector<std::uint64_t cursors::*> fields = {
      &cursors::outbox_first,    &cursors::outbox_next,     &cursors::acknowledged,
      &cursors::erased_epoch,    &cursors::inbox_first,     &cursors::inbox_next,
      &cursors::stream_start,    &cursors::stream_offset,   &cursors::received_epoch,
      &cursors::delivered_epoch, &cursors::former_received, &cursors::shown_first,
      &cursors::shown_epoch,     &cursors::introduced};
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
        &c.delivered_epoch, &c.shown_first, &c.shown_epoch, &c.introduced}) {
    *field = n++;
  }
  cursors::encoded e = c.encode();
  REQUIRE(e.size() == 160);
  for (std::size_t i = 0; i < e.size(); ++i) {
    CHECK(std::to_integer<std::size_t>(e[i]) == (i % 8 == 7 ? i / 8 + 1 : 0));
  }
}

TEST_CASE("fresh cursors have received and delivered nothing") {
  cursors c;
  CHECK(c.received() == 0);
  CHECK(c.delivered() == 0);
}

TEST_CASE("cursors of a new stream do not count what the old one left as delivered") {
  cursors c;  // three of an old stream, of which one was taken; then 1 and 2 of a new one
  c.inbox_first = 2;
  c.stream_start = 4;
  c.inbox_next = 6;
  c.stream_offset = std::uint64_t{1} - 4;
  CHECK(c.received() == 2);
  CHECK(c.delivered() == 0);
  c.inbox_first = 5;
  CHECK(c.delivered() == 1);
}

TEST_CASE("a range knows what it holds") {
  sequence_range none, two{3, 4};
  CHECK(none.empty());
  CHECK_FALSE(none.contains(1));
  CHECK_FALSE(two.empty());
  CHECK(two.contains(3));
  CHECK(two.contains(4));
  CHECK_FALSE(two.contains(2));
  CHECK_FALSE(two.contains(5));
}
