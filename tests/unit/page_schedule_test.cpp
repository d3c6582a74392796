#include "support/catch.hpp"

#include <ilm/protocol/page_schedule.hpp>

#include <array>
#include <optional>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

constexpr std::array<page_purpose, page_purposes> purposes{
    page_purpose::outbox, page_purpose::inbox, page_purpose::verification};

const std::error_code damaged = error::store_corrupt;
const std::error_code busy = std::make_error_code(std::errc::device_or_resource_busy);

options quick() {
  options o;
  o.minimum_store_retry = 10ms;
  o.maximum_store_retry = 40ms;
  return o;
}

struct rig {
  rig() {
    // Messages from index 5 on are those of the peer's present stream, from sequence 101 on.
    stored.inbox.start = 5;
    stored.inbox.offset = 96;
  }

  std::optional<event_record> fail(page_purpose p, std::uint64_t from, ilm::detail::failure reason,
                                   timestamp now = 0s) {
    pages.handle_request(p);
    return pages.handle_failure(request(p, from), reason, now, stored);
  }
  void succeed(page_purpose p, std::uint64_t from) {
    pages.handle_request(p);
    pages.handle_page(request(p, from));
  }
  static page_request request(page_purpose p, std::uint64_t from) {
    return page_request{p, from, 1, 1};
  }

  cursors stored;
  page_schedule pages{quick()};
};

}  // namespace

TEST_CASE("each purpose has one page outstanding, and none waits for another") {
  for (page_purpose p : purposes) {
    rig r;
    r.pages.handle_request(p);
    for (page_purpose other : purposes) {
      CHECK(r.pages.outstanding(other) == (other == p));
      CHECK(r.pages.ready(other, 1h) == (other != p));
    }
    r.pages.handle_page(rig::request(p, 1));
    CHECK(r.pages.ready(p, 0s));
    CHECK(r.pages.deadline() == never);
  }
}

TEST_CASE("the schedule's deadline is that of the purpose that waits least") {
  for (page_purpose soon : purposes) {
    rig r;
    for (page_purpose p : purposes) r.fail(p, 1, busy, p == soon ? 0s : 1s);
    CHECK(r.pages.deadline() == 10ms);
    CHECK_FALSE(r.pages.ready(soon, 10ms - 1ns));
    CHECK(r.pages.ready(soon, 10ms));
    r.pages.handle_timeout(10ms);
    CHECK(r.pages.deadline() == 1s + 10ms);
    CHECK(r.pages.invariants_hold());
  }
}

TEST_CASE("a purpose that fails in a row waits longer, up to its bound, and a page ends that") {
  rig r;
  for (duration wait : {10ms, 20ms, 40ms, 40ms}) {
    r.fail(page_purpose::inbox, 1, busy);
    CHECK(r.pages.deadline() == wait);
  }
  r.succeed(page_purpose::inbox, 1);
  r.fail(page_purpose::inbox, 1, busy);
  CHECK(r.pages.deadline() == 10ms);
}

TEST_CASE("a failure is told once for each message and error") {
  rig r;
  std::optional<event_record> e = r.fail(page_purpose::outbox, 3, busy);
  REQUIRE(e);
  CHECK(e->kind == event_kind::store_failed);
  CHECK(e->error == busy);
  CHECK_FALSE(r.fail(page_purpose::outbox, 3, busy));
  CHECK(r.fail(page_purpose::outbox, 4, busy));
  CHECK(r.fail(page_purpose::outbox, 4, damaged));
  CHECK_FALSE(r.fail(page_purpose::outbox, 4, damaged));
  CHECK(r.fail(page_purpose::inbox, 4, damaged));
  CHECK_FALSE(r.fail(page_purpose::outbox, 4, damaged));
}

TEST_CASE("the text of a failure is in its event, and another text alone is no news") {
  rig r;
  auto thrown = [](const char* text) {
    return ilm::detail::failure(error::exception_without_code, text);
  };
  std::optional<event_record> e = r.fail(page_purpose::outbox, 3, thrown("table is locked"));
  REQUIRE(e);
  CHECK(e->error == error::exception_without_code);
  CHECK(e->text == "table is locked");
  CHECK_FALSE(r.fail(page_purpose::outbox, 3, thrown("table is locked, 2nd time")));
}

TEST_CASE("a failure after a page of the same message is news") {
  rig r;
  CHECK(r.fail(page_purpose::outbox, 3, busy));
  r.succeed(page_purpose::outbox, 3);
  CHECK(r.fail(page_purpose::outbox, 3, busy));
}

TEST_CASE("only damage names a message, in the direction of its queue") {
  rig r;
  std::optional<event_record> e = r.fail(page_purpose::outbox, 7, busy);
  REQUIRE(e);
  CHECK(e->outbound.empty());
  CHECK(e->inbound.empty());
  for (page_purpose p : {page_purpose::outbox, page_purpose::verification}) {
    e = r.fail(p, 7, damaged);
    REQUIRE(e);
    CHECK(e->outbound == sequence_range{7, 7});
    CHECK(e->inbound.empty());
  }
}

TEST_CASE("a damaged message of the inbox is named by its sequence in the stream that it is of") {
  rig r;
  std::optional<event_record> e = r.fail(page_purpose::inbox, 4, damaged);
  REQUIRE(e);
  CHECK(e->inbound == sequence_range{4, 4});
  CHECK(e->outbound.empty());
  e = r.fail(page_purpose::inbox, 5, damaged);
  REQUIRE(e);
  CHECK(e->inbound == sequence_range{101, 101});
}
