#include "support/catch.hpp"

#include <ilm/protocol/frame_builder.hpp>
#include <ilm/protocol/frame_reader.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

constexpr stream_hash received_hash{41, 42};

cursors at_rest() {
  cursors c;
  lineage& h = c.history;
  h.mark = {10, 1000};
  h.mark_delivered = 4;
  h.mark_hash = {43, 44};
  h.confirmed = {9, 900};
  h.confirmed_delivered = 3;
  h.base = 6;
  h.origin = lineage_origin::rolled_back;
  h.seen = {7, 70};
  c.outbox.stream = {6, 600};
  c.outbox.first = 5;
  c.outbox.next = 21;
  c.outbox.acknowledged = 8;
  c.outbox.erased_hash = {45, 46};
  c.outbox.last_hash = {47, 48};
  // Indices from 101 on are those of the peer's stream, from sequence 3 on.
  c.inbox.stream = {2, 20};
  c.inbox.start = 101;
  c.inbox.offset = ~std::uint64_t{0} - 97;
  c.inbox.first = 105;
  c.inbox.next = 109;
  c.inbox.received_hash = received_hash;
  c.inbox.delivered_hash = {49, 50};
  REQUIRE(c.consistent());
  return c;
}

/// A hello of a peer whose history began anew.
hello_record of_new_history() {
  hello_record h;
  h.claim.mark = {8, 88};
  h.base = 8;
  h.stream = {8, 88};
  return h;
}

association_setup names(bool reliable = false) {
  association_setup s;
  s.local_id = bytes(std::string_view("alice"));
  s.peer_id = bytes(std::string_view("bob"));
  s.frame_limit = 4096;
  s.reliable = reliable;
  return s;
}

options small() {
  options o;
  o.credit_messages = 6;
  o.credit_bytes = 1000;
  o.maximum_message_size = 500;
  return o;
}

/// Alice's frames.
struct rig {
  explicit rig(const cursors& c = at_rest(), options settings = small(), bool reliable = false)
      : o(settings), setup(names(reliable)), durable(c), s(o, reliable, 4096), r(o) {
    s.restore(c.outbox);
    r.restore(c.inbox);
  }

  frame_builder builder() const { return {o, setup, durable, r}; }
  void accept(std::uint64_t sequence, std::size_t size) {
    std::string text(size, 'x');
    data_record record;
    record.first = sequence;
    record.before = received_hash;
    record.items.emplace_back(std::as_bytes(std::span(text)));
    REQUIRE_FALSE(r.handle_data(record));
  }
  void commit() {
    durable.begin_commit(durable.current(s, r));
    r.begin_commit();
    r.complete_commit();
    durable.complete_commit();
  }
  void adopt() {
    hello_record theirs = of_new_history();
    durable.handle_session(theirs, reconcile(durable.current(s, r), theirs, {}));
  }
  /// The hello as the peer reads it. It refers to `out`.
  const frame& hello() {
    hello_record h;
    h.nonce = 70;
    h.echo = 71;
    h.proven = true;
    builder().hello(out, h);
    REQUIRE_FALSE(read_frame(out, {}, read));
    REQUIRE(read.hello);
    return read;
  }

  options o;
  association_setup setup;
  durable_state durable;
  sender s;
  receiver r;
  std::vector<std::byte> out;
  frame read;
};

/// A hello to bob, as he finds it good.
frame good_hello(const association_setup& bobs) {
  frame f;
  f.hello.emplace();
  f.hello->source = bobs.peer_id.view();
  f.hello->destination = bobs.local_id.view();
  return f;
}

association_setup bobs_setup() {
  association_setup s;
  s.local_id = bytes(std::string_view("bob"));
  s.peer_id = bytes(std::string_view("alice"));
  return s;
}

}  // namespace

TEST_CASE("a frame of a session has the session's tag, and the number it is given") {
  rig r;
  frame_builder b = r.builder();
  for (std::uint64_t number : {0U, 5U}) {
    frame_writer w = number == 0 ? b.begin(r.out, {99, 1}) : b.begin(r.out, {99, 1}, number);
    w.ping();
    w.finish();
    REQUIRE_FALSE(read_frame(r.out, {}, r.read));
    CHECK(r.read.header.version == 1);
    CHECK(r.read.header.session == 99);
    CHECK(r.read.header.number == number);
  }
}

TEST_CASE("a hello says where the store stands, and keeps nonce, echo and proof") {
  rig r;
  const frame& f = r.hello();
  const hello_record& h = *f.hello;
  CHECK(f.header.version == handshake_version);
  CHECK(f.header.session == 0);
  CHECK(f.data.empty());
  CHECK_FALSE(f.ack);
  CHECK(h.nonce == 70);
  CHECK(h.echo == 71);
  CHECK(h.proven);
  CHECK(h.claim.mark == stamp{10, 1000});
  CHECK(h.claim.delivered == 4);
  CHECK(h.claim.delivered_hash == stream_hash{43, 44});
  CHECK(h.claim.confirmed == stamp{9, 900});
  CHECK(h.claim.seen == stamp{7, 70});
  CHECK(h.claim.received == 10);
  CHECK(h.claim.received_hash == received_hash);
  CHECK(h.claim.acknowledged == 8);
  CHECK(h.base == 6);
  CHECK(h.origin == lineage_origin::rolled_back);
  CHECK(h.stream == stamp{6, 600});
  CHECK(h.first == 5);
  CHECK(h.erased_hash == stream_hash{45, 46});
  CHECK(h.follows == stamp{2, 20});
  CHECK(h.credit.received_bytes == 0);
  CHECK(h.credit.sequence == 12);  // up to 10 received, four of them unread, six may be
  CHECK(h.credit.bytes == 1000);
  CHECK(h.maximum_message_size == 500);
  CHECK(bytes(h.source) == bytes(std::string_view("alice")));
  CHECK(bytes(h.destination) == bytes(std::string_view("bob")));
}

TEST_CASE("a hello tells nothing that is in memory only") {
  rig r;
  const frame before = r.hello();
  claim c;
  c.mark = {8, 80};
  c.seen = {10, 1000};
  c.received = 15;
  hello_record theirs;
  theirs.claim = c;
  theirs.base = 1;
  theirs.stream = {2, 20};
  theirs.follows = {6, 600};
  r.durable.handle_session(theirs, reconcile(r.durable.current(r.s, r.r), theirs, {}));
  r.durable.handle_claim(c, true);
  r.s.handle_session(terms_of(theirs, 16, {}, 4096));
  r.s.handle_delivered(6, {6, 6});
  const hello_record& h = *r.hello().hello;
  CHECK(h.claim.confirmed == stamp{9, 900});
  CHECK(h.claim.seen == stamp{7, 70});
  CHECK(h.claim.acknowledged == 8);
  CHECK(h.first == 5);
  CHECK(h.erased_hash == stream_hash{45, 46});
}

TEST_CASE("a challenge is its nonce and nothing else") {
  rig r;
  r.builder().challenge(r.out, 99);
  REQUIRE_FALSE(read_frame(r.out, {}, r.read));
  CHECK(r.read.challenge == std::uint64_t{99});
  CHECK(r.read.header.session == 0);
  CHECK_FALSE(r.read.hello);
}

TEST_CASE("a hello grants no credit beyond what is received where more is unread than credit") {
  options o = small();
  for (auto [credit, granted] : {std::pair<std::size_t, std::uint64_t>{5, 11}, {4, 10}, {3, 10}}) {
    o.credit_messages = credit;
    rig r(at_rest(), o);
    CHECK(r.hello().hello->credit.sequence == granted);
  }
}

TEST_CASE("messages that are accepted and not stored lessen a hello's credit and nothing else") {
  rig r;
  r.accept(11, 100);
  {
    const hello_record& h = *r.hello().hello;
    CHECK(h.claim.received == 10);
    CHECK(h.claim.received_hash == received_hash);
    CHECK(h.credit.received_bytes == 0);
    CHECK(h.credit.sequence == 11);
    CHECK(h.credit.bytes == 900);
  }
  r.commit();
  const hello_record& h = *r.hello().hello;
  CHECK(h.claim.received == 11);
  CHECK(h.claim.received_hash == r.durable.stored().inbox.received_hash);
  CHECK(h.claim.received_hash != received_hash);
  CHECK(h.credit.received_bytes == 100);
  CHECK(h.credit.sequence == 12);
  CHECK(h.credit.bytes == 1000);
}

TEST_CASE("an ack says where the store stands, and the receiver's credit") {
  rig r;
  r.accept(11, 100);
  ack_record a = r.builder().ack();
  CHECK(a.claim.mark == stamp{10, 1000});
  CHECK(a.claim.confirmed == stamp{9, 900});
  CHECK(a.claim.seen == stamp{7, 70});
  CHECK(a.claim.received == 10);
  CHECK(a.claim.received_hash == received_hash);
  CHECK(a.claim.delivered == 4);
  CHECK(a.claim.delivered_hash == stream_hash{43, 44});
  CHECK(a.claim.acknowledged == 8);
  CHECK(a.credit.received_bytes == 0);
  CHECK(a.credit.sequence == 12);
  CHECK(a.credit.bytes == 1000);
  CHECK(a.ranges.empty());
  r.commit();
  a = r.builder().ack();
  CHECK(a.claim.received == 11);
  CHECK(a.credit.received_bytes == 100);
}

TEST_CASE("an ack grants no more beyond what it says is received, though a gap was skipped since") {
  rig r;
  r.r.adopt(31, received_hash);
  ack_record a = r.builder().ack();
  CHECK(a.claim.received == 10);
  CHECK(a.credit.sequence == 16);
}

TEST_CASE("an ack names messages out of order, but not on a reliable network") {
  for (bool reliable : {false, true}) {
    rig r(at_rest(), small(), reliable);
    r.accept(12, 1);
    CHECK(r.builder().ack().ranges.size() == (reliable ? 0 : 1));
  }
}

TEST_CASE("an ack echoes the frame that the receiver stored last") {
  rig r;
  r.accept(11, 5);
  r.r.handle_frame(3);
  CHECK(r.builder().ack().echo == 0);
  r.commit();
  CHECK(r.builder().ack().echo == 3);
}

TEST_CASE("a bye carries a last ack, unless the peer is not stored yet") {
  rig r;
  r.builder().bye(r.out, {99, 1});
  REQUIRE_FALSE(read_frame(r.out, {}, r.read));
  CHECK(r.read.bye);
  CHECK(r.read.header.session == 99);
  REQUIRE(r.read.ack);
  CHECK(r.read.ack->claim.received == 10);
  r.adopt();
  r.builder().bye(r.out, {99, 1});
  REQUIRE_FALSE(read_frame(r.out, {}, r.read));
  CHECK(r.read.bye);
  CHECK_FALSE(r.read.ack);
}

TEST_CASE("a frame has a checksum if the option says so") {
  for (bool checksum : {false, true}) {
    options o = small();
    o.checksum = checksum;
    rig r(at_rest(), o);
    r.hello();
    CHECK(r.out[3] == std::byte{checksum ? flag_checksum : std::uint8_t{0}});
  }
}

TEST_CASE("a hello for this side is accepted") {
  association_setup bobs = bobs_setup();
  CHECK_FALSE(check_hello(good_hello(bobs), bobs));
}

TEST_CASE("a hello for another peer or in another's name is refused, a prefix included") {
  association_setup bobs = bobs_setup();
  bytes longer(std::string_view("bobby")), shorter(std::string_view("bo")),
      other(std::string_view("bib"));
  for (const bytes* name : {&longer, &shorter, &other}) {
    frame f = good_hello(bobs);
    f.hello->destination = name->view();
    CHECK(check_hello(f, bobs) == error::wrong_destination);
    f = good_hello(bobs);
    f.hello->source = name->view();
    CHECK(check_hello(f, bobs) == error::mismatched_source);
  }
}

TEST_CASE("a hello in a frame with a session is malformed") {
  association_setup bobs = bobs_setup();
  frame f = good_hello(bobs);
  f.header.session = 1;
  CHECK(check_hello(f, bobs) == error::malformed_frame);
}

TEST_CASE("terms count credit from where the stream goes on") {
  hello_record h;
  h.claim.received = 10;
  h.credit.sequence = 13;
  h.credit.received_bytes = 100;
  h.credit.bytes = 400;
  h.maximum_message_size = 50;
  session_terms t = terms_of(h, 11, {7, 8}, 4096);
  CHECK(t.send_from == 11);
  CHECK(t.before == stream_hash{7, 8});
  CHECK(t.granted.received_bytes == 100);
  CHECK(t.granted.sequence == 13);
  CHECK(t.granted.bytes == 400);
  CHECK(t.maximum_message == 50);
  // To a peer that has another stream, or has confirmed more than it received.
  CHECK(terms_of(h, 1, {}, 4096).granted.sequence == 3);
  CHECK(terms_of(h, 21, {}, 4096).granted.sequence == 23);
}

TEST_CASE("terms without credit let nothing go, though less is granted than received") {
  hello_record h;
  h.claim.received = 10;
  for (std::uint64_t credit : {0U, 9U, 10U}) {
    h.credit.sequence = credit;
    CHECK(terms_of(h, 11, {}, 4096).granted.sequence == 10);
  }
  h.credit.sequence = 11;
  CHECK(terms_of(h, 11, {}, 4096).granted.sequence == 11);
}

TEST_CASE("terms bound a message by the frame, however large the peer's limit is") {
  hello_record h;
  for (auto [limit, most] : {std::pair<std::uint64_t, std::size_t>{4095, 4095},
                             {4096, 4096},
                             {4097, 4096},
                             {~std::uint64_t{0}, 4096}}) {
    h.maximum_message_size = limit;
    CHECK(terms_of(h, 1, {}, 4096).maximum_message == most);
  }
}
