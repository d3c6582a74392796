#include "support/catch.hpp"

#include <ilm/networks/tcp/handshake.hpp>

#include <numeric>
#include <set>
#include <string>

using namespace ilm::detail::tcp;
using ilm::tcp_error;

namespace {

byte_string bytes_of(std::string_view text) {
  auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

hello hello_of(std::string_view from, std::string_view to) {
  hello h;
  h.sender = bytes_of(from);
  h.destination = bytes_of(to);
  h.maximum_frame_size = 0x01020304;
  return h;
}

/// Not a proof, but different for different keys, peers and transcripts of one size.
auto toy_key(unsigned key) {
  return [key](byte_view, byte_view transcript) {
    ilm::tcp_proof proof{};
    unsigned state = key;
    for (std::size_t i = 0; i < transcript.size(); ++i) {
      state = state * 31 + std::to_integer<unsigned>(transcript[i]);
      proof[i % proof.size()] ^= static_cast<std::byte>(state >> 8);
    }
    return std::optional(proof);
  };
}

using prove_type = decltype(ilm::tcp_options::prove);

/// Cuts the bytes of a side into messages and hands them to the other.
std::error_code deliver(byte_view written, handshake& to, byte_string& answer) {
  while (!written.empty()) {
    message_header header;
    if (auto wrong = read_header(written.first<header_size>(), header)) return wrong;
    std::size_t size = header_size + header.body_size;
    // A length that was changed on its way: the side that reads waits for bytes that never come.
    if (written.size() < size) return tcp_error::handshake_cut;
    byte_view message = written.first(size);
    if (auto wrong = to.handle(header.type, message, answer)) return wrong;
    written = written.subspan(message.size());
  }
  return {};
}

}  // namespace

TEST_CASE("a hello is read as it was written") {
  hello h = hello_of("alice", std::string(255, 'b'));
  h.keyed = true;
  for (std::size_t i = 0; i < h.nonce.size(); ++i) h.nonce[i] = static_cast<std::byte>(i + 1);
  h.instance.fill(std::byte{9});
  byte_string message = h.encode();
  CHECK(message.size() <= maximum_message_size);
  message_header header;
  REQUIRE(!read_header(byte_view(message).first<header_size>(), header));
  CHECK(header.type == message_type::hello);
  CHECK(header.body_size == message.size() - header_size);
  hello read;
  REQUIRE(read.decode(byte_view(message).subspan(header_size)));
  CHECK(read.keyed);
  CHECK(read.maximum_frame_size == h.maximum_frame_size);
  CHECK(read.nonce == h.nonce);
  CHECK(read.instance == h.instance);
  CHECK(read.sender == h.sender);
  CHECK(read.destination == h.destination);
}

TEST_CASE("a hello on the wire is the documented bytes") {
  byte_string message = hello_of("a", "bc").encode();
  byte_string expected = bytes_of(std::string_view("ILMT\1\1\0\72\0\1\2\3\4", 13));
  expected.resize(13 + 16 + 32);
  for (char c : std::string_view("\1a\2bc")) expected.push_back(static_cast<std::byte>(c));
  CHECK(message == expected);
  CHECK(make_refusal(tcp_error::wrong_key) == bytes_of(std::string_view("ILMT\1\4\0\1\13", 9)));
}

TEST_CASE("a hello that is cut short, too long or has no ids is none") {
  byte_string message = hello_of("alice", "bob").encode();
  byte_view body = byte_view(message).subspan(header_size);
  hello read;
  for (std::size_t size = 0; size < body.size(); ++size) CHECK(!read.decode(body.first(size)));
  byte_string longer(body.begin(), body.end());
  longer.push_back(std::byte{});
  CHECK(!read.decode(longer));
  longer.pop_back();
  longer[0] = std::byte{2};
  CHECK(!read.decode(longer));
  for (hello h : {hello_of("", "bob"), hello_of("alice", "")}) {
    byte_string m = h.encode();
    CHECK(!read.decode(byte_view(m).subspan(header_size)));
  }
}

TEST_CASE("a header is checked before anything is believed of it") {
  message_header header;
  auto wrong_with = [&](std::size_t at, int value) {
    byte_string message = make_message(message_type::go);
    message[at] = static_cast<std::byte>(value);
    return read_header(byte_view(message).first<header_size>(), header);
  };
  for (std::size_t at = 0; at < 4; ++at) CHECK(wrong_with(at, 'x') == tcp_error::not_ilm);
  CHECK(wrong_with(4, 2) == tcp_error::unsupported_version);
  CHECK(wrong_with(6, 4) == tcp_error::malformed_handshake);
  CHECK(!wrong_with(6, 3));
  byte_string refusal = make_refusal(tcp_error::unsupported_version);
  refusal[4] = std::byte{77};
  CHECK(!read_header(byte_view(refusal).first<header_size>(), header));
  CHECK(header.type == message_type::refusal);
}

TEST_CASE("a refusal with a reason of the future is one for a reason unknown") {
  CHECK(read_refusal({}) == tcp_error::refused);
  for (int value : {0, 16, 200, 255}) {
    auto reason = static_cast<std::byte>(value);
    CHECK(read_refusal(byte_view(&reason, 1)) == tcp_error::refused);
  }
  auto reason = static_cast<std::byte>(tcp_error::own_id);
  CHECK(read_refusal(byte_view(&reason, 1)) == tcp_error::own_id);
}

TEST_CASE("two sides prove each other with one key, and fail with two") {
  bool same_key = GENERATE(true, false);
  bool with_keys = GENERATE(true, false);
  prove_type dialer_key = toy_key(1), acceptor_key = toy_key(same_key ? 1 : 2), none;
  hello first = hello_of("alice", "bob"), second = hello_of("bob", "");
  first.keyed = second.keyed = with_keys;
  first.nonce.fill(std::byte{1});
  second.nonce.fill(std::byte{2});
  handshake dialer(true, first, with_keys ? dialer_key : none);
  handshake acceptor(false, second, with_keys ? acceptor_key : none);
  CHECK(acceptor.begin().empty());
  byte_string answer, last, nothing;
  REQUIRE(!deliver(dialer.begin(), acceptor, answer));
  CHECK(!acceptor.proven());
  if (with_keys && !same_key) {
    CHECK(deliver(answer, dialer, last) == tcp_error::wrong_key);
    CHECK(!dialer.proven());
    return;
  }
  REQUIRE(!deliver(answer, dialer, last));
  CHECK(dialer.proven());
  REQUIRE(!deliver(last, acceptor, nothing));
  CHECK(acceptor.proven());
  CHECK(nothing.empty());
  CHECK(dialer.leads());
  CHECK(!acceptor.leads());
}

TEST_CASE("any byte of a keyed handshake that is changed on its way makes it fail") {
  prove_type key = toy_key(1);
  hello first = hello_of("alice", "bob"), second = hello_of("bob", "");
  first.keyed = second.keyed = true;
  int changed_message = GENERATE(0, 1, 2);
  for (std::size_t at = 0;; ++at) {
    handshake dialer(true, first, key), acceptor(false, second, key);
    bool changed = false;
    auto pass = [&](byte_string message, int number) {
      if (number != changed_message || at >= message.size()) return message;
      changed = true;
      message[at] ^= std::byte{1};
      return message;
    };
    byte_string answer, last, nothing;
    std::error_code failed = deliver(pass(dialer.begin(), 0), acceptor, answer);
    if (!failed) failed = deliver(pass(answer, 1), dialer, last);
    if (!failed) failed = deliver(pass(last, 2), acceptor, nothing);
    if (!changed) break;
    CHECK(failed);
    CHECK((changed_message == 2 || !dialer.proven()));
    CHECK(!acceptor.proven());
  }
}

TEST_CASE("a hello that does not fit is refused by its reader, and by the reason") {
  prove_type none;
  auto error_of = [&](bool dialed, hello mine, hello theirs) {
    handshake h(dialed, std::move(mine), none);
    h.begin();
    byte_string answer;
    return h.handle(message_type::hello, theirs.encode(), answer);
  };
  hello alice = hello_of("alice", "bob"), bob = hello_of("bob", "alice");
  CHECK_FALSE(error_of(true, alice, bob));
  CHECK_FALSE(error_of(false, hello_of("bob", ""), alice));
  // Another peer than the one that was dialed answers, though to the dialer.
  CHECK(error_of(true, alice, hello_of("carol", "alice")) == tcp_error::wrong_destination);
  CHECK(error_of(true, alice, hello_of("bob", "carol")) == tcp_error::wrong_destination);
  CHECK(error_of(false, hello_of("carol", ""), alice) == tcp_error::wrong_destination);
  CHECK(error_of(false, hello_of("alice", ""), hello_of("alice", "alice")) == tcp_error::own_id);
  for (bool dialed : {false, true}) {
    for (int by : {-1, 1}) {
      hello mine = dialed ? alice : hello_of("bob", ""), theirs = dialed ? bob : alice;
      theirs.maximum_frame_size += static_cast<std::uint32_t>(by);
      CHECK(error_of(dialed, mine, theirs) == tcp_error::frame_size_mismatch);
    }
    hello mine = dialed ? alice : hello_of("bob", ""), theirs = dialed ? bob : alice;
    theirs.keyed = true;
    CHECK(error_of(dialed, mine, theirs) == tcp_error::key_not_expected);
    std::swap(mine.keyed, theirs.keyed);
    CHECK(error_of(dialed, mine, theirs) == tcp_error::key_required);
  }
}

TEST_CASE("a proof of an earlier handshake is none, whichever side's nonce is another") {
  prove_type key = toy_key(1);
  auto begin = [&](unsigned dialers, unsigned acceptors, byte_string& answer, byte_string& proof) {
    hello alice = hello_of("alice", "bob"), bob = hello_of("bob", "");
    alice.keyed = bob.keyed = true;
    alice.nonce.fill(static_cast<std::byte>(dialers));
    bob.nonce.fill(static_cast<std::byte>(acceptors));
    handshake dialer(true, alice, key), acceptor(false, bob, key);
    byte_string first = dialer.begin();
    answer.clear();
    REQUIRE_FALSE(deliver(first, acceptor, answer));
    proof.clear();
    REQUIRE_FALSE(deliver(answer, dialer, proof));
    return acceptor;
  };
  byte_string answer, old_answer, proof, old_proof;
  begin(1, 2, old_answer, old_proof);
  // The same nonces again are the control.
  handshake again = begin(1, 2, answer, proof);
  CHECK(proof == old_proof);
  CHECK_FALSE(deliver(old_proof, again, answer));
  handshake other_acceptor = begin(1, 3, answer, proof);
  CHECK(deliver(old_proof, other_acceptor, answer) == tcp_error::wrong_key);
  handshake other_dialer = begin(4, 2, answer, proof);
  CHECK(deliver(old_proof, other_dialer, answer) == tcp_error::wrong_key);
  // Nor does the acceptor's prove it to another dialer.
  hello alice = hello_of("alice", "bob");
  alice.keyed = true;
  alice.nonce.fill(std::byte{4});
  handshake dialer(true, alice, key);
  dialer.begin();
  CHECK(deliver(old_answer, dialer, answer) == tcp_error::wrong_key);
}

TEST_CASE("each session has keys of its own for its frames, whichever side's nonce is another") {
  prove_type key = toy_key(1);
  auto tag_of = [&](unsigned dialers, unsigned acceptors) {
    hello alice = hello_of("alice", "bob"), bob = hello_of("bob", "");
    alice.keyed = bob.keyed = true;
    alice.nonce.fill(static_cast<std::byte>(dialers));
    bob.nonce.fill(static_cast<std::byte>(acceptors));
    handshake dialer(true, alice, key), acceptor(false, bob, key);
    byte_string answer, last, nothing;
    REQUIRE_FALSE(deliver(dialer.begin(), acceptor, answer));
    REQUIRE_FALSE(deliver(answer, dialer, last));
    REQUIRE_FALSE(deliver(last, acceptor, nothing));
    frame_tag tag = dialer.macs().outgoing->tag({});
    CHECK(acceptor.macs().incoming->tag({}) == tag);
    return tag;
  };
  CHECK(tag_of(1, 2) == tag_of(1, 2));
  CHECK(tag_of(1, 2) != tag_of(4, 2));
  CHECK(tag_of(1, 2) != tag_of(1, 3));
}

TEST_CASE("messages out of turn end a handshake") {
  prove_type none;
  handshake acceptor(false, hello_of("bob", ""), none);
  byte_string answer;
  byte_string proof = make_message(message_type::proof), hello = hello_of("a", "bob").encode();
  CHECK(acceptor.handle(message_type::proof, proof, answer) == tcp_error::malformed_handshake);
  CHECK(acceptor.handle(message_type::go, proof, answer) == tcp_error::malformed_handshake);
  REQUIRE(!acceptor.handle(message_type::hello, hello, answer));
  CHECK(acceptor.handle(message_type::hello, hello, answer) == tcp_error::malformed_handshake);
  byte_string long_proof = make_message(message_type::proof, ilm::tcp_proof{});
  CHECK(acceptor.handle(message_type::proof, long_proof, answer) == tcp_error::malformed_handshake);
}

TEST_CASE("every error over TCP has a message of its own that says how to mend it") {
  std::set<std::string> messages;
  constexpr int end = static_cast<int>(tcp_error::frame_altered) + 1;
  for (int value = 1; value < end; ++value) {
    std::string text = ilm::tcp_category().message(value);
    CHECK(text.find("unknown") == std::string::npos);
    CHECK(text.find_first_of(";,") != std::string::npos);
    CHECK(messages.insert(text).second);
  }
  CHECK(ilm::tcp_category().message(end).find("unknown") == 0);
  CHECK(std::error_code(tcp_error::peer_silent) == std::errc::timed_out);
  CHECK(std::error_code(tcp_error::wrong_key) == std::errc::permission_denied);
  CHECK(std::string(ilm::tcp_category().name()) == "ilm.tcp");
}
