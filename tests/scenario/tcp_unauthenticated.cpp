#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/tcp_strangers.hpp"

#include <ilm/networks/tcp/frames.hpp>

#include <algorithm>

using namespace test::tcp;
using ilm::tcp_error;

// A connection is unauthenticated until it is proven. One that fails is refused and reported, and
// never disturbs a session.

TEST_CASE("a connection that does not speak ILM is reported, and disturbs no session", "[tcp]") {
  loop l;
  pair p(l);
  plain_socket browser(l, p.a.address());
  browser.say("GET / HTTP/1.1\r\nHost: example\r\n\r\n");
  REQUIRE(l.until([&] { return browser.closed(); }));
  CHECK(browser.heard().empty());
  CHECK(l.until([&] { return p.a.reported(std::nullopt, tcp_error::not_ilm); }));
  for (int round = 0; round < 20; ++round) {
    plain_socket noise(l, p.a.address());
    noise.say(std::string(static_cast<std::size_t>(round * 13), static_cast<char>(round * 37)));
    noise.close();
  }
  CHECK(p.undisturbed());
}

TEST_CASE("an unauthenticated connection that is silent, or slow, is closed in time", "[tcp]") {
  loop l;
  options o = quick();
  o.handshake_timeout = 100ms;
  pair p(l, o);
  plain_socket silent(l, p.a.address()), slow(l, p.a.address());
  wire::byte_string hello = hello_of("c", "a").encode();
  std::size_t said = 0;
  REQUIRE(l.until([&] {
    if (said < hello.size()) slow.say(bytes_vector(1, hello[said++]));
    l.run_for(5ms);
    return slow.closed() && silent.closed();
  }));
  CHECK(said < hello.size());
  CHECK(l.until([&] { return p.a.reported(std::nullopt, tcp_error::handshake_timeout); }));
  CHECK(p.undisturbed());
}

TEST_CASE("the time for a handshake counts from the connection, whenever the hello comes",
          "[tcp]") {
  loop l;
  options o = quick();
  o.handshake_timeout = 1s;
  node a(l, "a", o);
  plain_socket earlier(l, a.address());
  l.run_for(300ms);
  plain_socket later(l, a.address());
  later.say(hello_of("d", "a").encode());
  l.run_for(300ms);
  earlier.say(hello_of("c", "a").encode());
  REQUIRE(l.until([&] { return a.problem_texts(tcp_error::handshake_timeout).size() == 2; }));
  auto port = [](plain_socket& s) {
    return ":" + std::to_string(s.socket().local_endpoint().port());
  };
  auto texts = a.problem_texts(tcp_error::handshake_timeout);
  CHECK_THAT(texts[0], test::ContainsSubstring(port(earlier)));
  CHECK_THAT(texts[1], test::ContainsSubstring(port(later)));
}

TEST_CASE("a hello is checked before anything is said of this side", "[tcp]") {
  loop l;
  node a(l, "a");
  wire::hello h = hello_of("c", "a");
  wire::byte_string message;
  tcp_error reason{};
  bool named = true;
  SECTION("another destination") {
    h.destination = to_bytes("somebody else");
    reason = tcp_error::wrong_destination;
    message = h.encode();
  }
  SECTION("this side's own id") {
    h.sender = to_bytes("a");
    reason = tcp_error::own_id;
    message = h.encode();
  }
  SECTION("another frame size") {
    h.maximum_frame_size = 4096;
    reason = tcp_error::frame_size_mismatch;
    message = h.encode();
  }
  SECTION("a key where there is none") {
    h.keyed = true;
    reason = tcp_error::key_not_expected;
    message = h.encode();
  }
  SECTION("another version") {
    message = h.encode();
    message[4] = std::byte{2};
    reason = tcp_error::unsupported_version;
    named = false;
  }
  SECTION("a size beyond the limit") {
    message = h.encode();
    message[6] = std::byte{0xff};
    reason = tcp_error::malformed_handshake;
    named = false;
  }
  SECTION("something else first") {
    message = wire::make_message(wire::message_type::go);
    reason = tcp_error::malformed_handshake;
    named = false;
  }
  plain_socket s(l, a.address());
  s.say(message);
  REQUIRE(l.until([&] { return s.closed(); }));
  CHECK(refusal_in(s) == reason);
  CHECK(s.heard().size() == wire::header_size + 1);
  std::optional<std::string> peer;
  if (named) peer = to_text(h.sender);
  CHECK(l.until([&] { return a.reported(peer, reason); }));
  CHECK(a.ups("c") == 0);
}

TEST_CASE("a peer without the key, or with another one, is refused, and both report it", "[tcp]") {
  loop l;
  pair p(l, keyed(1));
  bool dials = GENERATE(true, false);
  auto meet = [&](options o, tcp_error why) {
    node imposter(l, "b", std::move(o));
    dials ? imposter.dial(p.a) : p.a.control().add_peer("c", imposter.address());
    if (!dials) {
      // There is a session with b; the book says that c is where the imposter is.
      CHECK(l.until([&] { return p.a.reported("c", tcp_error::wrong_destination); }));
      return;
    }
    CHECK(l.until([&] { return p.a.reported("b", why); }));
    CHECK(l.until([&] { return imposter.reported("a", why); }));
    CHECK(imposter.ups("a") == 0);
  };
  meet(quick(), tcp_error::key_required);
  meet(keyed(2), tcp_error::wrong_key);
  CHECK(p.undisturbed());
}

TEST_CASE("a peer without a key is refused", "[tcp]") {
  loop l;
  options choosy = keyed(1);
  choosy.prove = [toy = toy_key(1)](std::span<const std::byte> id, std::span<const std::byte> t) {
    return to_text(id) == "b" ? toy(id, t) : std::nullopt;
  };
  node a(l, "a", choosy), b(l, "b", keyed(1)), c(l, "c", keyed(1));
  b.dial(a);
  c.dial(a);
  REQUIRE(joined(l, a, b));
  CHECK(l.until([&] { return a.reported("c", tcp_error::no_key_for_peer); }));
  CHECK(l.until([&] { return c.reported("a", tcp_error::no_key_for_peer); }));
  CHECK(a.ups("c") == 0);
}

TEST_CASE("a key hook that throws refuses the peer", "[tcp]") {
  loop l;
  options broken = keyed(1);
  broken.prove = [](std::span<const std::byte>,
                    std::span<const std::byte>) -> std::optional<ilm::tcp_proof> {
    throw std::runtime_error("no keys today");
  };
  node a(l, "a", broken), b(l, "b", keyed(1));
  b.dial(a);
  CHECK(l.until([&] { return b.reported("a", tcp_error::no_key_for_peer); }));
  CHECK(a.ups("b") == 0);
  // The text is for the side that has the hook, and never goes to the other.
  REQUIRE(l.until([&] { return a.reported("b", tcp_error::no_key_for_peer); }));
  CHECK(a.events().front().text.ends_with(": no keys today"));
  CHECK_THAT(b.events().front().text, test::ContainsSubstring(a.address()));
  CHECK_THAT(b.events().front().text, !test::ContainsSubstring("no keys today"));
}

TEST_CASE("a proof that is sent back, and none, prove nothing", "[tcp]") {
  loop l;
  pair p(l, keyed(1));
  wire::hello h = hello_of("b", "a", true);
  plain_socket s(l, p.a.address());
  s.say(h.encode());
  REQUIRE(l.until([&] { return s.heard().size() > 100; }));
  // The messages of a: its hello, and its proof, the last forty bytes.
  bytes_vector proof(s.heard().end() - 40, s.heard().end());
  SECTION("a's own proof sent back") { s.say(proof); }
  SECTION("a proof of zeros") {
    s.say(wire::make_message(wire::message_type::proof, ilm::tcp_proof{}));
  }
  SECTION("no proof") { s.say(wire::make_message(wire::message_type::proof)); }
  SECTION("go without proof") { s.say(wire::make_message(wire::message_type::go)); }
  REQUIRE(l.until([&] { return s.closed(); }));
  CHECK(refusal_in(s));
  CHECK(p.a.problems() == 1);
  CHECK(p.undisturbed());
}

TEST_CASE("a proof of an earlier connection proves nothing, under the same hello", "[tcp]") {
  loop l;
  options o = keyed(1);
  node a(l, "a", o);
  auto answered = [](plain_socket& s) { return messages_in(s).size() >= 2; };
  wire::handshake dialer(true, hello_of("c", "a", true), o.prove);
  wire::byte_string hello = dialer.begin(), proof;
  {
    plain_socket first(l, a.address());
    first.say(hello);
    REQUIRE(l.until([&] { return answered(first); }));
    REQUIRE(!feed(dialer, first, proof));
    first.say(proof);
    REQUIRE(l.until([&] { return a.up("c"); }));
  }
  REQUIRE(l.until([&] { return !a.up("c"); }));
  plain_socket again(l, a.address());
  again.say(hello);
  REQUIRE(l.until([&] { return answered(again); }));
  again.say(proof);
  REQUIRE(l.until([&] { return again.closed(); }));
  CHECK(refusal_in(again) == tcp_error::wrong_key);
  CHECK(l.until([&] { return a.reported("c", tcp_error::wrong_key); }));
  CHECK(a.ups("c") == 1);
}

TEST_CASE("without keys the peer that claims a name last has it", "[tcp]") {
  // Plain TCP: the documentation warns of this.
  loop l;
  node a(l, "a"), b(l, "b");
  b.dial(a);
  REQUIRE(joined(l, a, b));
  plain_socket s(l, a.address());
  s.say(hello_of("b", "a").encode());
  s.say(wire::make_message(wire::message_type::proof));
  CHECK(l.until([&] { return a.ups("b") >= 2; }));
  CHECK(a.orderly());
}

TEST_CASE("an id that its codec would write otherwise is none", "[tcp][wire]") {
  loop l;
  ilm::tcp_network<std::uint32_t> a(l.context, 1, quick());
  a.listen("127.0.0.1:0");
  bool reported = false;
  asio::co_spawn(l.context, a.receive(),
                 [&](std::exception_ptr, auto e) { reported = !e.named && e.error; });
  plain_socket s(l, "127.0.0.1:" + std::to_string(a.port()));
  wire::hello h = hello_of("12345", "");
  h.destination = {std::byte{}, std::byte{}, std::byte{}, std::byte{1}};
  s.say(h.encode());
  REQUIRE(l.until([&] { return s.closed() && reported; }));
}

namespace {

/// A name in any letters; its codec writes small ones.
struct folded_name {
  std::string text;
  bool operator==(const folded_name&) const = default;
};

}  // namespace

template <>
struct ilm::codec<folded_name> {
  static void encode(const folded_name& n, std::vector<std::byte>& out) {
    codec<std::string>::encode(n.text, out);
  }
  static folded_name decode(std::span<const std::byte> in) {
    folded_name n{codec<std::string>::decode(in)};
    for (char& c : n.text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return n;
  }
};

TEST_CASE("an id in a form that its codec reads and would not write is none", "[tcp][wire]") {
  loop l;
  ilm::tcp_network<folded_name> a(l.context, folded_name{"a"}, quick());
  a.listen("127.0.0.1:0");
  std::string form = GENERATE("b", "B");
  std::optional<ilm::network_event_type> first;
  std::error_code why;
  asio::co_spawn(l.context, a.receive(), [&](const std::exception_ptr&, const auto& e) {
    first = e.kind;
    why = e.error;
  });
  plain_socket s(l, "127.0.0.1:" + std::to_string(a.port()));
  s.say(hello_of(form, "a").encode());
  s.say(wire::make_message(wire::message_type::proof));
  REQUIRE(l.until([&] { return first.has_value(); }));
  bool as_written = form == "b";
  CHECK(first == (as_written ? ilm::network_event_type::up : ilm::network_event_type::problem));
  CHECK(why == (as_written ? std::error_code() : make_error_code(tcp_error::malformed_handshake)));
}

TEST_CASE("peers beyond the limit are refused, and one that has a session may take it over",
          "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_connections = 2;
  node a(l, "a", o);
  auto b = std::make_unique<node>(l, "b");
  node c(l, "c"), d(l, "d");
  b->dial(a);
  c.dial(a);
  REQUIRE(joined(l, a, *b));
  REQUIRE(joined(l, a, c));
  d.dial(a);
  CHECK(l.until([&] { return d.reported("a", tcp_error::too_many_connections); }));
  node again(l, "b");
  again.dial(a);
  CHECK(l.until([&] { return again.up("a"); }));
  b->leave();
  again.leave();
  CHECK(l.until([&] { return d.up("a"); }));
}

TEST_CASE("of a flood of refusals no more than a few are reported", "[tcp]") {
  loop l;
  pair p(l);
  for (int round = 0; round < 100; ++round) {
    plain_socket s(l, p.a.address());
    s.say("SSH-2.0-none\r\n");
    REQUIRE(l.until([&] { return s.closed(); }));
  }
  CHECK(p.a.problems() >= 16);
  CHECK(p.a.problems() < 60);
  CHECK(p.undisturbed());
}

TEST_CASE("a frame above the limit ends the session, and says why", "[tcp]") {
  loop l;
  node b(l, "b");
  plain_socket s(l, b.address());
  s.say(hello_of("a", "b").encode());
  s.say(wire::make_message(wire::message_type::proof));
  s.say(wire::make_message(wire::message_type::go));
  s.say(std::string("\0\0\0\5hello", 9));
  REQUIRE(l.until([&] { return b.frames("a") == 1; }));
  s.say(std::string("\0\x10\4\1", 4));
  REQUIRE(l.until([&] { return s.closed(); }));
  CHECK(l.until([&] { return b.reported("a", tcp_error::frame_too_large); }));
  CHECK(l.until([&] { return b.downs("a") == 1; }));
  CHECK(b.texts("a") == std::vector<std::string>{"hello"});
  CHECK(b.orderly());
}

TEST_CASE("a handshake in single bytes is one all the same", "[tcp]") {
  loop l;
  node b(l, "b");
  plain_socket s(l, b.address());
  wire::byte_string all = hello_of("a", "b").encode();
  for (auto type : {wire::message_type::proof, wire::message_type::go}) {
    wire::byte_string m = wire::make_message(type);
    all.insert(all.end(), m.begin(), m.end());
  }
  for (std::byte x : wire::frame_prefix(2)) all.push_back(x);
  for (char c : {'h', 'i'}) all.push_back(static_cast<std::byte>(c));
  for (std::byte x : all) {
    s.say(bytes_vector(1, x));
    l.context.restart();
    l.context.poll();
  }
  REQUIRE(l.until([&] { return b.frames("a") == 1; }));
  CHECK(b.texts("a") == std::vector<std::string>{"hi"});
}

TEST_CASE("a connection that is closed without a word is no problem", "[tcp]") {
  loop l;
  node a(l, "a");
  l.run_for(10ms);
  {
    plain_socket silent(l, a.address());
    l.run_for(10ms);
    silent.close();
  }
  l.run_for(50ms);
  CHECK(a.problems() == 0);
}

TEST_CASE("a leader that sends something else in place of its go is refused", "[tcp]") {
  loop l;
  node b(l, "b");
  plain_socket s(l, b.address());
  s.say(hello_of("a", "b").encode());
  s.say(wire::make_message(wire::message_type::proof));
  s.say(wire::make_message(wire::message_type::proof));
  REQUIRE(l.until([&] { return s.closed(); }));
  CHECK(refusal_in(s) == tcp_error::malformed_handshake);
  CHECK(b.ups("a") == 0);
}
