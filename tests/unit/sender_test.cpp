#include "support/as_size.hpp"
#include "support/catch.hpp"

#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/sender.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using test::as_size;
using namespace std::chrono_literals;

namespace {

using sequences = std::vector<std::uint64_t>;

frame_header of_a_session() {
  frame_header h;
  h.version = 1;
  return h;
}

sequences from_to(std::uint64_t first, std::uint64_t last) {
  sequences all(as_size(last + 1 - first));
  std::iota(all.begin(), all.end(), first);
  return all;
}

options small(std::size_t window_messages = 1000) {
  options o;
  o.window_messages = window_messages;
  o.maximum_message_size = 1000;
  o.frame_fill = 1;  // one message a frame
  return o;
}

session_terms terms_from(std::uint64_t first) {
  session_terms t;
  t.send_from = first;
  t.granted.sequence = 1'000'000;
  t.granted.bytes = 1 << 30;
  t.maximum_message = 1 << 20;
  return t;
}

/// A sender and the outbox behind it.
struct rig {
  explicit rig(options settings = small(), bool reliable = false, std::size_t limit = 1 << 16)
      : o(settings), frame_limit(limit), s(o, reliable, limit) {}

  /// Puts messages into the outbox; the sender learns of it unless `silently`.
  void commit(std::size_t count, std::size_t size = 10, bool silently = false) {
    std::uint64_t first = next, salt = first + 1000;
    std::vector<submission> sends;
    for (std::size_t i = 0; i < count; ++i, ++next) {
      submission& made = sends.emplace_back(send_id{next}, bytes(std::string(size, 'x')));
      made.salt = std::exchange(salt, 0);
      stored_message m(next, next, made.salt, {}, made.message.contents);
      m.hash = made.hash = extend(hash_at(next - 1), m);
      outbox.emplace(next, m);
    }
    if (!silently) s.handle_committed(first, sends);
  }
  stream_hash hash_at(std::uint64_t sequence) const {
    return sequence == 0 ? stream_hash{} : outbox.at(sequence).hash;
  }

  void restore(std::uint64_t first) {
    outbox_cursors c;
    c.first = first;
    c.next = next;
    c.erased_hash = hash_at(first - 1);
    c.last_hash = hash_at(next - 1);
    s.restore(c);
  }

  void open(session_terms terms = terms_from(1)) {
    terms.before = hash_at(terms.send_from - 1);
    s.handle_session(terms);
    carried.clear();
    counted = terms.granted.received_bytes;
    count_from = terms.send_from;
    s.handle_verified();
  }

  bool page() {
    std::optional<page_request> wanted = s.next_page();
    if (!wanted) return false;
    std::vector<stored_message> found;
    std::size_t size = 0;
    for (auto at = outbox.find(wanted->from); at != outbox.end(); ++at) {
      size += at->second.contents.size();
      if (found.size() == wanted->messages || (size > wanted->bytes && !found.empty())) break;
      found.push_back(at->second);
    }
    s.handle_page(found);
    return true;
  }

  /// All that is sent now, in order; pages are read as they are wanted.
  sequences flush(timestamp now = 0s) {
    sequences sent;
    for (;;) {
      frame_header header = of_a_session();
      if (s.has_data()) header.number = s.begin_frame(now);
      frame_writer w(out, header, false, frame_limit);
      s.fill(w, now, random);
      w.finish();
      frame f;
      REQUIRE_FALSE(read_frame(out, {}, f));
      for (const data_record& d : f.data) {
        for (std::size_t i = 0; i < d.items.size(); ++i) {
          sent.push_back(d.first + i);
          carried[d.first + i] = f.header.number;
        }
      }
      ++frames;
      if (f.data.empty() && !page()) return sent;
    }
  }

  /// An ack that echoes the last frame of what it acknowledges.
  ack_record ack(std::uint64_t received, std::uint64_t delivered = 0) const {
    ack_record a;
    a.claim.received = received;
    a.claim.received_hash = hash_at(std::min(received, next - 1));
    a.claim.delivered = delivered;
    a.claim.delivered_hash = hash_at(std::min(delivered, next - 1));
    a.credit.received_bytes = counted;
    for (std::uint64_t i = count_from; i <= received && outbox.contains(i); ++i) {
      a.credit.received_bytes += outbox.at(i).contents.size();
    }
    a.echo = last_frame_of({1, received});
    return a;
  }
  std::uint64_t last_frame_of(const sequence_range& r) const {
    std::uint64_t last = 0;
    for (const auto& [sequence, number] : carried) {
      if (sequence >= r.first && sequence <= r.last) last = std::max(last, number);
    }
    return last;
  }
  std::error_code take(const ack_record& a, timestamp now = 0s) {
    if (std::error_code e = s.check(a)) return e;
    s.handle_ack(a, true, now, random);
    CHECK(s.invariants_hold());
    return {};
  }
  std::error_code take_ranges(std::uint64_t received, std::vector<sequence_range> ranges,
                              timestamp now) {
    ack_record a = ack(received);
    for (const sequence_range& r : ranges) a.echo = std::max(a.echo, last_frame_of(r));
    a.ranges = std::move(ranges);
    return take(a, now);
  }
  /// Lets the timer run out that runs now.
  timestamp expire() {
    timestamp at = s.deadline();
    REQUIRE(at != never);
    s.handle_timeout(at, random);
    return at;
  }

  options o;
  std::size_t frame_limit;
  std::vector<std::byte> out;
  random_source random{1};
  sender s;
  std::map<std::uint64_t, stored_message> outbox;
  std::map<std::uint64_t, std::uint64_t> carried;  ///< the last frame of each sequence
  std::uint64_t next = 1;
  std::uint64_t counted = 0;
  std::uint64_t count_from = 1;
  int frames = 0;
};

}  // namespace

TEST_CASE("the sender sends nothing before a session is open and verified") {
  rig r;
  r.commit(3);
  CHECK(r.flush().empty());
  r.s.handle_session(terms_from(1));
  CHECK(r.flush().empty());
  CHECK_FALSE(r.s.next_page());
  r.s.handle_verified();
  CHECK(r.flush() == from_to(1, 3));
}

TEST_CASE("messages that are stored without a session are in the store alone") {
  rig r;
  r.commit(3);
  CHECK(r.s.memory().held == 0);
  r.open();
  CHECK(r.flush() == from_to(1, 3));
  r.s.handle_session_end();
  r.commit(2);
  CHECK(r.s.memory().held == 0);
  r.open();
  CHECK(r.flush() == from_to(1, 5));
}

TEST_CASE(
    "bytes that were sent are not unsent any more, though the peer has not said that it has them") {
  rig r;
  r.open();
  r.commit(3);
  CHECK(r.s.unsent_bytes() == 30);
  CHECK(r.flush() == from_to(1, 3));
  CHECK(r.s.unsent_bytes() == 0);
  r.commit(1);
  CHECK(r.s.unsent_bytes() == 10);
  CHECK_FALSE(r.take(r.ack(2)));
  CHECK(r.s.unsent_bytes() == 10);
}

TEST_CASE("the sender sends messages committed during a session once, in order") {
  rig r;
  r.open();
  r.commit(2);
  CHECK(r.flush() == from_to(1, 2));
  CHECK(r.flush().empty());
  r.commit(2);
  CHECK(r.flush() == from_to(3, 4));
  CHECK(r.s.in_flight() == 4);
  CHECK(r.s.resent() == 0);
}

TEST_CASE("the window bounds how many messages are in flight") {
  rig r(small(5));
  r.open();
  r.commit(20);
  CHECK(r.flush() == from_to(1, 5));
  CHECK_FALSE(r.s.has_data());
  REQUIRE_FALSE(r.take(r.ack(2)));
  CHECK(r.flush() == from_to(6, 7));
  REQUIRE_FALSE(r.take(r.ack(7)));
  CHECK(r.flush() == from_to(8, 12));
}

TEST_CASE("the window bounds how many bytes are in flight") {
  options o = small();
  o.window_bytes = 1000;
  rig r(o);
  r.open();
  r.commit(20, 300);
  CHECK(r.flush() == from_to(1, 3));
  REQUIRE_FALSE(r.take(r.ack(1)));
  CHECK(r.flush() == from_to(4, 4));
}

TEST_CASE("credit in messages bounds the sender") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.sequence = 3;
  r.open(t);
  r.commit(10);
  CHECK(r.flush() == from_to(1, 3));
  ack_record a = r.ack(3);
  a.credit.sequence = 4;
  a.credit.bytes = 1 << 30;
  REQUIRE_FALSE(r.take(a));
  CHECK(r.flush() == from_to(4, 4));
}

TEST_CASE("credit in bytes bounds the sender, counted from where the receiver counts") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.received_bytes = 5000;
  t.granted.bytes = 5025;
  r.open(t);
  r.commit(10, 10);
  CHECK(r.flush() == from_to(1, 2));
  ack_record a = r.ack(2);
  CHECK(a.credit.received_bytes == 5020);
  a.credit.bytes = 5040;
  REQUIRE_FALSE(r.take(a));
  CHECK(r.flush() == from_to(3, 4));
}

TEST_CASE("a repeated ack does not count bytes twice") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.bytes = 45;
  r.open(t);
  r.commit(10, 10);
  CHECK(r.flush() == from_to(1, 4));
  for (int i = 0; i < 5; ++i) REQUIRE_FALSE(r.take(r.ack(2)));
  CHECK(r.flush().empty());
  ack_record a = r.ack(2);
  a.credit.bytes = 60;
  REQUIRE_FALSE(r.take(a));
  CHECK(r.flush() == from_to(5, 6));
}

TEST_CASE("credit of zero stops the sender, and new credit starts it again") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.sequence = 0;
  t.granted.bytes = 0;
  r.open(t);
  r.commit(5);
  CHECK(r.flush().empty());
  // The side that waits asks by its own timer, for as long as it takes.
  for (int i = 0; i < 20; ++i) {
    timestamp now = r.expire();
    CHECK(r.s.ping_due());
    r.s.pinged();
    CHECK(r.flush(now).empty());
  }
  ack_record a = r.ack(0);
  a.credit.sequence = 10;
  a.credit.bytes = 1000;
  REQUIRE_FALSE(r.take(a, 1h));
  CHECK(r.flush(1h) == from_to(1, 5));
}

TEST_CASE("an old ack moves neither cursor nor credit back") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.sequence = 10;
  r.open(t);
  r.commit(20);
  CHECK(r.flush() == from_to(1, 10));
  ack_record old = r.ack(3, 2);
  old.credit.sequence = 10;
  old.ranges = {sequence_range{5, 6}};
  ack_record fresh = r.ack(8, 7);
  fresh.credit.sequence = 15;
  fresh.credit.bytes = 1 << 30;
  REQUIRE_FALSE(r.take(fresh));
  CHECK(r.flush() == from_to(11, 15));
  REQUIRE_FALSE(r.take(old, 1s));
  REQUIRE_FALSE(r.take(r.ack(0), 1s));
  CHECK(r.s.delivered() == 7);
  CHECK(r.s.in_flight() == 7);
  CHECK(r.flush(1s).empty());
}

TEST_CASE("an ack may confirm several messages at once, up to all that were sent") {
  rig r;
  r.open();
  r.commit(10);
  r.flush();
  REQUIRE_FALSE(r.take(r.ack(10, 10)));
  CHECK(r.s.in_flight() == 0);
  CHECK(r.s.delivered() == 10);
  CHECK(r.s.deadline() == never);
}

TEST_CASE("an ack of early messages that were never stored is refused") {
  rig r;
  r.open();
  r.commit(5);
  r.flush();
  CHECK(r.take_ranges(0, {{2, 6}}, 0s) == error::acknowledged_unsent);
  CHECK(r.take_ranges(0, {{maximum_sequence, maximum_sequence}}, 0s) == error::acknowledged_unsent);
  CHECK(r.s.in_flight() == 5);
  CHECK_FALSE(r.take_ranges(0, {{2, 5}}, 0s));
  CHECK_FALSE(r.take(r.ack(5)));
}

TEST_CASE("an echo of a frame that was never sent is refused and changes nothing") {
  rig r;
  r.open();
  r.commit(2);
  r.flush(0ms);
  ack_record a = r.ack(2);
  REQUIRE(a.echo == 2);
  a.echo = 3;
  CHECK(r.take(a, 100ms) == error::acknowledged_unsent);
  CHECK(r.s.in_flight() == 2);
  CHECK(r.s.rtt() == 0ns);
  r.open();
  a.echo = 1;  // a session counts its own frames
  CHECK(r.take(a, 100ms) == error::acknowledged_unsent);
}

TEST_CASE("the hash of a hello that is not verified is not that of the stream") {
  rig r;
  r.open();
  r.commit(9, 10, true);
  r.restore(1);
  session_terms claimed = terms_from(6);
  claimed.before = stream_hash{1, 2};
  r.s.handle_session(claimed);
  CHECK_FALSE(r.s.hash_at(5));
  SECTION("another hello opens the next session") {}
  SECTION("the session ends first") {
    r.s.handle_session_end();
    CHECK_FALSE(r.s.hash_at(5));
  }
  r.open(terms_from(6));
  CHECK(r.s.hash_at(5) == r.hash_at(5));
  CHECK(r.flush() == from_to(6, 9));
}

TEST_CASE("an ack is compared with the stream's hash, as far as that is in memory") {
  rig r;
  r.open();
  r.commit(5);
  r.flush();
  claim c = r.ack(3).claim;
  CHECK(r.s.confirms(c) == true);
  c.received_hash.low ^= 1;
  CHECK(r.s.confirms(c) == false);
  // What is acknowledged is not asked again.
  REQUIRE_FALSE(r.take(r.ack(3)));
  CHECK(r.s.confirms(c) == true);
  c = r.ack(5).claim;
  CHECK(r.s.confirms(c) == true);
  c.received = 6;
  CHECK_FALSE(r.s.confirms(c));
  // Messages of the store that are not in memory.
  rig q;
  q.commit(5, 10, true);
  q.restore(1);
  q.open();
  CHECK_FALSE(q.s.confirms(q.ack(3).claim));
  CHECK_FALSE(q.s.confirms(q.ack(5).claim));
  REQUIRE(q.page());
  CHECK(q.s.confirms(q.ack(3).claim) == true);
}

TEST_CASE("the hash of a stream is known at its ends, and at what is in memory or was looked up") {
  rig r;
  r.commit(6, 10, true);
  r.restore(3);
  CHECK(r.s.hash_at(2) == r.hash_at(2));
  CHECK(r.s.hash_at(6) == r.hash_at(6));
  for (std::uint64_t s : {1U, 3U, 5U, 7U}) CHECK_FALSE(r.s.hash_at(s));
  r.s.handle_found(5, r.hash_at(5));
  CHECK(r.s.hash_at(5) == r.hash_at(5));
  CHECK_FALSE(r.s.hash_at(4));
  r.open(terms_from(3));
  REQUIRE(r.page());
  for (std::uint64_t s = 2; s <= 6; ++s) CHECK(r.s.hash_at(s) == r.hash_at(s));
  CHECK_FALSE(r.s.hash_at(1));
}

TEST_CASE("a message of a page that is not the one that was stored is not sent") {
  rig r;
  r.commit(4, 10, true);
  r.restore(1);
  r.open();
  std::vector<stored_message> page;
  for (const auto& [sequence, m] : r.outbox) page.push_back(m);
  page[2].contents = bytes(std::string(10, 'y'));
  r.s.handle_page(page);
  REQUIRE(r.s.next_page());
  CHECK(r.s.next_page()->from == 3);
}

TEST_CASE("a message of a page whose attributes are none is not sent") {
  rig r;
  r.commit(3, 10, true);
  r.outbox.at(2).attributes = bytes(std::string_view("\x01"));
  for (std::uint64_t s : {2U, 3U}) r.outbox.at(s).hash = extend(r.hash_at(s - 1), r.outbox.at(s));
  r.restore(1);
  r.open();
  REQUIRE(r.page());
  REQUIRE(r.s.next_page());
  CHECK(r.s.next_page()->from == 2);
}

TEST_CASE("a message that a later one overtook is lost after a round trip and a quarter") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0ms);
  REQUIRE_FALSE(r.take(r.ack(1), 100ms));  // the round trip is 100 ms
  CHECK(r.s.rtt() == 100ms);
  r.commit(3);
  CHECK(r.flush(100ms) == from_to(2, 4));
  REQUIRE_FALSE(r.take_ranges(1, {{3, 3}}, 200ms));
  CHECK(r.flush(200ms).empty());
  CHECK(r.s.deadline() == 225ms);
  r.s.handle_timeout(225ms, r.random);
  CHECK(r.flush(225ms) == from_to(2, 2));  // 4 was sent after 3: it is not known to be lost
  CHECK(r.s.resent() == 1);
}

TEST_CASE("an ack that comes late enough shows the loss at once") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0ms);
  r.take(r.ack(1), 100ms);
  r.commit(4);
  r.flush(100ms);
  REQUIRE_FALSE(r.take_ranges(1, {{5, 5}}, 230ms));
  CHECK(r.flush(230ms) == from_to(2, 4));
}

TEST_CASE(
    "after a needless retransmission, also of a message that came early, losses are found later") {
  for (bool early : {false, true}) {
    rig r;
    r.open();
    r.commit(1);
    r.flush(0ms);
    REQUIRE_FALSE(r.take(r.ack(1), 100ms));  // the round trip is 100 ms
    r.commit(3);
    r.flush(100ms);
    REQUIRE_FALSE(r.take_ranges(1, {{4, 4}}, 200ms));
    r.s.handle_timeout(225ms, r.random);
    REQUIRE(r.flush(225ms) == from_to(2, 3));  // in frames 5 and 6
    ack_record first_copy = r.ack(1);
    first_copy.ranges = {sequence_range{3, 4}};
    first_copy.echo = 4;
    if (early) REQUIRE_FALSE(r.take(first_copy, 230ms));
    ack_record all = r.ack(4);
    all.echo = 5;
    REQUIRE_FALSE(r.take(all, 325ms));
    r.commit(2);
    r.flush(330ms);
    REQUIRE_FALSE(r.take_ranges(4, {{6, 6}}, 430ms));
    INFO(early);
    CHECK(r.s.deadline() == 480ms);  // a round trip and two quarters
  }
}

TEST_CASE("the sender does not retransmit sacked messages") {
  rig r;
  r.open();
  r.commit(6);
  r.flush(0ms);
  REQUIRE_FALSE(r.take_ranges(0, {{2, 3}, {5, 5}}, 1ms));
  timestamp now = 1ms;
  sequences again;
  while (again.empty()) {
    now = r.expire();
    again = r.flush(now);
  }
  for (std::uint64_t s : again) CHECK((s == 1 || s == 4 || s == 6));
  CHECK(std::count(again.begin(), again.end(), 1U) == 1);
  CHECK(std::count(again.begin(), again.end(), 4U) == 1);
}

TEST_CASE("a message that was not sent in this session is not sacked, though a range names it") {
  rig r;
  session_terms three = terms_from(1);
  three.granted.sequence = 3;
  r.open(three);
  r.commit(4);
  REQUIRE(r.flush(0ms) == from_to(1, 3));
  REQUIRE_FALSE(r.take_ranges(0, {{2, 4}}, 1ms));
  ack_record all = r.ack(3);
  all.credit.sequence = 4;
  REQUIRE_FALSE(r.take(all, 2ms));
  CHECK(r.flush(2ms) == from_to(4, 4));
  // Nobody has it, so it goes again.
  CHECK(r.flush(r.expire()) == from_to(4, 4));
}

TEST_CASE("what was sacked is sent again if an ack that was asked for brings nothing new") {
  rig r;
  r.open();
  r.commit(3);
  r.flush(0ms);
  REQUIRE_FALSE(r.take_ranges(0, {{1, 3}}, 1ms));
  timestamp now = r.expire();
  REQUIRE(r.s.ping_due());
  r.s.pinged();
  CHECK(r.flush(now).empty());
  bool news = false;
  SECTION("nothing new") {}
  SECTION("news") { news = true; }
  std::error_code refused = news ? r.take(r.ack(1), now) : r.take_ranges(0, {}, now);
  REQUIRE_FALSE(refused);
  CHECK(r.flush(r.expire()) == (news ? sequences{} : from_to(1, 1)));
}

TEST_CASE("a retransmission asks nothing: what was sacked is not sent again because of it") {
  options o = small();
  o.frame_fill = 1000;
  rig r(o);
  r.open();
  r.commit(3);
  r.flush(0ms);
  REQUIRE_FALSE(r.take_ranges(0, {{2, 2}}, 1ms));
  for (int i = 0; i < 3; ++i) {
    CHECK(r.flush(r.expire()) == sequences{1, 3});
    CHECK_FALSE(r.s.ping_due());
  }
}

TEST_CASE("the sender does not retransmit a message sacked after it was marked lost") {
  rig r;
  r.open();
  r.commit(2);
  r.flush(0ms);
  r.expire();  // both are to be sent again
  REQUIRE_FALSE(r.take_ranges(0, {{2, 2}}, 1s));
  CHECK(r.flush(1s) == from_to(1, 1));
  REQUIRE_FALSE(r.take(r.ack(2), 2s));
  CHECK(r.flush(2s).empty());
}

TEST_CASE("an ack of a message that was marked lost cancels its retransmission") {
  options o = small();
  o.frame_fill = 1000;
  rig r(o);
  r.open();
  r.commit(4);
  r.flush(0ms);
  r.expire();
  REQUIRE_FALSE(r.take(r.ack(3), 1s));
  CHECK(r.flush(1s) == from_to(4, 4));
  CHECK(r.flush(1s).empty());
}

TEST_CASE("the sender retransmits an unacknowledged flight when its timer ends") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0s);
  CHECK(r.s.deadline() >= r.o.initial_timeout);
  CHECK(r.s.deadline() <= r.o.initial_timeout * 5 / 4);
  r.s.handle_timeout(r.s.deadline() - 1ns, r.random);
  CHECK(r.flush(r.s.deadline() - 1ns).empty());
  CHECK(r.flush(r.expire()) == from_to(1, 1));
}

TEST_CASE("the first message is sent again with the lost ones although the peer once named it") {
  rig r;
  r.open();
  r.commit(4);
  r.flush(0s);
  REQUIRE_FALSE(r.take_ranges(0, {{2, 3}}, 1ms));
  // It has 1, and no longer the two that came early.
  REQUIRE_FALSE(r.take(r.ack(1), 2ms));
  CHECK(r.flush(r.expire()) == sequences{2, 4});
  REQUIRE_FALSE(r.take(r.ack(2), 300ms));
  REQUIRE_FALSE(r.take(r.ack(2), 300ms));
  CHECK(r.flush(r.expire()) == sequences{3, 4});
}

TEST_CASE("the timer backs off to its bound, and a measurement brings it back") {
  rig r;
  r.open();
  r.commit(2);
  r.flush(0s);
  duration expected = r.o.initial_timeout;
  timestamp now = 0s;
  for (int i = 0; i < 10; ++i) {
    duration wait = r.s.deadline() - now;
    CHECK(wait >= expected);
    CHECK(wait <= expected + expected / 4);
    now = r.expire();
    CHECK(r.flush(now) == from_to(1, 1));  // no more than a frame without news of the peer
    expected = std::min(expected * 2, r.o.maximum_timeout);
  }
  ack_record a = r.ack(1);
  a.echo = 0;
  REQUIRE_FALSE(r.take(a, now));
  CHECK(r.s.deadline() - now >= r.o.maximum_timeout);
  r.flush(now = r.expire());
  REQUIRE_FALSE(r.take(r.ack(2), now + 50ms));
  CHECK(r.s.rtt() == 50ms);
  CHECK(r.s.deadline() - now <= r.o.initial_timeout * 5 / 4);
}

TEST_CASE("an ack without progress does not put the timer off") {
  rig r;
  r.open();
  r.commit(2);
  r.flush(0s);
  REQUIRE_FALSE(r.take(r.ack(1), 10ms));
  timestamp due = r.s.deadline();
  for (int i = 0; i < 10; ++i) REQUIRE_FALSE(r.take(r.ack(1), 20ms));
  CHECK(r.s.deadline() == due);
}

TEST_CASE("an ack with news of any kind puts the timer off, whose doubling stays") {
  for (int news = 0; news < 5; ++news) {
    rig r;
    session_terms t = terms_from(1);
    t.granted.sequence = t.granted.bytes = 1000;
    r.open(t);
    r.commit(3);
    r.flush(0s);
    REQUIRE_FALSE(r.take(r.ack(1), 0s));
    timestamp now = 0s;
    for (int i = 0; i < 4; ++i) r.flush(now = r.expire());
    timestamp due = r.s.deadline();
    ack_record a = r.ack(1);
    if (news == 1) a.claim.received = 2;  // without a newer echo
    if (news == 2) a.claim.delivered = 1;
    if (news == 3) a.credit.sequence = 1001;
    if (news == 4) a.credit.bytes = 1001;
    REQUIRE_FALSE(r.take(a, now));
    INFO(news);
    CHECK((r.s.deadline() == due) == (news == 0));
    CHECK(r.s.deadline() - now >= 15 * duration(r.o.minimum_timeout));
  }
}

TEST_CASE("the doubling between pings ends with news, and not with an answer alone") {
  rig r;
  r.open();
  r.commit(2);
  r.flush(0s);
  REQUIRE_FALSE(r.take(r.ack(2, 0), 100ms));
  timestamp now = 100ms;
  duration expected = 300ms;  // the round trip is 100 ms, its variance 50
  for (int i = 0; i < 4; ++i, expected *= 2) {
    CHECK(r.s.deadline() - now >= expected);
    CHECK(r.s.deadline() - now <= expected * 5 / 4);
    now = r.expire();
    REQUIRE(r.s.ping_due());
    r.s.pinged();
    REQUIRE_FALSE(r.take(r.ack(2, 0), now));
  }
  REQUIRE_FALSE(r.take(r.ack(2, 1), now));
  CHECK(r.s.deadline() - now <= 375ms);
}

TEST_CASE("the round trip is that of the newest frame echoed, also of one out of order") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0ms);
  r.commit(1);
  r.flush(50ms);
  REQUIRE_FALSE(r.take_ranges(0, {{2, 2}}, 150ms));
  CHECK(r.s.rtt() == 100ms);
  REQUIRE_FALSE(r.take(r.ack(2), 1s));  // no newer echo
  CHECK(r.s.rtt() == 100ms);
}

TEST_CASE("a page with more than was asked for fills no more than the window") {
  rig r(small(3));
  r.commit(5, 10, true);
  r.restore(1);
  r.open();
  std::vector<stored_message> all;
  for (const auto& [sequence, m] : r.outbox) all.push_back(m);
  r.s.handle_page(all);
  CHECK_FALSE(r.s.has_room());
  CHECK(r.s.invariants_hold());
  CHECK(r.flush() == from_to(1, 3));
}

TEST_CASE("the round trip of a retransmitted message is that of the frame that arrived") {
  for (std::uint64_t arrived : {1U, 2U}) {
    rig r;
    r.open();
    r.commit(1);
    r.flush(0s);
    timestamp again = r.expire();
    r.flush(again);
    ack_record a = r.ack(1);
    REQUIRE(a.echo == 2);
    a.echo = arrived;
    REQUIRE_FALSE(r.take(a, again + 1ms));
    CHECK(r.s.rtt() == (arrived == 1 ? again + 1ms : timestamp(1ms)));
  }
}

TEST_CASE("the sender retransmits nothing over a reliable network") {
  rig r(small(), true);
  r.open();
  r.commit(5);
  CHECK(r.flush(0s) == from_to(1, 5));
  CHECK(r.s.deadline() == never);
  r.s.handle_timeout(1h, r.random);
  CHECK(r.flush(1h).empty());
  REQUIRE_FALSE(r.take(r.ack(2), 2h));
  r.s.handle_timeout(3h, r.random);
  CHECK(r.flush(3h).empty());
  CHECK(r.s.resent() == 0);
  CHECK_FALSE(r.s.ping_due());
}

TEST_CASE("the sender reads a backlog from the store, page by page and without a gap") {
  options o = small(50);
  o.page_messages = 7;
  rig r(o);
  r.commit(500, 10, true);
  r.restore(1);
  r.open();
  sequences sent;
  std::uint64_t received = 0;
  while (received < 700) {
    sequences some = r.flush();
    REQUIRE_FALSE(some.empty());
    sent.insert(sent.end(), some.begin(), some.end());
    CHECK(r.s.in_flight() <= 50);
    received = sent.back();
    REQUIRE_FALSE(r.take(r.ack(received, received)));
    // What is sent meanwhile queues behind the backlog.
    if (r.next <= 700) r.commit(std::min<std::size_t>(10, as_size(701 - r.next)));
  }
  CHECK(sent == from_to(1, 700));
}

TEST_CASE("a message committed while a page is read is sent once, from memory or from the page") {
  options o = small(50);
  rig r(o);
  r.commit(10, 10, true);
  r.restore(1);
  r.open();
  auto wanted = r.s.next_page();
  REQUIRE(wanted);
  CHECK(wanted->from == 1);
  std::vector<stored_message> page;
  for (auto& [at, m] : r.outbox) page.push_back(m);
  r.commit(5);  // does not follow what is in memory
  for (auto& [at, m] : r.outbox) {
    if (at > 10) page.push_back(m);
  }
  r.s.handle_page(page);
  CHECK(r.flush() == from_to(1, 15));
  r.commit(1);
  CHECK(r.flush() == from_to(16, 16));
}

TEST_CASE("a page of the outbox that was asked for earlier adds only what follows") {
  rig r;
  r.commit(10, 10, true);
  r.restore(1);
  r.open();
  std::vector<stored_message> page;
  for (auto& [at, m] : r.outbox) page.push_back(m);
  r.s.handle_page(std::span(page).first(4));
  CHECK(r.s.in_flight() == 0);
  for (int i = 0; i < 4; ++i) {
    r.s.begin_frame(0s);
    frame_writer next(r.out, of_a_session(), false, r.frame_limit);
    r.s.fill(next, 0s, r.random);
  }
  REQUIRE(r.s.in_flight() == 4);
  REQUIRE_FALSE(r.take(r.ack(4, 4)));
  r.s.handle_page(page);
  CHECK(r.flush() == from_to(5, 10));
  r.s.handle_page(page);
  CHECK(r.flush().empty());
}

TEST_CASE("the sender keeps no more than the window in memory though the backlog is long") {
  options o = small(20);
  o.window_bytes = 1000;
  o.page_messages = 1000;
  o.page_bytes = 100'000;
  rig r(o);
  r.commit(1000, 100, true);
  r.restore(1);
  session_terms t = terms_from(1);
  t.granted.sequence = 0;
  r.open(t);
  std::size_t asked = 0;
  while (auto wanted = r.s.next_page()) {
    CHECK(wanted->messages <= 20);
    CHECK(wanted->bytes <= 1000);
    REQUIRE(++asked < 5);
    REQUIRE(r.page());
  }
  CHECK_FALSE(r.s.has_room());
}

TEST_CASE("a new session sends the messages that the peer did not receive, and nothing else") {
  rig r;
  r.open();
  r.commit(10);
  r.flush();
  REQUIRE_FALSE(r.take(r.ack(3, 2)));
  r.s.handle_session_end();
  CHECK(r.s.in_flight() == 0);
  CHECK(r.flush().empty());
  CHECK(r.s.deadline() == never);
  r.open(terms_from(7));
  CHECK(r.flush() == from_to(7, 10));
  CHECK(r.s.resent() == 0);
}

TEST_CASE("a new session may send again messages that the last one confirmed as received") {
  rig r;
  r.open();
  r.commit(10);
  r.flush();
  REQUIRE_FALSE(r.take(r.ack(8, 2)));
  r.s.handle_session_end();
  r.open(terms_from(3));  // another store, which has nothing
  CHECK(r.flush() == from_to(3, 10));
}

TEST_CASE("a session that begins before the last one ended starts over as well") {
  rig r;
  r.open();
  r.commit(10);
  r.flush();
  for (std::uint64_t from : {1U, 5U, 2U, 11U, 1U}) {
    r.open(terms_from(from));
    CHECK(r.flush() == from_to(from, 10));
  }
}

TEST_CASE("a message above the peer's limit blocks the stream, reported once") {
  rig r;
  session_terms t = terms_from(1);
  t.maximum_message = 100;
  r.open(t);
  r.commit(1, 100);
  r.commit(1, 101);
  r.commit(1, 5);
  CHECK(r.flush() == from_to(1, 1));
  CHECK(r.s.poll_blocked().value().outbound == sequence_range{2, 2});
  CHECK_FALSE(r.s.poll_blocked());
  CHECK(r.flush().empty());
  CHECK_FALSE(r.s.poll_blocked());
  // A later session with a peer that takes it.
  r.s.handle_session_end();
  r.open(terms_from(2));
  CHECK(r.flush() == from_to(2, 3));
}

TEST_CASE("a message that fits no frame blocks the stream") {
  rig r(small(), false, minimum_frame_size);
  r.open();
  // The size of contents of up to 4,095 bytes takes two bytes, and a salt 8.
  std::size_t largest =
      minimum_frame_size - session_header_size - data_record_size - checksum_size - 10;
  r.commit(1, largest);
  r.commit(1, largest + 1);
  CHECK(r.flush() == from_to(1, 1));
  CHECK(r.s.poll_blocked().value().outbound == sequence_range{2, 2});
}

TEST_CASE("small messages share a frame, up to its filling and its limit") {
  options o = small();
  o.frame_fill = 500;
  rig r(o);
  r.open();
  r.commit(100, 10);
  CHECK(r.flush() == from_to(1, 100));
  CHECK(r.frames >= 3);
  CHECK(r.frames <= 6);
  o.frame_fill = 1 << 20;
  rig narrow(o, false, minimum_frame_size);
  narrow.open();
  narrow.commit(100, 100);
  CHECK(narrow.flush() == from_to(1, 100));
}

TEST_CASE("a new message waits for the lost ones before it, though it would fit their frame") {
  options o = small();
  o.frame_fill = 200;
  rig r(o);
  r.open();
  r.commit(1, 100);
  r.commit(1, 150);
  r.flush(0s);
  timestamp now = r.expire();
  r.commit(1, 10);
  CHECK(r.flush(now) == from_to(1, 3));
  CHECK(r.s.resent() == 2);
}

TEST_CASE("messages of two commits stand in one record, each commit with its salt") {
  options o = small();
  o.frame_fill = 1 << 16;
  rig r(o);
  r.open();
  r.commit(2);
  r.commit(2);
  r.s.begin_frame(0s);
  frame_writer w(r.out, of_a_session(), false, 1 << 16);
  r.s.fill(w, 0s, r.random);
  w.finish();
  frame f;
  REQUIRE_FALSE(read_frame(r.out, {}, f));
  REQUIRE(f.data.size() == 1);
  CHECK(f.data[0].first == 1);
  CHECK(f.data[0].before == stream_hash{});
  REQUIRE(f.data[0].items.size() == 4);
  CHECK(f.data[0].items[0].salt == 1001);
  CHECK(f.data[0].items[1].salt == 0);
  CHECK(f.data[0].items[2].salt == 1003);
}

TEST_CASE("a message that is sent again has the hash before it") {
  options o = small();
  o.frame_fill = 1 << 16;
  rig r(o);
  r.open();
  r.commit(5);
  r.flush(0s);
  REQUIRE_FALSE(r.take_ranges(1, {{3, 3}}, 0s));
  timestamp now = r.expire();
  frame_writer w(r.out, of_a_session(), false, 1 << 16);
  r.s.fill(w, now, r.random);
  w.finish();
  frame f;
  REQUIRE_FALSE(read_frame(r.out, {}, f));
  REQUIRE(f.data.size() == 2);
  CHECK(f.data[0].first == 2);
  CHECK(f.data[0].before == r.hash_at(1));
  CHECK(f.data[1].first == 4);
  CHECK(f.data[1].before == r.hash_at(3));
}

TEST_CASE("delivered only grows and keeps the hash of its message") {
  rig r;
  r.open();
  r.commit(6);
  REQUIRE_FALSE(r.take(r.ack(6)));
  r.s.handle_delivered(5, {5, 50});
  r.s.handle_delivered(5, {5, 60});
  r.s.handle_delivered(3, {3, 30});
  CHECK(r.s.delivered() == 5);
  outbox_cursors c;
  r.s.write(c);
  CHECK(c.first == 6);
  CHECK(c.erased_hash == stream_hash{5, 50});
  CHECK(r.s.hash_at(5) == stream_hash{5, 50});
}

TEST_CASE("a hash of `delivered` that is not the stream's counts for nothing where that is known") {
  rig r;
  r.open();
  r.commit(6);
  r.flush();
  ack_record lie = r.ack(6, 6);
  lie.claim.delivered_hash = {6, 66};
  REQUIRE_FALSE(r.take(lie));
  outbox_cursors c;
  r.s.write(c);
  CHECK(c.first == 7);
  CHECK(c.erased_hash == r.hash_at(6));
}

TEST_CASE("an ack whose `delivered` does not count confirms what is received, and no more") {
  rig r;
  r.open();
  r.commit(6);
  r.flush();
  ack_record a = r.ack(4, 3);
  r.s.handle_ack(a, false, 0s, r.random);
  CHECK(r.s.in_flight() == 2);
  CHECK(r.s.delivered() == 0);
  r.s.handle_ack(a, true, 0s, r.random);
  CHECK(r.s.delivered() == 3);
}

TEST_CASE("a sender that waits only for delivery pings, and stops when all is delivered") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0s);
  REQUIRE_FALSE(r.take(r.ack(1, 0), 1ms));
  timestamp now = r.expire();
  CHECK(r.s.ping_due());
  r.s.pinged();
  CHECK(r.flush(now).empty());
  REQUIRE_FALSE(r.take(r.ack(1, 1), now));
  CHECK(r.s.deadline() == never);
}

TEST_CASE("a new session begins with the timer that none had expired") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0s);
  timestamp now = 0s;
  for (int i = 0; i < 4; ++i) {
    now = r.expire();
    r.flush(now);
  }
  CHECK(r.s.deadline() - now > 2 * r.o.initial_timeout);
  r.s.handle_session_end();
  r.open();
  while (r.page()) {
  }
  r.flush(now);
  CHECK(r.s.deadline() - now >= r.o.initial_timeout);
  CHECK(r.s.deadline() - now <= r.o.initial_timeout * 5 / 4);
}

TEST_CASE("a new session has no question of the last one, and none that was asked in vain") {
  bool ended = GENERATE(true, false);
  rig r;
  r.open();
  r.commit(2);
  r.flush(0ms);
  REQUIRE_FALSE(r.take_ranges(0, {{1, 2}}, 1ms));
  timestamp now = r.expire();
  REQUIRE(r.s.ping_due());
  if (ended) r.s.handle_session_end();
  r.open();
  CHECK_FALSE(r.s.ping_due());
  CHECK(r.flush(now) == from_to(1, 2));
  REQUIRE_FALSE(r.take_ranges(0, {{1, 2}}, now + 1ms));
  // What this peer named stays sacked until it was asked itself.
  now = r.expire();
  CHECK(r.s.ping_due());
  CHECK(r.flush(now).empty());
}

TEST_CASE("a session that ended looks for no losses") {
  rig r;
  r.open();
  r.commit(1);
  r.flush(0ms);
  REQUIRE_FALSE(r.take(r.ack(1), 100ms));
  r.commit(2);
  r.flush(100ms);
  REQUIRE_FALSE(r.take_ranges(1, {{3, 3}}, 200ms));
  CHECK(r.s.deadline() == 225ms);
  r.s.handle_session_end();
  CHECK(r.s.deadline() == never);
}

TEST_CASE("half a page in hand is where the next one is wanted") {
  options o = small();
  o.page_messages = 4;
  rig r(o);
  r.commit(20, 10, true);
  r.restore(1);
  session_terms t = terms_from(1);
  t.granted.sequence = 0;
  r.open(t);
  REQUIRE(r.page());
  CHECK_FALSE(r.s.next_page());
  for (std::uint64_t credit : {1U, 2U}) {
    ack_record a = r.ack(0);
    a.credit.sequence = credit;
    REQUIRE_FALSE(r.take(a));
    r.s.begin_frame(0s);
    frame_writer w(r.out, of_a_session(), false, r.frame_limit);
    r.s.fill(w, 0s, r.random);
    CHECK(r.s.next_page().has_value() == (credit == 2));
  }
  CHECK(r.s.next_page()->from == 5);
}

TEST_CASE("the receiver's count grows without a message, and an old ack takes nothing back") {
  rig r;
  session_terms t = terms_from(1);
  t.granted.bytes = 20;
  r.open(t);
  r.commit(10, 10);
  CHECK(r.flush() == from_to(1, 2));
  ack_record old = r.ack(2);
  REQUIRE(old.credit.received_bytes == 20);
  REQUIRE_FALSE(r.take(old));
  ack_record fresh = old;
  fresh.credit.bytes = 28;
  REQUIRE_FALSE(r.take(fresh));
  fresh.credit.received_bytes = 28;
  fresh.credit.bytes = 47;
  REQUIRE_FALSE(r.take(fresh));
  REQUIRE_FALSE(r.take(old));
  CHECK(r.flush() == from_to(3, 3));
}

TEST_CASE("an ack that counts more bytes than were granted is refused, and changes nothing") {
  for (std::uint64_t counted : {std::uint64_t{51}, ~std::uint64_t{0}}) {
    rig r;
    session_terms t = terms_from(1);
    t.granted.bytes = 50;
    r.open(t);
    r.commit(10, 10);
    CHECK(r.flush() == from_to(1, 5));
    ack_record a = r.ack(2);
    a.credit.received_bytes = counted;
    a.credit.bytes = counted;
    CHECK(r.take(a) == error::credit_out_of_range);
    a.credit.received_bytes = 20;
    a.credit.bytes = 60;
    REQUIRE_FALSE(r.take(a));
    CHECK(r.flush() == from_to(6, 6));
  }
}

TEST_CASE("under random acks and losses the sender sends all, in the window and within credit") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    random_source chance(seed);
    options o = small(1 + as_size(chance.below(20)));
    o.page_messages = 1 + as_size(chance.below(10));
    o.frame_fill = 1 + as_size(chance.below(200));
    rig r(o);
    r.commit(40, 10, true);
    r.restore(1);
    std::vector<bool> arrived(102, false);
    std::size_t received = 0;
    std::uint64_t heard = 0;  // the highest frame of which anything arrived
    timestamp now = 0s;
    auto advance = [&] {
      while (received < 100 && arrived[received + 1]) ++received;
    };
    r.open();
    for (int step = 0; step < 5000 && r.s.delivered() < 100; ++step) {
      if (r.next <= 100 && chance.below(3) == 0) r.commit(1 + as_size(chance.below(101 - r.next)));
      for (std::uint64_t s : r.flush(now)) {
        REQUIRE(s < r.next);
        REQUIRE(s <= received + o.window_messages + 100);
        if (chance.below(100) < 30) continue;
        arrived[as_size(s)] = true;
        heard = std::max(heard, r.carried[s]);
      }
      REQUIRE(r.s.in_flight() <= o.window_messages);
      ack_record a = r.ack(received, received);  // as it was, and soon as it is
      a.echo = chance.below(heard + 1);
      if (chance.below(4) != 0) {
        advance();
        a = r.ack(received, received);
        a.echo = heard;
        for (std::size_t s = received + 2; s < r.next && a.ranges.size() < 32; ++s) {
          if (!arrived[s]) continue;
          if (!a.ranges.empty() && a.ranges.back().last + 1 == s) {
            a.ranges.back().last = s;
          } else {
            a.ranges.push_back(sequence_range{s, s});
          }
        }
      }
      if (chance.below(100) >= 30) REQUIRE_FALSE(r.take(a, now));
      now += std::chrono::milliseconds(chance.below(50));
      if (r.s.deadline() <= now) r.s.handle_timeout(now, r.random);
      if (chance.below(100) == 0) {
        r.s.handle_session_end();
        advance();
        session_terms t = terms_from(received + 1);
        r.open(t);
        heard = 0;
      }
    }
    INFO(seed);
    CHECK(r.s.delivered() == 100);
  }
}

TEST_CASE("a session that ends with messages in flight leaves none that count as unsent") {
  rig r;
  r.open();
  r.commit(3);
  r.flush();
  REQUIRE(r.s.in_flight() == 3);
  r.s.handle_session_end();
  CHECK(r.s.unsent_bytes() == 0);
}

TEST_CASE("a backlog that left memory is sent from pages, once there is credit for it") {
  rig r;
  session_terms narrow = terms_from(1);
  narrow.granted.sequence = 2;
  r.open(narrow);
  r.commit(20);
  CHECK(r.flush() == from_to(1, 2));
  CHECK(r.s.memory().held == 20 * held_size(10));
  CHECK(r.s.memory().releasable == 17 * held_size(10) + 20);
  r.s.release();
  CHECK(r.s.memory().releasable == 0);
  CHECK(r.s.memory().held == held_size(10) + 2 * message_overhead);
  // Without credit, a page would only have to leave again.
  CHECK_FALSE(r.s.next_page());
  ack_record a = r.ack(2);
  a.credit.sequence = 3;
  a.credit.bytes = 1 << 30;
  CHECK_FALSE(r.take(a));
  CHECK(r.flush() == from_to(3, 3));
  CHECK_FALSE(r.s.next_page());
  a = r.ack(3);
  a.credit.sequence = 100;
  a.credit.bytes = 1 << 30;
  CHECK_FALSE(r.take(a));
  REQUIRE(r.s.next_page());
  CHECK(r.flush() == from_to(4, 20));
}

TEST_CASE("bytes of credit bound the pages of a backlog that left memory") {
  rig r;
  session_terms narrow = terms_from(1);
  narrow.granted.bytes = 20;
  r.open(narrow);
  r.commit(20);
  CHECK(r.flush() == from_to(1, 2));
  r.s.release();
  CHECK_FALSE(r.s.next_page());
  ack_record a = r.ack(2);
  a.credit.bytes = 30;
  CHECK_FALSE(r.take(a));
  CHECK(r.flush() == from_to(3, 3));
  CHECK_FALSE(r.s.next_page());
  // Nor was one read before.
  CHECK(r.s.memory().held == held_size(10));
}

TEST_CASE("a lost message whose contents left memory is read again and sent") {
  rig r;
  r.open();
  r.commit(5);
  CHECK(r.flush() == from_to(1, 5));
  r.s.release();
  CHECK(r.s.memory().held == 5 * message_overhead);
  r.take_ranges(1, {{4, 5}}, 10ms);
  timestamp at = r.expire();
  REQUIRE(r.s.next_page());
  CHECK(r.s.next_page()->from == 2);
  CHECK_FALSE(r.s.has_data());
  CHECK(r.flush(at) == sequences{2, 3});
  CHECK(r.s.memory().held == 4 * message_overhead);
  CHECK_FALSE(r.take(r.ack(5), at));
  CHECK(r.s.memory().held == 0);
}

TEST_CASE("a lost message whose contents are not here holds back no new one") {
  rig r;
  r.open();
  r.commit(3);
  CHECK(r.flush() == from_to(1, 3));
  r.s.release();
  r.take_ranges(0, {{2, 3}}, 10ms);
  timestamp at = r.expire();
  r.commit(2);
  REQUIRE(r.s.has_data());
  CHECK(r.flush(at) == sequences{4, 5, 1});
}

TEST_CASE("another message than was sent is not sent again in its place") {
  rig r;
  r.open();
  r.commit(3);
  r.flush();
  r.s.release();
  r.take_ranges(0, {{2, 3}}, 10ms);
  r.expire();
  r.outbox.at(1).contents = bytes(std::string("other text"));
  REQUIRE(r.page());
  CHECK_FALSE(r.s.has_data());
  CHECK(r.s.next_page()->from == 1);
}

TEST_CASE("a timer that runs out has messages sent again whose contents left memory") {
  rig r;
  r.open();
  r.commit(2);
  r.flush();
  r.s.release();
  timestamp at = r.expire();
  CHECK(r.flush(at) == sequences{1});
  at = r.expire();
  CHECK(r.flush(at) == sequences{1});
}
