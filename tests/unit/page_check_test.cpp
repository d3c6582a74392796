#include "support/catch.hpp"

#include <ilm/runtime/page_check.hpp>

#include <string>
#include <vector>

using ilm::stored_message;
using ilm::protocol::page_purpose;
using ilm::runtime::count_usable;

namespace {

using page = std::vector<stored_message>;

/// The messages `first` to `last` with these sequences above their indices, ten bytes each.
page messages(std::uint64_t first, std::uint64_t last, std::uint64_t offset = 0) {
  page made;
  std::string contents(10, 'x');
  for (std::uint64_t i = first; i <= last; ++i) {
    made.emplace_back(i, i + offset, 0, ilm::stream_hash{},
                      ilm::bytes(std::as_bytes(std::span(contents.data(), contents.size()))));
  }
  return made;
}

ilm::protocol::page_request request(page_purpose p, std::uint64_t from) {
  ilm::protocol::page_request r;
  r.purpose = p;
  r.from = from;
  r.messages = 4;
  r.bytes = 1000;
  return r;
}

/// An inbox whose messages from 10 on are a stream that began with sequence 1.
ilm::cursors second_stream() {
  ilm::cursors c;
  c.inbox.next = 20;
  c.inbox.start = 10;
  c.inbox.offset = std::uint64_t{1} - 10;
  return c;
}

}  // namespace

TEST_CASE("a page is usable as far as it has the messages asked for, in order") {
  ilm::cursors any;
  for (page_purpose p : {page_purpose::outbox, page_purpose::verification, page_purpose::inbox}) {
    auto r = request(p, 5);
    CHECK(count_usable(r, any, page()) == 0);
    CHECK(count_usable(r, any, messages(5, 7)) == 3);
    CHECK(count_usable(r, any, messages(4, 7)) == 0);
    CHECK(count_usable(r, any, messages(6, 7)) == 0);
    page repeated = messages(5, 6);
    repeated.push_back(repeated.back());
    CHECK(count_usable(r, any, repeated) == 2);
  }
}

TEST_CASE("a page is usable up to its limits, and its first message in any case") {
  ilm::cursors any;
  auto r = request(page_purpose::outbox, 5);
  CHECK(count_usable(r, any, messages(5, 8)) == 4);
  CHECK(count_usable(r, any, messages(5, 9)) == 4);
  r.bytes = 30;
  CHECK(count_usable(r, any, messages(5, 8)) == 3);
  r.bytes = 29;
  CHECK(count_usable(r, any, messages(5, 8)) == 2);
  r.bytes = 1;
  CHECK(count_usable(r, any, messages(5, 8)) == 1);
}

TEST_CASE("a page of an outbox is usable as far as sequences are the indices") {
  ilm::cursors any;
  CHECK(count_usable(request(page_purpose::outbox, 5), any, messages(5, 7, 1)) == 0);
  page wrong_later = messages(5, 7);
  wrong_later[1].sequence = 7;
  CHECK(count_usable(request(page_purpose::outbox, 5), any, wrong_later) == 1);
}

TEST_CASE("a page of an inbox is usable as far as sequences are those of the stream") {
  ilm::cursors c = second_stream();
  std::uint64_t offset = c.inbox.offset;
  CHECK(count_usable(request(page_purpose::inbox, 12), c, messages(12, 14, offset)) == 3);
  CHECK(count_usable(request(page_purpose::inbox, 10), c, messages(10, 14, offset - 1)) == 0);
  CHECK(count_usable(request(page_purpose::inbox, 12), c, messages(12, 14)) == 0);
}

TEST_CASE("a page of an inbox has any sequences in a former stream, but never 0") {
  ilm::cursors c = second_stream();
  CHECK(count_usable(request(page_purpose::inbox, 7), c, messages(7, 9, 1000)) == 3);
  CHECK(count_usable(request(page_purpose::inbox, 7), c, messages(7, 9, 0 - std::uint64_t{8})) ==
        1);
  // From one stream into the next.
  page both = messages(8, 9, 50);
  for (const stored_message& m : messages(10, 11, c.inbox.offset)) both.push_back(m);
  CHECK(count_usable(request(page_purpose::inbox, 8), c, both) == 4);
}
