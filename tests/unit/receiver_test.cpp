#include "support/as_size.hpp"
#include "support/catch.hpp"

#include <ilm/protocol/random.hpp>
#include <ilm/protocol/receiver.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using test::as_size;

namespace {

options small() {
  options o;
  o.credit_messages = 10;
  o.credit_bytes = 1000;
  o.maximum_message_size = 500;
  return o;
}

std::string letter(std::uint64_t sequence) {
  return sequence <= 26 ? std::string(1, static_cast<char>('a' + sequence - 1)) : "x";
}

std::function<std::string(std::uint64_t)> always(const std::string& text) {
  return [text](std::uint64_t) { return text; };
}

/// A receiver and the inbox behind it.
struct rig {
  explicit rig(options settings = small()) : o(settings), r(o) { write(); }
  rig(options settings, const rig& before)
      : o(settings),
        inbox(before.inbox),
        stored(before.stored),
        r(o),
        plan(before.plan),
        start(before.start),
        start_hash(before.start_hash) {
    r.restore(stored.inbox);
  }

  /// The hash of the stream as its sender has it.
  stream_hash hash_at(std::uint64_t sequence) const {
    stream_hash h = start_hash;
    for (std::uint64_t s = start; s <= sequence; ++s) h = next_hash(h, s, plan(s));
    return h;
  }
  static stream_hash next_hash(const stream_hash& h, std::uint64_t s, std::string_view text) {
    return extend(h, s, 0, std::as_bytes(std::span(text)));
  }
  std::error_code feed(std::uint64_t sequence) { return feed(sequence, plan(sequence)); }
  std::error_code feed(std::uint64_t sequence, std::string_view text) {
    return feed(sequence, text, hash_at(sequence - 1));
  }
  std::error_code feed(std::uint64_t sequence, std::string_view text, const stream_hash& before) {
    data_record d;
    d.first = sequence;
    d.before = before;
    d.items.emplace_back(std::as_bytes(std::span(text)));
    return r.handle_data(d);
  }
  void adopt(std::uint64_t first, const stream_hash& before, const std::string& text) {
    r.adopt(first, before);
    start = first;
    start_hash = before;
    plan = always(text);
  }

  std::vector<stored_message> stage() {
    in_commit = cursors();
    r.write(in_commit.inbox);
    return r.begin_commit();
  }
  void committed(const std::vector<stored_message>& batch) {
    for (const stored_message& m : batch) {
      CHECK(m.index == stored.inbox.next + static_cast<std::uint64_t>(&m - batch.data()));
      inbox.emplace(m.index, m);
    }
    stored = in_commit;
    inbox.erase(inbox.begin(), inbox.lower_bound(stored.inbox.first));
    r.complete_commit();
  }
  void commit() { committed(stage()); }
  void write() { r.write(stored.inbox); }

  bool page() {
    auto wanted = r.next_page();
    if (!wanted) return false;
    std::vector<stored_message> found;
    for (auto at = inbox.find(wanted->from); at != inbox.end() && found.size() < wanted->messages;
         ++at) {
      found.push_back(at->second);
    }
    r.handle_page(found);
    return true;
  }

  /// Delivers all messages that it can.
  std::vector<std::string> take(std::size_t most = 1000) {
    std::vector<std::string> texts;
    while (most-- > 0) {
      if (r.next_delivery() == nullptr) page();
      const stored_message* m = r.next_delivery();
      if (m == nullptr) break;
      texts.push_back(std::to_string(m->sequence) + std::string(m->contents.text()));
      r.handle_consumed();
    }
    return texts;
  }

  options o;
  std::map<std::uint64_t, stored_message> inbox;
  cursors stored, in_commit;
  receiver r;
  /// The texts of the present stream, which begins at `start`.
  std::function<std::string(std::uint64_t)> plan = letter;
  std::uint64_t start = 1;
  stream_hash start_hash;
};

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the receiver accepts, stores and delivers messages in order") {
  rig g;
  CHECK_FALSE(g.feed(1, "a"));
  CHECK_FALSE(g.feed(2, "b"));
  CHECK(g.r.accepted() == 2);
  CHECK(g.r.has_uncommitted());
  g.commit();
  CHECK_FALSE(g.r.has_uncommitted());
  CHECK(g.stored.inbox.received() == 2);
  CHECK(g.take() == texts{"1a", "2b"});
  CHECK(g.r.has_unreported_consumed(g.stored));
  g.commit();
  CHECK(g.stored.inbox.delivered() == 2);
  CHECK_FALSE(g.r.has_unreported_consumed(g.stored));
}

TEST_CASE("the receiver delivers no message before it is in the store") {
  rig g;
  g.feed(1, "a");
  CHECK(g.r.next_delivery() == nullptr);
  auto batch = g.stage();
  CHECK(g.r.next_delivery() == nullptr);
  g.feed(2, "b");  // rides on the next batch
  g.committed(batch);
  CHECK(g.take() == texts{"1a"});
  CHECK(g.r.next_delivery() == nullptr);
  g.commit();
  CHECK(g.take() == texts{"2b"});
}

TEST_CASE("received moves in the store only with the batch that holds the messages") {
  rig g;
  g.feed(1);
  auto batch = g.stage();
  g.feed(2);
  REQUIRE(batch.size() == 1);
  CHECK(g.in_commit.inbox.received() == 1);
  g.committed(batch);
  CHECK(g.stored.inbox.received() == 1);
}

TEST_CASE("a message that comes before its predecessor waits in the reorder buffer") {
  rig g;
  CHECK_FALSE(g.feed(2, "b"));
  CHECK(g.r.accepted() == 0);
  CHECK(g.r.has_gap());
  CHECK_FALSE(g.r.has_uncommitted());
  CHECK(g.r.sacked() == std::vector<sequence_range>{{2, 2}});
  CHECK_FALSE(g.feed(1, "a"));
  CHECK_FALSE(g.r.has_gap());
  CHECK(g.r.sacked().empty());
  g.commit();
  CHECK(g.take() == texts{"1a", "2b"});
}

TEST_CASE("sacked ranges name the messages in the reorder buffer") {
  rig g;
  for (std::uint64_t s : {3U, 4U, 6U, 9U, 8U}) g.feed(s);
  CHECK(g.r.sacked() == std::vector<sequence_range>{{3, 4}, {6, 6}, {8, 9}});
  g.feed(1);
  CHECK(g.r.sacked() == std::vector<sequence_range>{{3, 4}, {6, 6}, {8, 9}});
  g.feed(2);
  CHECK(g.r.accepted() == 4);
  CHECK(g.r.sacked() == std::vector<sequence_range>{{6, 6}, {8, 9}});
}

TEST_CASE("the receiver names no more ranges than an ack holds") {
  options o = small();
  o.credit_messages = 1000;
  rig g(o);
  for (std::uint64_t s = 2; s < 400; s += 2) g.feed(s);
  auto held = g.r.sacked();
  REQUIRE(held.size() == maximum_ack_ranges);
  CHECK(held.front().first == 2);
}

TEST_CASE("a duplicate is dropped wherever its first copy is") {
  rig g;
  g.feed(1, "a");
  CHECK_FALSE(g.feed(1, "A"));  // accepted
  g.commit();
  CHECK_FALSE(g.feed(1, "A"));  // stored
  g.feed(3, "c");
  CHECK_FALSE(g.feed(3, "C"));  // held
  g.feed(2, "b");
  g.commit();
  CHECK(g.take() == texts{"1a", "2b", "3c"});
  g.commit();
  for (std::uint64_t s : {1U, 2U, 3U}) CHECK_FALSE(g.feed(s, "X"));  // consumed
  g.commit();
  CHECK(g.take().empty());
  CHECK(g.r.duplicates() == 6);
}

TEST_CASE("a duplicate is dropped after a restart") {
  rig before;
  before.plan = [](std::uint64_t s) { return s <= 3 ? "a" : "b"; };
  for (std::uint64_t s = 1; s <= 3; ++s) before.feed(s, "a");
  before.commit();
  before.take(1);
  before.commit();
  rig g(small(), before);
  for (std::uint64_t s = 1; s <= 4; ++s) CHECK_FALSE(g.feed(s, "b"));
  CHECK(g.r.duplicates() == 3);
  g.commit();
  CHECK(g.take() == texts{"2a", "3a", "4b"});
}

TEST_CASE("a commit that failed is tried again, with the messages that came since") {
  rig g;
  g.feed(1, "a");
  CHECK(g.stage().size() == 1);
  g.feed(2, "b");
  g.r.fail_commit();
  CHECK(g.r.has_uncommitted());
  CHECK(g.r.next_delivery() == nullptr);
  auto again = g.stage();
  REQUIRE(again.size() == 2);
  CHECK(again[0].contents.text() == "a");
  CHECK(again[1].contents.text() == "b");
  g.committed(again);
  CHECK(g.take() == texts{"1a", "2b"});
}

TEST_CASE("a failed batch keeps back nothing that was stored before") {
  rig g;
  g.feed(1, "a");
  g.commit();
  g.feed(2, "b");
  g.stage();
  CHECK(g.take() == texts{"1a"});
  g.r.fail_commit();
  CHECK(g.take().empty());
  g.commit();
  CHECK(g.take() == texts{"2b"});
  CHECK(g.stored.inbox.delivered() == 1);
}

TEST_CASE("more messages than credit allows are refused, in order or not") {
  rig g;
  CHECK(g.r.credit_sequence() == 10);
  CHECK(g.feed(11) == error::credit_exceeded);
  CHECK_FALSE(g.r.has_gap());
  for (std::uint64_t s = 1; s <= 10; ++s) CHECK_FALSE(g.feed(s));
  CHECK(g.feed(11) == error::credit_exceeded);
  CHECK(g.r.accepted() == 10);
}

TEST_CASE("more bytes than credit allows are refused, in order or not") {
  rig g;
  g.plan = [](std::uint64_t s) { return std::string(s == 2 ? 200 : 400, 'x'); };
  CHECK_FALSE(g.feed(1, std::string(400, 'x')));
  CHECK_FALSE(g.feed(3, std::string(400, 'x')));
  CHECK(g.feed(4, std::string(201, 'x')) == error::credit_exceeded);
  CHECK(g.feed(2, std::string(201, 'x')) == error::credit_exceeded);
  CHECK_FALSE(g.feed(2, std::string(200, 'x')));
  CHECK(g.r.accepted() == 3);
}

TEST_CASE("a message above the limit is refused") {
  rig g;
  CHECK(g.feed(1, std::string(501, 'x')) == error::credit_exceeded);
  CHECK_FALSE(g.feed(1, std::string(500, 'x')));
}

TEST_CASE("a repeated message of the reorder buffer uses no credit a second time") {
  rig g;
  g.plan = [](std::uint64_t s) { return std::string(s == 1 ? 100 : s == 2 ? 500 : 400, 'x'); };
  CHECK_FALSE(g.feed(2, std::string(500, 'x')));
  CHECK_FALSE(g.feed(3, std::string(400, 'x')));
  CHECK_FALSE(g.feed(3, std::string(400, 'x')));
  CHECK(g.r.duplicates() == 1);
  CHECK_FALSE(g.feed(1, std::string(100, 'x')));
  CHECK(g.r.accepted() == 3);
}

TEST_CASE("credit grows with the messages that the application consumes, and with nothing else") {
  rig g;
  g.plan = always("12345");
  for (std::uint64_t s = 1; s <= 10; ++s) g.feed(s, "12345");
  CHECK(g.r.credit_sequence() == 10);
  g.commit();
  CHECK(g.r.credit_sequence() == 10);
  CHECK(g.r.credit_bytes() == 1000);
  g.take(4);
  CHECK(g.r.credit_sequence() == 14);
  CHECK(g.r.credit_bytes() == 1020);
  for (std::uint64_t s = 11; s <= 14; ++s) CHECK_FALSE(g.feed(s));
  CHECK(g.feed(15) == error::credit_exceeded);
}

TEST_CASE("the count of received bytes moves with the store") {
  rig g;
  g.plan = always("12345");
  g.feed(1, "12345");
  CHECK(g.r.received_bytes() == 0);
  auto batch = g.stage();
  g.feed(2, "123");
  g.committed(batch);
  CHECK(g.r.received_bytes() == 5);
  g.commit();
  CHECK(g.r.received_bytes() == 8);
  g.r.handle_session();
  CHECK(g.r.received_bytes() == 8);
}

TEST_CASE("a new session empties the reorder buffer and keeps accepted messages") {
  rig g;
  g.feed(1, "a");
  g.feed(3, "c");
  g.r.handle_session();
  CHECK_FALSE(g.r.has_gap());
  CHECK_FALSE(g.feed(2, "b"));
  CHECK(g.r.accepted() == 2);
  CHECK_FALSE(g.feed(3, "c"));
  g.commit();
  CHECK(g.take() == texts{"1a", "2b", "3c"});
}

TEST_CASE("the receiver echoes a frame in order once its messages are in the store") {
  rig g;
  CHECK(g.r.echo() == 0);
  g.feed(1);
  g.r.handle_frame(1);
  CHECK(g.r.echo() == 0);
  std::vector<stored_message> batch = g.stage();
  g.feed(2);
  g.r.handle_frame(2);
  g.feed(2);
  g.r.handle_frame(3);
  CHECK(g.r.echo() == 0);
  g.committed(batch);
  CHECK(g.r.echo() == 1);
  g.commit();
  CHECK(g.r.echo() == 3);
}

TEST_CASE("the receiver echoes a frame that has nothing to store at once") {
  rig g;
  g.feed(1);
  g.r.handle_frame(1);
  g.commit();
  g.feed(1);  // a repetition
  g.r.handle_frame(2);
  CHECK(g.r.echo() == 2);
  g.feed(3);  // out of order
  g.r.handle_frame(4);
  CHECK(g.r.echo() == 4);
  g.r.handle_frame(3);  // overtaken
  CHECK(g.r.echo() == 4);
}

TEST_CASE("a failed commit does not move the echo") {
  rig g;
  g.feed(1);
  g.r.handle_frame(1);
  g.stage();
  g.r.fail_commit();
  CHECK(g.r.echo() == 0);
  g.commit();
  CHECK(g.r.echo() == 1);
  CHECK(g.r.invariants_hold());
}

TEST_CASE("a new session echoes no frame of the one before, though a commit spans both") {
  rig g;
  g.feed(1);
  g.r.handle_frame(7);
  std::vector<stored_message> batch = g.stage();
  g.r.handle_session();
  CHECK(g.r.echo() == 0);
  g.committed(batch);
  CHECK(g.r.echo() == 0);
  g.r.handle_frame(1);
  CHECK(g.r.echo() == 1);
}

TEST_CASE("messages of an earlier process are read from the store, in pages, and delivered first") {
  rig before;
  before.plan = [](std::uint64_t s) { return s <= 9 ? "a" : "b"; };
  for (std::uint64_t s = 1; s <= 9; ++s) before.feed(s, "a");
  before.commit();
  options o = small();
  o.page_messages = 2;
  o.credit_messages = 20;
  rig g(o, before);
  CHECK(g.r.accepted() == 9);
  CHECK(g.r.unread() == 9);
  for (std::uint64_t s = 10; s <= 12; ++s) CHECK_FALSE(g.feed(s, "b"));
  auto wanted = g.r.next_page();
  REQUIRE(wanted);
  CHECK(wanted->from == 1);
  CHECK(wanted->messages == 2);
  g.commit();
  CHECK(g.take() ==
        texts{"1a", "2a", "3a", "4a", "5a", "6a", "7a", "8a", "9a", "10b", "11b", "12b"});
  CHECK_FALSE(g.r.next_page());
  g.commit();
  CHECK(g.stored.inbox.delivered() == 12);
  CHECK(g.inbox.empty());
}

TEST_CASE("a page of the inbox is bounded in messages and in bytes") {
  rig before;
  for (std::uint64_t s = 1; s <= 4; ++s) before.feed(s);
  before.commit();
  options o = small();
  o.page_messages = 3;
  o.page_bytes = 700;
  rig g(o, before);
  REQUIRE(g.r.next_page());
  CHECK(g.r.next_page()->messages == 3);
  CHECK(g.r.next_page()->bytes == 700);
}

TEST_CASE("a page of the inbox that was asked for earlier is ignored") {
  rig before;
  before.plan = always("a");
  for (std::uint64_t s = 1; s <= 4; ++s) before.feed(s, "a");
  before.commit();
  rig g(small(), before);
  std::vector<stored_message> page;
  for (auto& [at, m] : g.inbox) page.push_back(m);
  g.r.handle_page(std::span(page).first(2));
  CHECK_FALSE(g.r.next_page());
  g.r.handle_page(std::span(page).first(2));
  CHECK(g.take(2) == texts{"1a", "2a"});
  g.r.handle_page(std::span(page).first(2));
  CHECK(g.r.next_delivery() == nullptr);
  g.r.handle_page(std::span(page).subspan(2));
  CHECK(g.take() == texts{"3a", "4a"});
}

TEST_CASE("a page that begins elsewhere than asked delivers nothing") {
  rig before;
  before.plan = always("a");
  for (std::uint64_t s = 1; s <= 4; ++s) before.feed(s, "a");
  before.commit();
  rig g(small(), before);
  std::vector<stored_message> page{g.inbox.at(2), g.inbox.at(3)};
  g.r.handle_page(page);
  CHECK(g.r.next_delivery() == nullptr);
}

TEST_CASE("indices begin at 1 wherever the peer's stream does") {
  rig g;
  g.adopt(maximum_sequence - 5, {7, 7}, "e");
  CHECK(g.r.accepted() == maximum_sequence - 6);
  CHECK(g.r.unread() == 0);
  g.commit();
  CHECK(g.stored.inbox.next == 1);
  CHECK(g.stored.inbox.received() == maximum_sequence - 6);
  CHECK(g.stored.inbox.delivered() == maximum_sequence - 6);
  CHECK(g.stored.inbox.received_hash == stream_hash{7, 7});
  CHECK(g.stored.inbox.delivered_hash == stream_hash{7, 7});
  CHECK_FALSE(g.feed(maximum_sequence - 5));
  auto batch = g.stage();
  REQUIRE(batch.size() == 1);
  CHECK(batch[0].index == 1);
  CHECK(batch[0].sequence == maximum_sequence - 5);
  CHECK(batch[0].hash == extend({7, 7}, batch[0]));
}

TEST_CASE("a message whose hash before it is another belongs to another stream, and is refused") {
  rig g;
  CHECK_FALSE(g.feed(1));
  CHECK(g.feed(2, "b", {9, 9}) == error::stream_diverged);
  CHECK(g.r.accepted() == 1);
  CHECK_FALSE(g.feed(2));
  CHECK(g.r.accepted() == 2);
}

TEST_CASE("an early message that turns out to belong to another stream is forgotten") {
  rig g;
  CHECK_FALSE(g.feed(3, "c", {9, 9}));
  CHECK(g.r.has_gap());
  CHECK_FALSE(g.feed(1));
  CHECK(g.feed(2) == error::stream_diverged);
  CHECK(g.r.accepted() == 2);
  CHECK_FALSE(g.r.has_gap());
  CHECK(g.r.invariants_hold());
  CHECK_FALSE(g.feed(3));
  g.commit();
  CHECK(g.take() == texts{"1a", "2b", "3c"});
}

TEST_CASE("the messages of one record follow each other by their hashes") {
  rig g;
  data_record d;
  d.first = 1;
  for (std::string_view text : {"a", "b", "c"}) {
    d.items.emplace_back(std::as_bytes(std::span(text)));
  }
  CHECK_FALSE(g.r.handle_data(d));
  CHECK(g.r.accepted() == 3);
  g.commit();
  CHECK(g.stored.inbox.received_hash == g.hash_at(3));
  // A part that came before, and the rest that goes on behind it.
  rig h;
  CHECK_FALSE(h.feed(1));
  CHECK_FALSE(h.r.handle_data(d));
  CHECK(h.r.accepted() == 3);
  CHECK(h.r.duplicates() == 1);
}

TEST_CASE("a message of the store that is not the one that was stored is not delivered") {
  rig before;
  for (std::uint64_t s = 1; s <= 4; ++s) before.feed(s);
  before.commit();
  before.take(1);
  before.commit();
  for (std::size_t wrong : {2U, 3U, 4U}) {
    rig g(small(), before);
    std::vector<stored_message> page;
    for (auto& [at, m] : g.inbox) page.push_back(m);
    REQUIRE(page.size() == 3);
    page[wrong - 2].contents = bytes(std::string_view("?"));
    g.r.handle_page(page);
    std::size_t delivered = 0;
    while (g.r.next_delivery() != nullptr) {
      CHECK(g.r.next_delivery()->contents.text() != "?");
      g.r.handle_consumed();
      ++delivered;
    }
    INFO(wrong);
    CHECK(delivered == wrong - 2);
  }
}

TEST_CASE("a message of the store whose attributes are none is not delivered") {
  rig before;
  for (std::uint64_t s = 1; s <= 3; ++s) before.feed(s);
  before.commit();
  for (std::uint64_t wrong : {1U, 2U, 3U}) {
    rig g(small(), before);
    g.inbox.at(wrong).attributes = bytes(std::string_view("\x01"));
    stream_hash hash;
    for (auto& [at, m] : g.inbox) hash = m.hash = extend(hash, m);
    INFO(wrong);
    REQUIRE(g.page());
    std::size_t delivered = 0;
    for (; g.r.next_delivery() != nullptr; ++delivered) g.r.handle_consumed();
    CHECK(delivered == wrong - 1);
  }
}

TEST_CASE("a new stream comes after the messages of the old one, and starts anew") {
  rig g;
  g.plan = always("old");
  for (std::uint64_t s = 1; s <= 3; ++s) g.feed(s, "old");
  g.commit();
  g.feed(5, "early");
  CHECK(g.take(1) == texts{"1old"});
  g.adopt(1, {}, "new");
  CHECK_FALSE(g.r.has_gap());
  CHECK(g.r.accepted() == 0);
  CHECK(g.r.unread() == 2);
  g.commit();
  CHECK(g.stored.inbox.received() == 0);
  CHECK(g.stored.inbox.delivered() == 0);
  CHECK_FALSE(g.feed(1, "new"));
  CHECK_FALSE(g.feed(2, "new"));
  g.commit();
  CHECK(g.stored.inbox.received() == 2);
  CHECK(g.take(2) == texts{"2old", "3old"});
  g.commit();
  CHECK(g.stored.inbox.delivered() == 0);
  CHECK(g.take() == texts{"1new", "2new"});
  g.commit();
  CHECK(g.stored.inbox.delivered() == 2);
}

TEST_CASE("a new stream may start above the old one's end") {
  rig g;
  g.plan = always("old");
  for (std::uint64_t s = 1; s <= 2; ++s) g.feed(s, "old");
  g.adopt(100, {9, 9}, "new");
  CHECK(g.r.accepted() == 99);
  CHECK(g.feed(99, "dup") == std::error_code());
  CHECK_FALSE(g.feed(100, "new"));
  g.commit();
  CHECK(g.stored.inbox.received() == 100);
  CHECK(g.stored.inbox.delivered() == 99);
  CHECK(g.take() == texts{"1old", "2old", "100new"});
}

TEST_CASE("a restart between two streams keeps both") {
  rig before;
  before.plan = always("old");
  for (std::uint64_t s = 1; s <= 3; ++s) before.feed(s, "old");
  before.adopt(1, {}, "new");
  before.feed(1, "new");
  before.commit();
  rig g(small(), before);
  CHECK(g.r.accepted() == 1);
  CHECK_FALSE(g.feed(2, "new"));
  g.commit();
  CHECK(g.take() == texts{"1old", "2old", "3old", "1new", "2new"});
  g.commit();
  CHECK(g.stored.inbox.delivered() == 2);
}

TEST_CASE("a page of the inbox goes on where a new stream begins, and is checked from there on") {
  rig before;
  before.plan = always("old");
  for (std::uint64_t s = 1; s <= 2; ++s) before.feed(s, "old");
  before.adopt(7, {9, 9}, "new");
  for (std::uint64_t s = 7; s <= 9; ++s) before.feed(s, "new");
  before.commit();
  for (std::uint64_t wrong : {0U, 4U, 5U}) {
    rig g(small(), before);
    if (wrong != 0) g.inbox.at(wrong).contents = bytes(std::string_view("?"));
    REQUIRE(g.page());
    std::vector<std::uint64_t> delivered;
    while (const stored_message* m = g.r.next_delivery()) {
      delivered.push_back(m->sequence);
      g.r.handle_consumed();
    }
    std::vector<std::uint64_t> all{1, 2, 7, 8, 9};
    if (wrong != 0) all.resize(as_size(wrong - 1));
    INFO(wrong);
    CHECK(delivered == all);
  }
}

TEST_CASE(
    "leftovers of an old stream count against the new one's credit but never below its start") {
  rig g;
  g.plan = always("o");
  for (std::uint64_t s = 1; s <= 10; ++s) g.feed(s, "o");
  g.commit();
  g.adopt(1, {}, "n");
  CHECK(g.r.credit_sequence() == 0);
  CHECK(g.feed(1) == error::credit_exceeded);
  g.take(3);
  CHECK(g.r.credit_sequence() == 3);
  CHECK_FALSE(g.feed(3));
  CHECK(g.feed(4) == error::credit_exceeded);
}

TEST_CASE(
    "leftovers beyond a credit that a restart made smaller leave none below a stream's start") {
  rig before;
  before.plan = always("o");
  for (std::uint64_t s = 1; s <= 10; ++s) before.feed(s, "o");
  before.adopt(1, {}, "n");
  before.commit();
  options o = small();
  o.credit_messages = 3;
  rig g(o, before);
  CHECK(g.r.credit_sequence() == 0);
  g.take(7);
  CHECK(g.r.credit_sequence() == 0);
  g.take(1);
  CHECK(g.r.credit_sequence() == 1);
}

TEST_CASE("hashes of the last message received and delivered are those of the present stream") {
  rig g;
  g.feed(1);
  g.feed(2);
  g.commit();
  CHECK(g.stored.inbox.received_hash == g.hash_at(2));
  CHECK(g.stored.inbox.delivered_hash == stream_hash{});
  g.take(1);
  g.commit();
  CHECK(g.stored.inbox.delivered_hash == g.hash_at(1));
  g.adopt(1, {20, 20}, "c");
  g.take(1);  // the old stream's last
  g.commit();
  CHECK(g.stored.inbox.received_hash == stream_hash{20, 20});
  CHECK(g.stored.inbox.delivered_hash == stream_hash{20, 20});
  g.feed(1);
  g.commit();
  CHECK(g.stored.inbox.received_hash == g.hash_at(1));
  CHECK(g.stored.inbox.delivered_hash == stream_hash{20, 20});
  g.take(1);
  g.commit();
  CHECK(g.stored.inbox.delivered_hash == g.hash_at(1));
}

TEST_CASE(
    "the receiver delivers each message once and in order, whatever arrives and whichever commits "
    "fail") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    random_source chance(seed);
    options o = small();
    o.credit_messages = 1 + as_size(chance.below(20));
    o.page_messages = 1 + as_size(chance.below(5));
    auto g = std::make_unique<rig>(o);
    g->plan = [](std::uint64_t s) { return std::to_string(s); };
    std::uint64_t consumed = 0;
    for (int step = 0; step < 3000 && consumed < 60; ++step) {
      switch (chance.below(6)) {
        case 0:
        case 1: {
          std::uint64_t low = std::max<std::uint64_t>(g->r.accepted(), 3) - 2;
          std::uint64_t s = std::min<std::uint64_t>(low + chance.below(8), 60);
          std::error_code e = g->feed(s, std::to_string(s));
          REQUIRE((!e || s > g->r.credit_sequence()));
          break;
        }
        case 2: {
          auto batch = g->stage();
          if (chance.below(3) == 0) {
            g->r.fail_commit();
          } else {
            g->committed(batch);
          }
          break;
        }
        case 3:
        case 4:
          for (const std::string& text : g->take(as_size(chance.below(4)))) {
            ++consumed;
            REQUIRE(text == std::to_string(consumed) + std::to_string(consumed));
            g->commit();  // as the shell does before the next restart counts it as consumed
          }
          break;
        default:
          if (chance.below(10) == 0) {
            auto next = std::make_unique<rig>(o, *g);
            g = std::move(next);
          } else if (chance.below(10) == 0) {
            g->r.handle_session();
          }
      }
    }
    INFO(seed);
    CHECK(consumed == 60);
  }
}

TEST_CASE("what the store has leaves memory, and is delivered from pages, in order") {
  rig g;
  for (std::uint64_t s = 1; s <= 4; ++s) g.feed(s);
  g.commit();
  g.feed(5);
  auto batch = g.stage();
  g.feed(6);
  std::size_t before = g.r.memory().held;
  CHECK(before == 6 * held_size(1));
  CHECK(g.r.memory().unstored == 2 * held_size(1));
  CHECK(g.r.memory().releasable == 3 * held_size(1));
  g.r.release();
  CHECK(g.r.memory().held == 3 * held_size(1));
  CHECK(g.r.memory().releasable == 0);
  CHECK(g.r.invariants_hold());
  g.committed(batch);
  CHECK(g.take() == texts{"1a", "2b", "3c", "4d", "5e"});
  g.commit();
  CHECK(g.take() == texts{"6f"});
  CHECK(g.r.memory().held == 0);
}

TEST_CASE("a message that is with the application stays where it is when memory is short") {
  rig g;
  for (std::uint64_t s = 1; s <= 3; ++s) g.feed(s);
  g.commit();
  const stored_message* lent = g.r.next_delivery();
  g.feed(4);
  g.r.release();
  CHECK(g.r.next_delivery() == lent);
  CHECK(lent->sequence == 1);
  CHECK_FALSE(g.r.next_page());
  g.r.handle_consumed();
  // One of a page does so as well.
  g.commit();
  REQUIRE(g.page());
  lent = g.r.next_delivery();
  g.r.release();
  CHECK(g.r.next_delivery() == lent);
  CHECK(g.take() == texts{"2b", "3c", "4d"});
}

TEST_CASE("messages that left memory give their credit back once when they are consumed") {
  options o = small();
  o.credit_bytes = 100;
  o.maximum_message_size = 50;
  rig g(o);
  g.plan = always("0123456789");
  for (std::uint64_t s = 1; s <= 10; ++s) CHECK_FALSE(g.feed(s));
  g.commit();
  g.r.release();
  CHECK(g.r.credit_bytes() == 100);
  CHECK(g.take().size() == 10);
  CHECK(g.r.credit_bytes() == 200);
  // Those of an earlier life took none in this one.
  rig after(o, g);
  CHECK(after.take().size() == 10);
  CHECK(after.r.credit_bytes() == 100);
}

TEST_CASE("early messages leave a memory that is short, and are taken when they come again") {
  rig g;
  for (std::uint64_t s : {2U, 4U, 5U}) g.feed(s);
  CHECK(g.r.memory().releasable == 3 * held_size(1));
  g.r.release();
  CHECK(g.r.memory().held == 0);
  CHECK_FALSE(g.r.has_gap());
  CHECK(g.r.sacked().empty());
  for (std::uint64_t s = 1; s <= 5; ++s) CHECK_FALSE(g.feed(s));
  g.commit();
  CHECK(g.r.duplicates() == 0);
  CHECK(g.take() == texts{"1a", "2b", "3c", "4d", "5e"});
}
