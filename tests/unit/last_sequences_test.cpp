#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <cstdint>
#include <string>

using namespace test;

TEST_CASE("a stream goes on to the last sequence, and sends beyond it are refused") {
  constexpr std::uint64_t one = 1;
  for (std::uint64_t first : {(one << 62) - 5, (one << 63) - 5, maximum_sequence - 10}) {
    CAPTURE(first);
    core_pair p;
    p.faults.loss = 20;
    p.a.crash();
    outbox_cursors& outbox = p.a.disk.where.outbox;
    outbox.first = outbox.next = first;
    outbox.acknowledged = first - 1;
    p.a.start();
    p.connect();
    for (const std::string& text : numbered("p", 10)) p.a.send(text);
    REQUIRE(p.until([&] { return p.a.disk.where.outbox.first == first + 10; }));
    CHECK(p.b.texts() == numbered("p", 10));
    CHECK(p.b.disk.where.inbox.received() == first + 9);
    std::error_code more = p.a.try_send("beyond");
    CHECK(more == (first + 10 == maximum_sequence ? make_error_code(error::outbox_full)
                                                  : std::error_code()));
  }
}
