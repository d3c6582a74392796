#include "support/as_size.hpp"
#include "support/catch.hpp"

#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/frame_writer.hpp>
#include <ilm/protocol/random.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

using buffer = std::vector<std::byte>;

std::span<const std::byte> view(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(std::span<const std::byte> view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

claim some_claim() {
  claim c;
  c.mark = {31, 32};
  c.delivered = 9;
  c.delivered_hash = {33, 34};
  c.confirmed = {29, 36};
  c.seen = {37, 38};
  c.received = 10;
  c.received_hash = {39, 40};
  c.acknowledged = 41;
  return c;
}

hello_record some_hello() {
  hello_record h;
  h.support = {2, 7, 0b1011, 0b10};
  h.nonce = 15;
  h.echo = 16;
  h.proven = true;
  h.claim = some_claim();
  h.base = 11;
  h.origin = lineage_origin::store_lost;
  h.stream = {12, 13};
  h.first = 17;
  h.erased_hash = {18, 19};
  h.follows = {20, 21};
  h.credit = {24, 25, 26};
  h.maximum_message_size = 27;
  h.source = view("alice");
  h.destination = view("bob");
  return h;
}

ack_record some_ack() {
  ack_record a;
  a.claim = some_claim();
  a.credit = {5, 6, 7};
  a.echo = 4;
  a.ranges = {sequence_range{12, 13}, sequence_range{15, 15}};
  return a;
}

void check_same(const claim& c, const claim& e) {
  CHECK(c.mark == e.mark);
  CHECK(c.delivered == e.delivered);
  CHECK(c.delivered_hash == e.delivered_hash);
  CHECK(c.confirmed == e.confirmed);
  CHECK(c.seen == e.seen);
  CHECK(c.received == e.received);
  CHECK(c.received_hash == e.received_hash);
  CHECK(c.acknowledged == e.acknowledged);
}

void check_same(const credit& c, const credit& e) {
  CHECK(c.received_bytes == e.received_bytes);
  CHECK(c.sequence == e.sequence);
  CHECK(c.bytes == e.bytes);
}

buffer written(const std::function<void(frame_writer&)>& records, bool checksum = true,
               std::size_t limit = 4096, std::uint8_t version = 1) {
  buffer out;
  frame_header header;
  header.version = version;
  header.session = version == handshake_version ? 0 : 0x0102030405060708;
  header.number = 77;
  frame_writer writer(out, header, checksum, limit);
  records(writer);
  writer.finish();
  return out;
}

/// A frame of all that may stand in one, hello excepted.
buffer data_frame(bool checksum) {
  return written(
      [](frame_writer& w) {
        w.ack(some_ack());
        w.ping();
        w.begin_data(100, {4, 5});
        w.item({view("one"), {}, 77});
        w.item(view({}));
        w.begin_data(200, {6, 7});
        w.item(view("three"));
        w.bye();
      },
      checksum);
}

buffer hello_frame(const hello_record& h, bool checksum = true) {
  return written([&](frame_writer& w) { w.hello(h); }, checksum, 4096, handshake_version);
}

std::error_code verdict_on(std::span<const std::byte> in) {
  frame f;
  return read_frame(in, {}, f);
}

std::error_code verdict_on(const hello_record& h) { return verdict_on(hello_frame(h)); }

std::error_code verdict_on(const ack_record& a) {
  return verdict_on(written([&](frame_writer& w) { w.ack(a); }));
}

/// A frame without checksum whose records are `body`.
buffer raw_frame(const std::function<void(wire_writer&)>& body, std::uint8_t version = 1) {
  buffer out = written([](frame_writer&) {}, false, 4096, version);
  wire_writer writer(out);
  body(writer);
  return out;
}

/// A record or an extension with any type.
void put_record(wire_writer& w, unsigned type, std::span<const std::byte> body) {
  w.number(static_cast<std::uint8_t>(type));
  w.varint(body.size());
  w.raw(body);
}

/// A frame of one record with these fields.
buffer raw_record(unsigned type, const std::function<void(wire_writer&)>& fields,
                  std::uint8_t version = 1) {
  buffer body;
  wire_writer writer(body);
  fields(writer);
  return raw_frame([&](wire_writer& w) { put_record(w, type, body); }, version);
}

/// The fields of a data record with one message.
buffer fields_of_data() {
  buffer body;
  wire_writer w(body);
  w.number(std::uint64_t{1});
  w.raw(buffer(16));
  w.number(std::uint32_t{1});
  w.varint(3 << 2);
  w.raw(view("abc"));
  return body;
}

}  // namespace

TEST_CASE("a hello comes back as it was") {
  bool checksum = GENERATE(false, true);
  buffer bytes = hello_frame(some_hello(), checksum);
  frame f;
  REQUIRE_FALSE(read_frame(bytes, {}, f));
  CHECK(f.header.session == 0);
  REQUIRE(f.hello);
  const hello_record h = *f.hello, e = some_hello();
  CHECK(h.support == e.support);
  CHECK(h.nonce == e.nonce);
  CHECK(h.echo == e.echo);
  CHECK(h.proven == e.proven);
  check_same(h.claim, e.claim);
  CHECK(h.base == e.base);
  CHECK(h.origin == e.origin);
  CHECK(h.stream == e.stream);
  CHECK(h.first == e.first);
  CHECK(h.erased_hash == e.erased_hash);
  CHECK(h.follows == e.follows);
  check_same(h.credit, e.credit);
  CHECK(h.maximum_message_size == e.maximum_message_size);
  CHECK(text_of(h.source) == "alice");
  CHECK(text_of(h.destination) == "bob");
  CHECK_FALSE(f.challenge);
  CHECK_FALSE(f.ack);
  CHECK(f.data.empty());
  CHECK_FALSE(f.ping);
  CHECK_FALSE(f.bye);
}

TEST_CASE("a challenge comes back as it was, and takes as few bytes as it can") {
  bool checksum = GENERATE(false, true);
  buffer bytes = written([](frame_writer& w) { w.challenge(0xfedcba9876543210); }, checksum, 4096,
                         handshake_version);
  CHECK(bytes.size() == header_size + record_head_size + 8 + (checksum ? checksum_size : 0));
  frame f;
  REQUIRE_FALSE(read_frame(bytes, {}, f));
  REQUIRE(f.challenge);
  CHECK(*f.challenge == 0xfedcba9876543210);
  CHECK_FALSE(f.hello);
  REQUIRE_FALSE(read_frame(hello_frame(some_hello()), {}, f));
  CHECK_FALSE(f.challenge);
}

TEST_CASE("a challenge without a nonce is malformed, and so are two") {
  auto challenges = [](std::vector<std::uint64_t> nonces) {
    return verdict_on(written(
        [&](frame_writer& w) {
          for (std::uint64_t n : nonces) w.challenge(n);
        },
        true, 4096, handshake_version));
  };
  CHECK_FALSE(challenges({1}));
  CHECK(challenges({0}) == error::malformed_frame);
  CHECK(challenges({1, 2}) == error::malformed_frame);
  CHECK(verdict_on(raw_record(
            7, [](wire_writer& w) { w.number(std::uint32_t{1}); }, 0)) == error::malformed_frame);
}

TEST_CASE("data, ack, ping and bye come back as they were, in one frame") {
  bool checksum = GENERATE(false, true);
  buffer bytes = data_frame(checksum);
  frame f;
  REQUIRE_FALSE(read_frame(bytes, {}, f));
  REQUIRE(f.ack);
  check_same(f.ack->claim, some_ack().claim);
  check_same(f.ack->credit, some_ack().credit);
  CHECK(f.ack->echo == 4);
  CHECK(f.ack->ranges == some_ack().ranges);
  CHECK(f.ping);
  CHECK(f.bye);
  CHECK_FALSE(f.hello);
  REQUIRE(f.data.size() == 2);
  CHECK(f.data[0].first == 100);
  CHECK(f.data[0].before == stream_hash{4, 5});
  REQUIRE(f.data[0].items.size() == 2);
  CHECK(text_of(f.data[0].items[0].contents) == "one");
  CHECK(f.data[0].items[0].salt == 77);
  CHECK(f.data[0].items[1].contents.empty());
  CHECK(f.data[0].items[1].salt == 0);
  CHECK(f.data[1].first == 200);
  CHECK(f.data[1].before == stream_hash{6, 7});
  REQUIRE(f.data[1].items.size() == 1);
  CHECK(text_of(f.data[1].items[0].contents) == "three");
}

TEST_CASE("a frame of a session has a number, one of the handshake has none") {
  frame f;
  REQUIRE_FALSE(read_frame(data_frame(true), {}, f));
  CHECK(f.header.number == 77);
  buffer hello = hello_frame(some_hello());
  REQUIRE_FALSE(read_frame(hello, {}, f));
  CHECK(f.header.number == 0);
  buffer cut = written([](frame_writer&) {}, false);
  cut.pop_back();
  CHECK(verdict_on(cut) == error::malformed_frame);
}

TEST_CASE("a frame of nothing is a frame") {
  frame f;
  CHECK_FALSE(read_frame(written([](frame_writer&) {}), {}, f));
  CHECK_FALSE(f.hello);
  CHECK_FALSE(f.ack);
  CHECK(f.data.empty());
}

TEST_CASE("reading forgets the frame before") {
  frame f;
  REQUIRE_FALSE(read_frame(data_frame(true), {}, f));
  REQUIRE_FALSE(read_frame(written([](frame_writer& w) { w.ping(); }), {}, f));
  CHECK_FALSE(f.ack);
  CHECK(f.data.empty());
  CHECK_FALSE(f.bye);
}

TEST_CASE("records take as many bytes as their names say") {
  std::size_t nothing = session_header_size + checksum_size;
  CHECK(written([](frame_writer&) {}).size() == nothing);
  CHECK(written([](frame_writer&) {}, false).size() == session_header_size);
  CHECK(written([](frame_writer&) {}, false, 4096, handshake_version).size() == header_size);
  ack_record a = some_ack();
  CHECK(written([&](frame_writer& w) { w.ack(a); }).size() ==
        nothing + ack_record_size + 2 * ack_range_size);
  CHECK(written([](frame_writer& w) {
          w.begin_data(1, {});
          w.item(view("12345"));
        }).size() == session_header_size + data_record_size + checksum_size + 1 + 5);
}

TEST_CASE("a checksummed frame that is cut anywhere is refused") {
  for (const buffer& whole : {data_frame(true), hello_frame(some_hello())}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      INFO(size);
      CHECK(verdict_on(std::span(whole).first(size)));
    }
    CHECK_FALSE(verdict_on(whole));
  }
}

TEST_CASE("a plain hello that is cut anywhere behind its header is refused") {
  buffer whole = hello_frame(some_hello(), false);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size != header_size) CHECK(verdict_on(std::span(whole).first(size)));
  }
}

TEST_CASE("a plain frame that is cut is refused, or ends between two records") {
  buffer whole = data_frame(false);
  std::size_t accepted = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (!verdict_on(std::span(whole).first(size))) ++accepted;
  }
  CHECK(accepted == 5);  // behind the header, ack, ping and each data record
}

TEST_CASE("no flipped bit of a checksummed frame goes unseen") {
  for (buffer whole : {data_frame(true), hello_frame(some_hello())}) {
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
      whole[bit / 8] ^= mask;
      INFO(bit);
      CHECK(verdict_on(whole));
      whole[bit / 8] ^= mask;
    }
  }
}

TEST_CASE("a flipped bit behind the header is reported as a wrong checksum") {
  buffer whole = data_frame(true);
  for (std::size_t i = header_size; i < whole.size(); ++i) {
    whole[i] ^= std::byte{0x10};
    CHECK(verdict_on(whole) == error::checksum_mismatch);
    whole[i] ^= std::byte{0x10};
  }
}

TEST_CASE("random bytes are no frame and do no harm") {
  random_source random(42);
  for (int round = 0; round < 20'000; ++round) {
    buffer garbage(test::as_size(random.below(200)));
    for (std::byte& b : garbage) b = static_cast<std::byte>(random.next());
    CHECK(verdict_on(garbage));
  }
}

TEST_CASE("random bytes behind a good header do no harm") {
  random_source random(43);
  for (int round = 0; round < 50'000; ++round) {
    buffer in = raw_frame([&](wire_writer& w) {
      w.number(static_cast<std::uint8_t>(random.below(7)));
      // Small numbers make lengths and counts that nearly fit.
      for (std::uint64_t i = random.below(150); i > 0; --i) {
        w.number(static_cast<std::uint8_t>(random.below(4) == 0 ? random.below(6) : 0));
      }
    });
    frame f;
    if (read_frame(in, {}, f)) continue;
    for (const data_record& d : f.data) {
      for (const data_item& i : d.items) {
        for (std::span<const std::byte> part : {i.contents, i.attributes}) {
          if (part.empty()) continue;
          CHECK(part.data() >= in.data());
          CHECK(part.data() + part.size() <= in.data() + in.size());
        }
      }
    }
  }
}

TEST_CASE("changed bytes of a plain frame are read or refused, and never beyond its end") {
  random_source random(44);
  for (int round = 0; round < 50'000; ++round) {
    buffer in = round % 2 == 0 ? data_frame(false) : hello_frame(some_hello(), false);
    for (std::uint64_t i = random.below(4); i-- > 0;) {
      in[test::as_size(random.below(in.size()))] = static_cast<std::byte>(random.next());
    }
    frame f;
    (void)read_frame(in, {}, f);
  }
}

TEST_CASE("another magic or version is refused, each with an error of its own") {
  buffer magic = data_frame(false);
  magic[0] ^= std::byte{1};
  CHECK(verdict_on(magic) == error::malformed_frame);
  buffer version = data_frame(false);
  version[2] = std::byte{2};
  CHECK(verdict_on(version) == error::unsupported_version);
  buffer flags = data_frame(false);
  flags[3] = std::byte{2};
  CHECK(verdict_on(flags) == error::malformed_frame);
}

TEST_CASE("a frame is of a version that the reader speaks") {
  frame f;
  protocol_support later{2, 4, 0, 0};
  for (unsigned version : {1U, 2U, 4U, 5U}) {
    buffer in =
        written([](frame_writer& w) { w.ping(); }, true, 4096, static_cast<std::uint8_t>(version));
    bool spoken = version == 2 || version == 4;
    CHECK(read_frame(in, later, f) == (spoken ? std::error_code() : error::unsupported_version));
  }
  CHECK_FALSE(read_frame(hello_frame(some_hello()), later, f));
}

TEST_CASE("a version of the future is reported even if all behind it is unknown") {
  buffer in = data_frame(false);
  in.resize(common_header_size);
  in[2] = std::byte{9};
  CHECK(verdict_on(in) == error::unsupported_version);
}

TEST_CASE("a damaged frame is not taken for one of another version") {
  buffer in = data_frame(true);
  in[2] = std::byte{9};
  CHECK(verdict_on(in) == error::checksum_mismatch);
}

TEST_CASE("an unknown record is skipped if it may be, and else refused") {
  for (unsigned type : {0U, 8U, 0x7fU}) {
    CHECK(verdict_on(raw_record(type, [](wire_writer&) {})) == error::unknown_record);
  }
  for (unsigned type : {0x80U, 0xffU}) {
    buffer in = raw_frame([&](wire_writer& w) {
      put_record(w, type, view("of the future"));
      put_record(w, 4, {});
      put_record(w, type, {});
    });
    frame f;
    CHECK_FALSE(read_frame(in, {}, f));
    CHECK(f.ping);
    in.pop_back();
    CHECK(read_frame(in, {}, f) == error::malformed_frame);
  }
}

TEST_CASE("every record has room for extensions, which are skipped if they may be") {
  buffer hello = hello_frame(some_hello(), false);
  buffer ack = written([](frame_writer& w) { w.ack(some_ack()); }, false);
  buffer versions = raw_record(
      6, [](wire_writer& w) { w.number(std::uint16_t{0x0102}); }, 0);
  buffer challenge = raw_record(
      7, [](wire_writer& w) { w.number(std::uint64_t{1}); }, 0);
  buffer ping = raw_record(4, [](wire_writer&) {}), bye = raw_record(5, [](wire_writer&) {});
  buffer data = raw_record(2, [](wire_writer& w) { w.raw(fields_of_data()); });
  for (const buffer& whole : {hello, ack, versions, challenge, ping, bye, data}) {
    bool in_handshake = whole[2] == std::byte{handshake_version};
    std::size_t header = in_handshake ? header_size : session_header_size;
    auto extended = [&](unsigned type, std::size_t cut) {
      // The record's own length, then the extension.
      std::span<const std::byte> all(whole);
      wire_reader in(all.subspan(header + 1));
      std::span<const std::byte> fields = in.raw(in.varint());
      buffer body(fields.begin(), fields.end());
      wire_writer w(body);
      put_record(w, type, view("more"));
      body.resize(body.size() - cut);
      buffer out(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(header));
      wire_writer frame_end(out);
      put_record(frame_end, std::to_integer<unsigned>(whole[header]), body);
      return verdict_on(out);
    };
    INFO(std::to_integer<unsigned>(whole[header]));
    CHECK_FALSE(extended(0x80, 0));
    CHECK_FALSE(extended(0xff, 0));
    CHECK(extended(0x80, 1) == error::malformed_frame);
    CHECK(extended(0x7f, 0) == error::unknown_record);
    CHECK(extended(0, 0) == error::unknown_record);
  }
}

TEST_CASE("the records of the handshake stand in its frames, and others do not") {
  auto versions = [](wire_writer& w) { w.number(std::uint16_t{0x0101}); };
  CHECK_FALSE(verdict_on(raw_record(6, versions, 0)));
  CHECK(verdict_on(raw_record(6, versions, 1)) == error::malformed_frame);
  CHECK_FALSE(verdict_on(raw_record(
      4, [](wire_writer&) {}, 1)));
  CHECK(verdict_on(raw_record(
            4, [](wire_writer&) {}, 0)) == error::malformed_frame);
  auto challenge = [](wire_writer& w) { w.number(std::uint64_t{1}); };
  CHECK_FALSE(verdict_on(raw_record(7, challenge, 0)));
  CHECK(verdict_on(raw_record(7, challenge, 1)) == error::malformed_frame);
  buffer hello = written([](frame_writer& w) { w.hello(some_hello()); });
  CHECK(verdict_on(hello) == error::malformed_frame);
}

TEST_CASE("a frame of the handshake is of no session") {
  frame_header header;
  header.version = handshake_version;
  header.session = 7;
  buffer out;
  frame_writer w(out, header, true, 4096);
  w.challenge(5);
  w.finish();
  CHECK(verdict_on(out) == error::malformed_frame);
}

TEST_CASE("a range of versions begins at 1 and is not empty") {
  auto range = [](unsigned lowest, unsigned highest) {
    hello_record h = some_hello();
    h.support.lowest_version = static_cast<std::uint8_t>(lowest);
    h.support.highest_version = static_cast<std::uint8_t>(highest);
    std::error_code told = verdict_on(raw_record(
        6, [&](wire_writer& w) { w.number(static_cast<std::uint16_t>(lowest << 8 | highest)); },
        0));
    CHECK(told == verdict_on(h));
    return told;
  };
  CHECK_FALSE(range(1, 1));
  CHECK_FALSE(range(3, 255));
  CHECK(range(0, 1) == error::malformed_frame);
  CHECK(range(3, 2) == error::malformed_frame);
}

TEST_CASE("a hello does not require what it does not understand") {
  hello_record h = some_hello();
  h.support.required = 0b100;
  CHECK(verdict_on(h) == error::malformed_frame);
}

TEST_CASE("a message comes back with its attributes") {
  send_options with;
  with.headers = {{"k", "v"}};
  bytes attributes;
  REQUIRE_FALSE(with.encode(attributes));
  buffer in = written([&](frame_writer& w) {
    w.begin_data(1, {});
    w.item({view("abc"), attributes.view()});
    w.item(view("d"));
    w.item({{}, attributes.view(), 5});
  });
  CHECK(in.size() == session_header_size + data_record_size + checksum_size +
                         item_size(3, attributes.size(), false) + item_size(1, 0, false) +
                         item_size(0, attributes.size()));
  frame f;
  REQUIRE_FALSE(read_frame(in, {}, f));
  REQUIRE(f.data[0].items.size() == 3);
  CHECK(text_of(f.data[0].items[0].contents) == "abc");
  CHECK(text_of(f.data[0].items[0].attributes) == attributes.text());
  CHECK(f.data[0].items[1].attributes.empty());
  CHECK(f.data[0].items[2].contents.empty());
  CHECK(text_of(f.data[0].items[2].attributes) == attributes.text());
  CHECK(f.data[0].items[2].salt == 5);
}

TEST_CASE("a salt takes 8 bytes, and one of 0 is none") {
  auto size = [](std::uint64_t salt) {
    return written([&](frame_writer& w) {
             w.begin_data(1, {});
             w.item({view("abc"), {}, salt});
           })
        .size();
  };
  CHECK(size(1) == size(0) + 8);
  CHECK(item_size(3, 0) == item_size(3, 0, false) + 8);
  auto raw = [](std::uint64_t salt, std::size_t bytes) {
    return verdict_on(raw_record(2, [&](wire_writer& w) {
      w.number(std::uint64_t{1});
      w.raw(buffer(16));
      w.number(std::uint32_t{1});
      w.varint(2);
      buffer number;
      wire_writer(number).number(salt);
      number.resize(bytes);
      w.raw(number);
    }));
  };
  CHECK_FALSE(raw(1, 8));
  CHECK(raw(0, 8) == error::malformed_frame);
  CHECK(raw(1, 7) == error::malformed_frame);
}

TEST_CASE("attributes that are none reject their frame") {
  auto with = [](std::string_view attributes) {
    return verdict_on(written([&](frame_writer& w) {
      w.begin_data(1, {});
      w.item({view("abc"), view(attributes)});
    }));
  };
  CHECK_FALSE(with("\x90\x01x"));
  CHECK_FALSE(with("\x81\x03\x01kv\x81\x03\x01lv"));
  CHECK(with("\x81\x03\x01kv\x81\x03\x01kw") == error::malformed_frame);
  CHECK_FALSE(
      with("\x82\x08"
           "12345678"));
  CHECK(with("\x82\x08"
             "12345678\x82\x08"
             "12345678") == error::malformed_frame);
  CHECK(with("\x90\x02x") == error::malformed_frame);
  CHECK(with("\x10\x01x") == error::unknown_attribute);
  CHECK(verdict_on(raw_record(2, [](wire_writer& w) {
          w.number(std::uint64_t{1});
          w.raw(buffer(16));
          w.number(std::uint32_t{1});
          w.varint(1);  // attributes, but none follow
          w.varint(0);
        })) == error::malformed_frame);
}

TEST_CASE("a message without attributes costs no byte for them") {
  for (std::size_t size : {0U, 15U, 16U, 4095U, 4096U, 100'000U}) {
    buffer contents(size);
    buffer in = written(
        [&](frame_writer& w) {
          w.begin_data(1, {});
          w.item(std::span<const std::byte>(contents));
        },
        true, 1 << 20);
    std::size_t head = size < 16 ? 1 : size < 4096 ? 2 : 4;
    CHECK(in.size() == session_header_size + data_record_size + checksum_size + head + size);
  }
}

TEST_CASE("a count of messages is believed only as far as there are bytes") {
  auto lie = [](std::uint32_t count, std::size_t bytes) {
    return verdict_on(raw_record(2, [&](wire_writer& w) {
      w.number(std::uint64_t{1});
      w.raw(buffer(16));
      w.number(count);
      w.raw(buffer(bytes));
    }));
  };
  CHECK(lie(0, 0) == error::malformed_frame);
  CHECK(lie(1, 0) == error::malformed_frame);
  CHECK_FALSE(lie(1, 1));
  CHECK_FALSE(lie(2, 2));
  CHECK(lie(3, 2) == error::malformed_frame);
  CHECK(lie(~std::uint32_t{0}, 8) == error::malformed_frame);
}

TEST_CASE("a length of a message is believed only as far as there are bytes") {
  auto lie = [](std::uint64_t length, std::size_t bytes) {
    return verdict_on(raw_record(2, [&](wire_writer& w) {
      w.number(std::uint64_t{1});
      w.raw(buffer(16));
      w.number(std::uint32_t{1});
      w.varint(length << 2);
      w.raw(buffer(bytes, std::byte{4}));
    }));
  };
  CHECK_FALSE(lie(5, 5));
  CHECK(lie(6, 5) == error::malformed_frame);
  CHECK(lie(maximum_varint >> 2, 5) == error::malformed_frame);
}

TEST_CASE("a length of a record is believed only as far as there are bytes") {
  CHECK(verdict_on(raw_frame([](wire_writer& w) {
          w.number(std::uint8_t{0x80});
          w.varint(2);
          w.number(std::uint8_t{0});
        })) == error::malformed_frame);
  CHECK(verdict_on(raw_frame([](wire_writer& w) {
          w.number(std::uint8_t{4});
          w.number(~std::uint64_t{0});
        })) == error::malformed_frame);
}

TEST_CASE("sequences of data keep to the bounds of sequences") {
  auto data_at = [](std::uint64_t first, int messages = 1) {
    return verdict_on(written([&](frame_writer& w) {
      w.begin_data(first, {});
      for (int i = 0; i < messages; ++i) w.item(view("x"));
    }));
  };
  CHECK(data_at(0) == error::cursor_out_of_range);
  CHECK_FALSE(data_at(1));
  CHECK_FALSE(data_at(maximum_sequence));
  CHECK(data_at(maximum_sequence + 1) == error::cursor_out_of_range);
  CHECK(data_at(~std::uint64_t{0}) == error::cursor_out_of_range);
  // The last message of a record counts as well.
  CHECK_FALSE(data_at(maximum_sequence - 1, 2));
  CHECK(data_at(maximum_sequence, 2) == error::cursor_out_of_range);
  CHECK(data_at(maximum_sequence - 1, 3) == error::cursor_out_of_range);
}

TEST_CASE("the ranges of an ack rise, part and lie above what is received") {
  auto with = [](std::vector<sequence_range> ranges) {
    ack_record a = some_ack();
    a.ranges = std::move(ranges);
    return verdict_on(a);
  };
  CHECK_FALSE(with({}));
  CHECK_FALSE(with({{11, 11}}));
  CHECK_FALSE(with({{12, 20}, {22, 22}}));
  CHECK(with({{10, 11}}) == error::cursor_out_of_range);
  CHECK(with({{1, 2}}) == error::cursor_out_of_range);
  CHECK(with({{13, 12}}) == error::cursor_out_of_range);
  CHECK(with({{12, 20}, {20, 22}}) == error::cursor_out_of_range);
  CHECK(with({{12, 20}, {13, 14}}) == error::cursor_out_of_range);
  CHECK(with({{20, 21}, {12, 13}}) == error::cursor_out_of_range);
  CHECK(with({{12, maximum_sequence + 1}}) == error::cursor_out_of_range);
  CHECK(with({{12, ~std::uint64_t{0}}, {1, 2}}) == error::cursor_out_of_range);
}

TEST_CASE("an ack does not deliver what it did not receive") {
  ack_record a = some_ack();
  a.claim.delivered = a.claim.received + 1;
  CHECK(verdict_on(a) == error::cursor_out_of_range);
  a = some_ack();
  a.ranges.clear();
  a.claim.received = maximum_sequence + 1;
  CHECK(verdict_on(a) == error::cursor_out_of_range);
}

TEST_CASE("an ack has no more ranges than its bound") {
  auto lie = [](std::uint16_t count) {
    return verdict_on(raw_record(3, [&](wire_writer& w) {
      w.number(std::uint64_t{1});  // the newest stamp is never none
      w.raw(buffer(ack_record_size - record_head_size - 2 - 8));
      w.number(count);
      for (std::uint64_t s = 1; s <= count; ++s) {
        w.number(s * 2);
        w.number(s * 2);
      }
    }));
  };
  CHECK_FALSE(lie(maximum_ack_ranges));
  CHECK(lie(maximum_ack_ranges + 1) == error::malformed_frame);
}

TEST_CASE("of too many ranges the lowest are written") {
  ack_record a;
  a.claim.mark = {1, 1};
  for (std::uint64_t s = 2; s < 200; s += 2) a.ranges.push_back(sequence_range{s, s});
  auto ranges_within = [&](std::size_t limit) {
    buffer bytes = written([&](frame_writer& w) { w.ack(a); }, true, limit);
    CHECK(bytes.size() <= limit);
    frame f;
    REQUIRE_FALSE(read_frame(bytes, {}, f));
    CHECK(std::equal(f.ack->ranges.begin(), f.ack->ranges.end(), a.ranges.begin()));
    return f.ack->ranges.size();
  };
  CHECK(ranges_within(4096) == maximum_ack_ranges);
  std::size_t bare = session_header_size + checksum_size + ack_record_size;
  CHECK(ranges_within(bare) == 0);
  CHECK(ranges_within(bare + ack_range_size - 1) == 0);
  CHECK(ranges_within(bare + 3 * ack_range_size) == 3);
}

TEST_CASE("a record that may stand once does not stand twice") {
  ack_record a = some_ack();
  CHECK(verdict_on(written([&](frame_writer& w) {
          w.ack(a);
          w.ack(a);
        })) == error::malformed_frame);
  hello_record h = some_hello();
  CHECK(verdict_on(written(
            [&](frame_writer& w) {
              w.hello(h);
              w.hello(h);
            },
            true, 4096, handshake_version)) == error::malformed_frame);
  auto twice = [](std::uint8_t type, std::uint8_t version, std::size_t body) {
    buffer fields(body, std::byte{1});
    auto records = [&](wire_writer& w, int count) {
      for (int i = 0; i < count; ++i) put_record(w, type, fields);
    };
    CHECK_FALSE(verdict_on(raw_frame([&](wire_writer& w) { records(w, 1); }, version)));
    return verdict_on(raw_frame([&](wire_writer& w) { records(w, 2); }, version));
  };
  CHECK(twice(4, 1, 0) == error::malformed_frame);
  CHECK(twice(5, 1, 0) == error::malformed_frame);
  CHECK(twice(6, handshake_version, 2) == error::malformed_frame);
  CHECK(twice(7, handshake_version, 8) == error::malformed_frame);
}

namespace {

/// What is said of a hello after a change.
std::error_code changed(const std::function<void(hello_record&)>& c) {
  hello_record h = some_hello();
  c(h);
  return verdict_on(h);
}

/// The same of an ack; a claim is checked alike in both.
std::error_code changed_claim(const std::function<void(claim&)>& c) {
  ack_record a = some_ack();
  c(a.claim);
  a.ranges.clear();
  std::error_code told = verdict_on(a);
  CHECK(told == changed([&](hello_record& h) { c(h.claim); }));
  return told;
}

}  // namespace

TEST_CASE("a hello without a nonce, an echo, a history, a stream or a name is malformed") {
  CHECK(changed([](hello_record& h) { h.nonce = 0; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.echo = 0; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.base = 0; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.stream = {}; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.source = {}; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.destination = {}; }) == error::malformed_frame);
  CHECK(changed([](hello_record& h) { h.origin = static_cast<lineage_origin>(3); }) ==
        error::malformed_frame);
  CHECK_FALSE(changed([](hello_record& h) { h.origin = lineage_origin::rolled_back; }));
  CHECK_FALSE(changed([](hello_record& h) { h.follows = {}; }));
  std::string longest(maximum_peer_id_size, 'x');
  CHECK_FALSE(changed([&](hello_record& h) { h.source = h.destination = view(longest); }));
}

TEST_CASE("whether a hello is proven is 0 or 1") {
  buffer in = hello_frame(some_hello(), false);
  std::size_t at = header_size + record_head_size + 2 + 16 + 16;
  REQUIRE(in[at] == std::byte{1});
  in[at] = std::byte{0};
  CHECK_FALSE(verdict_on(in));
  in[at] = std::byte{2};
  CHECK(verdict_on(in) == error::malformed_frame);
}

TEST_CASE("the stamps of a hello do not contradict one another") {
  CHECK_FALSE(changed([](hello_record& h) { h.base = h.claim.mark.count; }));
  CHECK(changed([](hello_record& h) { h.base = h.claim.mark.count + 1; }) ==
        error::malformed_frame);
  CHECK_FALSE(changed([](hello_record& h) { h.stream.count = h.claim.mark.count; }));
  CHECK(changed([](hello_record& h) { h.stream.count = h.claim.mark.count + 1; }) ==
        error::malformed_frame);
}

TEST_CASE("the cursors of a hello do not contradict one another") {
  CHECK(changed([](hello_record& h) { h.first = 0; }) == error::cursor_out_of_range);
  CHECK_FALSE(changed([](hello_record& h) { h.first = maximum_sequence; }));
  CHECK(changed([](hello_record& h) { h.first = maximum_sequence + 1; }) ==
        error::cursor_out_of_range);
}

TEST_CASE("the parts of a claim do not contradict one another, in a hello or an ack") {
  CHECK(changed_claim([](claim& c) { c.confirmed = c.mark = {}; }) == error::malformed_frame);
  CHECK_FALSE(changed_claim([](claim& c) { c.confirmed.count = c.mark.count; }));
  CHECK(changed_claim([](claim& c) { c.confirmed.count = c.mark.count + 1; }) ==
        error::malformed_frame);
  CHECK_FALSE(changed_claim([](claim& c) { c.confirmed = c.seen = {}; }));
  CHECK_FALSE(changed_claim([](claim& c) { c.delivered = c.received; }));
  CHECK(changed_claim([](claim& c) { c.delivered = c.received + 1; }) ==
        error::cursor_out_of_range);
  CHECK_FALSE(changed_claim([](claim& c) { c.received = maximum_sequence; }));
  CHECK(changed_claim([](claim& c) { c.received = maximum_sequence + 1; }) ==
        error::cursor_out_of_range);
  CHECK_FALSE(changed_claim([](claim& c) { c.acknowledged = maximum_sequence; }));
  CHECK(changed_claim([](claim& c) { c.acknowledged = maximum_sequence + 1; }) ==
        error::cursor_out_of_range);
  CHECK_FALSE(changed_claim([](claim& c) { c.mark.count = maximum_count; }));
  CHECK(changed_claim([](claim& c) { c.mark.count = maximum_count + 1; }) ==
        error::cursor_out_of_range);
  CHECK_FALSE(changed_claim([](claim& c) { c.seen.count = maximum_count; }));
  CHECK(changed_claim([](claim& c) { c.seen.count = maximum_count + 1; }) ==
        error::cursor_out_of_range);
}

TEST_CASE("credit lies between what is received and its bound") {
  auto with = [](std::uint64_t received_bytes, std::uint64_t bytes) {
    return changed([&](hello_record& h) {
      h.credit.received_bytes = received_bytes;
      h.credit.bytes = bytes;
    });
  };
  constexpr std::uint64_t most = ~std::uint64_t{0};
  CHECK_FALSE(with(7, 7));
  CHECK(with(7, 6) == error::credit_out_of_range);
  CHECK_FALSE(with(7, 7 + maximum_credit_bytes));
  CHECK(with(7, 8 + maximum_credit_bytes) == error::credit_out_of_range);
  CHECK_FALSE(with(most - 5, most));
  CHECK(with(most, 0) == error::credit_out_of_range);
}

TEST_CASE("a writer knows to the byte how much fits") {
  for (bool checksum : {false, true}) {
    std::size_t tail = checksum ? checksum_size : 0;
    buffer out;
    frame_header header;
    header.version = 1;
    frame_writer w(out, header, checksum, 1024);
    CHECK(w.empty());
    std::size_t most = 1024 - session_header_size - data_record_size - tail;
    CHECK(w.fits(most, true));
    CHECK_FALSE(w.fits(most + 1, true));
    w.begin_data(1, {});
    w.item(view("abc"));
    CHECK_FALSE(w.empty());
    std::size_t rest = most - item_size(3, 0, false);
    CHECK(w.fits(rest, false));
    CHECK_FALSE(w.fits(rest + 1, false));
    buffer filling(rest - 2);
    w.item(std::span<const std::byte>(filling));
    CHECK(w.room() == 0);
    w.finish();
    CHECK(out.size() == 1024);
    CHECK_FALSE(verdict_on(out));
  }
}

TEST_CASE("a session tag is the same on both sides and never that of a hello") {
  random_source random(1);
  for (int i = 0; i < 1000; ++i) {
    std::uint64_t a = random.next(), b = random.next();
    CHECK(session_tag_of(a, b) == session_tag_of(b, a));
    CHECK(session_tag_of(a, b) != 0);
  }
  CHECK(session_tag_of(5, 5) != 0);
}
