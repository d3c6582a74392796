#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

using namespace ilm;

namespace {

template <class PeerId>
std::string described(PeerId peer, event_kind kind) {
  return describe(event<PeerId>(std::move(peer), event_record(kind)));
}

}  // namespace

TEST_CASE("a description names the peer, the event, the ranges and the reason") {
  event_record r(event_kind::stream_blocked, error::message_too_large);
  r.outbound = sequence_range{3, 3};
  std::string text = describe(event<std::string>("bob", r));
  CHECK(text.starts_with("bob: stream_blocked outbound 3..3: "));
  CHECK(text.find("maximum_message_size") != std::string::npos);
}

TEST_CASE("a description of an event that concerns no peer names none") {
  CHECK(describe(event<std::string>(std::nullopt, event_record(event_kind::store_recovered))) ==
        "store_recovered");
}

TEST_CASE("a peer id of any type has a description") {
  CHECK(described(std::uint16_t{7}, event_kind::peer_connected) == "7: peer_connected");
  std::array<unsigned char, 3> id{0x00, 0x1f, 0xff};
  CHECK(described(id, event_kind::gap) == "001fff: gap");
}

TEST_CASE("a range without an end is described without one") {
  event_record r(event_kind::peer_reset);
  r.inbound = sequence_range{5, ~std::uint64_t{0}};
  CHECK(describe(r) == "peer_reset inbound 5..");
}

TEST_CASE("a description ends with the text of the event, in place of the error's message") {
  event_record r(event_kind::delivery_failed,
                 detail::failure(error::exception_without_code, "order book is closed"));
  r.inbound = sequence_range{3, 3};
  CHECK(describe(event<std::string>("bob", r)) ==
        "bob: delivery_failed inbound 3..3: order book is closed");
  event_record named(event_kind::store_failed, error::store_in_use);
  CHECK(named.text.empty());
  CHECK(describe(named) == "store_failed: " + named.error.message());
}

TEST_CASE("a description is one line, whatever was thrown and however the peer is called") {
  event_record r(event_kind::store_failed, detail::failure(error::exception_without_code,
                                                           "first\r\nsecond\tthird\x1b[31m\x7f"));
  CHECK(describe(r) == R"(store_failed: first\r\nsecond\tthird\x1b[31m\x7f)");
  CHECK(describe(event<std::string>("bob\n\\", r)).starts_with(R"(bob\n\\: store_failed)"));
  r.text = "gr\xc3\xbc\xc3\x9f";
  CHECK(describe(r) == "store_failed: gr\xc3\xbc\xc3\x9f");
}

TEST_CASE("the ranges of a sum cover those of all its events, in whatever order they came") {
  struct row {
    sequence_range first, later, both;
  };
  for (const row& r : {row{{5, 6}, {3, 4}, {3, 6}}, row{{3, 4}, {5, 6}, {3, 6}},
                       row{{2, 9}, {3, 4}, {2, 9}}, row{{3, 4}, {2, 9}, {2, 9}},
                       row{{}, {3, 4}, {3, 4}}, row{{3, 4}, {}, {3, 4}}, row{{}, {}, {}}}) {
    event_record sum(event_kind::gap), later(event_kind::gap);
    sum.outbound = r.first;
    later.outbound = r.later;
    sum.inbound = r.later;
    later.inbound = r.first;
    sum.merge(later);
    CHECK(sum.outbound == r.both);
    CHECK(sum.inbound == r.both);
  }
}
