#include "support/catch.hpp"

#include <ilm/protocol/frame_builder.hpp>
#include <ilm/protocol/frame_reader.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

constexpr incarnation alice{1, 2}, bob{3, 4}, carol{5, 6};

cursors at_rest() {
  cursors c;
  c.local = alice;
  c.peer = bob;
  c.former_peer = carol;
  c.former_received = 55;
  c.outbox_first = 5;
  c.outbox_next = 21;
  c.acknowledged = 8;
  c.erased_epoch = 3;
  // Indices from 101 on are those of bob's stream, from sequence 1 on.
  c.stream_start = 101;
  c.stream_offset = ~std::uint64_t{0} - 99;
  c.inbox_first = 107;
  c.inbox_next = 111;
  c.received_epoch = 4;
  c.delivered_epoch = 6;
  c.advertised_first = 105;
  c.advertised_epoch = 2;
  return c;
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
    s.restore(c);
    r.restore(c);
  }

  frame_builder builder() const { return {o, setup, durable, s, r}; }
  void accept(std::uint64_t sequence, std::size_t size) {
    std::string text(size, 'x');
    data_record record;
    record.epoch = 9;
    record.first = sequence;
    record.items.push_back(std::as_bytes(std::span(text)));
    REQUIRE_FALSE(r.handle_data(record));
  }
  void commit() {
    durable.begin_commit(durable.current(s, r));
    r.begin_commit();
    r.complete_commit();
    durable.complete_commit();
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
  f.hello->local = alice;
  f.hello->received = 7;
  f.hello->received_bytes = 9;
  f.hello->source = bobs.peer_id.view();
  f.hello->destination = bobs.local_id.view();
  f.header.source_tag = tag_of(alice);
  return f;
}

association_setup bobs_setup() {
  association_setup s;
  s.local_id = bytes(std::string_view("bob"));
  s.peer_id = bytes(std::string_view("alice"));
  return s;
}

}  // namespace

TEST_CASE("a header names both incarnations and the session") {
  rig r;
  frame_header h = r.builder().header({99, 1});
  CHECK(h.source_tag == tag_of(alice));
  CHECK(h.destination_tag == tag_of(bob));
  CHECK(h.session_tag == 99);
  CHECK(h.number == 0);
  CHECK(r.builder().header({99, 1}, 5).number == 5);
}

TEST_CASE("a hello says where the store stands, and keeps nonce, echo and proof") {
  rig r;
  const frame& f = r.hello();
  const hello_record& h = *f.hello;
  CHECK(f.header.session_tag == 0);
  CHECK(f.header.source_tag == tag_of(alice));
  CHECK(f.header.destination_tag == tag_of(bob));
  CHECK(f.data.empty());
  CHECK_FALSE(f.ack);
  CHECK(h.local == alice);
  CHECK(h.peer == bob);
  CHECK(h.former_peer == carol);
  CHECK(h.former_received == 55);
  CHECK(h.nonce == 70);
  CHECK(h.echo == 71);
  CHECK(h.proven);
  CHECK(h.first == 5);
  CHECK(h.next == 21);
  CHECK(h.first_epoch == 3);
  CHECK(h.acknowledged == 8);
  CHECK(h.received == 10);
  CHECK(h.delivered == 4);
  CHECK(h.received_epoch == 4);
  CHECK(h.delivered_epoch == 2);
  CHECK(h.received_bytes == 0);
  CHECK(h.credit_sequence == 12);  // ten received, four of them unread, six may be
  CHECK(h.credit_bytes == 1000);
  CHECK(h.maximum_message_size == 500);
  CHECK(bytes(h.source) == bytes(std::string_view("alice")));
  CHECK(bytes(h.destination) == bytes(std::string_view("bob")));
}

TEST_CASE("a hello takes its own incarnation from memory, and the peer's from the store") {
  rig r;
  reconciliation agreed;
  agreed.result = outcome::peer_reset;
  hello_record theirs;
  theirs.local = carol;
  r.durable.adopt(agreed, theirs, 10);
  r.durable.renew_incarnation(incarnation{8, 8});
  const frame& f = r.hello();
  CHECK(f.hello->local == incarnation{8, 8});
  CHECK(f.hello->peer == bob);
  CHECK(f.hello->acknowledged == 0);
  CHECK(f.header.source_tag == tag_of(incarnation{8, 8}));
  CHECK(f.header.destination_tag == tag_of(carol));
}

TEST_CASE("a hello grants no credit beyond what is received where more is unread than credit") {
  options o = small();
  for (auto [credit, granted] : {std::pair<std::size_t, std::uint64_t>{5, 11}, {4, 10}, {3, 10}}) {
    o.credit_messages = credit;
    rig r(at_rest(), o);
    CHECK(r.hello().hello->credit_sequence == granted);
  }
}

TEST_CASE("messages that are accepted and not stored lessen a hello's credit and nothing else") {
  rig r;
  r.accept(11, 100);
  {
    const hello_record& h = *r.hello().hello;
    CHECK(h.received == 10);
    CHECK(h.received_epoch == 4);
    CHECK(h.received_bytes == 0);
    CHECK(h.credit_sequence == 11);
    CHECK(h.credit_bytes == 900);
  }
  r.commit();
  const hello_record& h = *r.hello().hello;
  CHECK(h.received == 11);
  CHECK(h.received_epoch == 9);
  CHECK(h.received_bytes == 100);
  CHECK(h.credit_sequence == 12);
  CHECK(h.credit_bytes == 1000);
}

TEST_CASE("an ack says where the store stands, and the receiver's credit") {
  rig r;
  r.accept(11, 100);
  ack_record a = r.builder().ack();
  CHECK(a.received == 10);
  CHECK(a.delivered == 4);
  CHECK(a.delivered_epoch == 2);
  CHECK(a.received_bytes == 0);
  CHECK(a.credit_sequence == 12);
  CHECK(a.credit_bytes == 1000);
  CHECK(a.ranges.empty());
  r.commit();
  a = r.builder().ack();
  CHECK(a.received == 11);
  CHECK(a.received_bytes == 100);
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
  CHECK(r.read.header.session_tag == 99);
  REQUIRE(r.read.ack);
  CHECK(r.read.ack->received == 10);
  reconciliation agreed;
  agreed.result = outcome::peer_reset;
  hello_record theirs;
  theirs.local = carol;
  r.durable.adopt(agreed, theirs, 10);
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

TEST_CASE("a hello with a wrong tag, with data or an ack is malformed") {
  association_setup bobs = bobs_setup();
  frame f = good_hello(bobs);
  f.header.source_tag ^= 1;
  CHECK(check_hello(f, bobs) == error::malformed_frame);
  f = good_hello(bobs);
  f.header.session_tag = 1;
  CHECK(check_hello(f, bobs) == error::malformed_frame);
  f = good_hello(bobs);
  f.data.emplace_back();
  CHECK(check_hello(f, bobs) == error::malformed_frame);
  f = good_hello(bobs);
  f.ack.emplace();
  CHECK(check_hello(f, bobs) == error::malformed_frame);
}

TEST_CASE("a hello may grant credit up to the bounds, counted from received") {
  association_setup bobs = bobs_setup();
  frame f = good_hello(bobs);
  f.hello->credit_sequence = 7 + protocol::maximum_credit_messages;
  f.hello->credit_bytes = 9 + protocol::maximum_credit_bytes;
  CHECK_FALSE(check_hello(f, bobs));
  ++f.hello->credit_sequence;
  CHECK(check_hello(f, bobs) == error::credit_out_of_range);
  --f.hello->credit_sequence;
  ++f.hello->credit_bytes;
  CHECK(check_hello(f, bobs) == error::credit_out_of_range);
}

TEST_CASE("terms count credit from where the stream goes on") {
  hello_record h;
  h.received = 10;
  h.credit_sequence = 13;
  h.received_bytes = 100;
  h.credit_bytes = 400;
  h.maximum_message_size = 50;
  session_terms t = terms_of(h, 11, 4096);
  CHECK(t.send_from == 11);
  CHECK(t.received_bytes == 100);
  CHECK(t.credit_sequence == 13);
  CHECK(t.credit_bytes == 400);
  CHECK(t.maximum_message == 50);
  // To a peer that has another stream, or has confirmed more than it received.
  CHECK(terms_of(h, 1, 4096).credit_sequence == 3);
  CHECK(terms_of(h, 21, 4096).credit_sequence == 23);
}

TEST_CASE("terms without credit let nothing go, though less is granted than received") {
  hello_record h;
  h.received = 10;
  for (std::uint64_t credit : {0U, 9U, 10U}) {
    h.credit_sequence = credit;
    CHECK(terms_of(h, 11, 4096).credit_sequence == 10);
  }
  h.credit_sequence = 11;
  CHECK(terms_of(h, 11, 4096).credit_sequence == 11);
}

TEST_CASE("terms bound a message by the frame, however large the peer's limit is") {
  hello_record h;
  for (auto [limit, most] : {std::pair<std::uint64_t, std::size_t>{4095, 4095},
                             {4096, 4096},
                             {4097, 4096},
                             {~std::uint64_t{0}, 4096}}) {
    h.maximum_message_size = limit;
    CHECK(terms_of(h, 1, 4096).maximum_message == most);
  }
}
