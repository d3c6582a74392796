#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/tcp_strangers.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>

using namespace test::tcp;
using ilm::tcp_error;

// Which peers may have a session, and how many: decided when it begins.

namespace {

wire::byte_string rest_of_handshake(bool leads) {
  wire::byte_string all = wire::make_message(wire::message_type::proof);
  if (!leads) return all;
  wire::byte_string go = wire::make_message(wire::message_type::go);
  all.insert(all.end(), go.begin(), go.end());
  return all;
}

/// Strangers that have a session with "m" under names that they invent.
struct intruders {
  explicit intruders(loop& l) : loop_(&l) {}

  plain_socket& join(const node& m, const std::string& name, const std::string& from) {
    plain_socket& s = sockets.emplace_back(*loop_, m.address(), from);
    s.say(hello_of(name, "m").encode());
    REQUIRE(loop_->until([&] { return messages_in(s).size() == 2 || s.closed(); }));
    s.say(rest_of_handshake(true));
    REQUIRE(loop_->until([&] { return m.up(name) || s.closed(); }));
    return s;
  }

  loop* loop_;
  std::deque<plain_socket> sockets;
};

options small_bounds() {
  options o = quick();
  o.maximum_connections = 4;
  o.maximum_connections_per_address = 3;
  return o;
}

}  // namespace

TEST_CASE("sessions under invented names are bounded for each address", "[tcp]") {
  loop l;
  node m(l, "m", small_bounds());
  intruders all(l);
  for (const char* name : {"a0", "a1", "a2"}) all.join(m, name, "127.0.0.1");
  plain_socket& refused = all.join(m, "a3", "127.0.0.1");
  CHECK(refusal_in(refused) == tcp_error::too_many_connections);
  CHECK(m.ups("a3") == 0);
  all.join(m, "b0", "127.0.0.2");
  CHECK(m.up("b0"));
  // A name that it has is a place that it has.
  all.join(m, "a1", "127.0.0.1");
  CHECK(l.until([&] { return m.ups("a1") == 2; }));
  plain_socket& moved = all.join(m, "b0", "127.0.0.1");
  CHECK(refusal_in(moved) == tcp_error::too_many_connections);
  for (const char* name : {"a0", "a1", "a2", "b0"}) CHECK(m.up(name));
}

TEST_CASE("a stranger whose session has ended leaves its place", "[tcp]") {
  loop l;
  node m(l, "m", small_bounds());
  intruders all(l);
  for (int i = 0; i < 8; ++i) {
    std::string name = "a" + std::to_string(i);
    plain_socket& s = all.join(m, name, "127.0.0.1");
    REQUIRE(m.up(name));
    s.close();
    REQUIRE(l.until([&] { return !m.up(name); }));
  }
}

TEST_CASE("peers that have proven a key, or are in the address book, count for no address",
          "[tcp]") {
  loop l;
  bool with_keys = GENERATE(true, false);
  options o = with_keys ? keyed(1) : quick();
  o.maximum_connections_per_address = 1;
  node m(l, "m", o);
  std::deque<node> peers;
  for (const char* name : {"a", "b", "c"}) {
    node& peer = peers.emplace_back(l, name, o);
    if (!with_keys) m.control().add_peer(name, deserted(l));
    peer.dial(m);
    REQUIRE(joined(l, m, peer));
  }
  for (const node& peer : peers) CHECK(m.ups(peer.name()) == 1);
}

TEST_CASE(
    "a peer in the address book takes the place of the stranger that said least, where most are",
    "[tcp]") {
  loop l;
  node m(l, "m", small_bounds());
  intruders all(l);
  all.join(m, "b0", "127.0.0.2");
  plain_socket& busy = all.join(m, "a0", "127.0.0.1");
  plain_socket& idle = all.join(m, "a1", "127.0.0.1");
  all.join(m, "a2", "127.0.0.1");
  busy.say(std::string("\0\0\0\5hello", 9));
  REQUIRE(l.until([&] { return m.frames("a0") == 1; }));
  bool dials_in = GENERATE(true, false);
  node k(l, "k");
  m.control().add_peer("k", dials_in ? deserted(l) : k.address());
  if (dials_in) k.dial(m);
  REQUIRE(joined(l, m, k));
  CHECK(l.until([&] { return idle.closed(); }));
  CHECK(refusal_in(idle) == tcp_error::too_many_connections);
  CHECK(l.until([&] { return m.reported("a1", tcp_error::too_many_connections); }));
  CHECK(m.downs("a1") == 1);
  for (const char* name : {"b0", "a0", "a2", "k"}) CHECK(m.up(name));
  // There is no place for a stranger now.
  plain_socket& late = all.join(m, "c0", "127.0.0.3");
  CHECK(refusal_in(late) == tcp_error::too_many_connections);
}

TEST_CASE("peers in the address book are never too many, and a stranger put there is none",
          "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_connections = 1;
  node m(l, "m", o);
  intruders all(l);
  plain_socket& first = all.join(m, "a0", "127.0.0.1");
  m.control().add_peer("a0", deserted(l));
  std::deque<node> peers;
  for (const char* name : {"x", "y", "z"}) {
    m.control().add_peer(name, deserted(l));
    node& peer = peers.emplace_back(l, name);
    peer.dial(m);
    REQUIRE(joined(l, m, peer));
  }
  for (const char* name : {"a0", "x", "y", "z"}) CHECK(m.ups(name) == 1);
  CHECK_FALSE(first.closed());
}

TEST_CASE("the default bounds leave room under a thousand file descriptors", "[tcp]") {
  options o;
  CHECK(o.maximum_connections + o.maximum_unauthenticated < 1000);
  CHECK(o.maximum_connections_per_address < o.maximum_connections);
}

TEST_CASE("handshakes side by side do not exceed the limit of sessions", "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_connections = 2;
  node m(l, "m", o);
  bool leads = GENERATE(true, false);
  std::deque<plain_socket> peers;
  for (int i = 0; i < 8; ++i) {
    plain_socket& s = peers.emplace_back(l, m.address());
    s.say(hello_of((leads ? "a" : "z") + std::to_string(i), "m").encode());
  }
  for (plain_socket& s : peers) REQUIRE(l.until([&] { return messages_in(s).size() == 2; }));
  for (plain_socket& s : peers) s.say(rest_of_handshake(leads));
  auto refused = [&] {
    return std::count_if(peers.begin(), peers.end(), [](plain_socket& s) {
      return s.closed() && refusal_in(s) == tcp_error::too_many_connections;
    });
  };
  REQUIRE(l.until([&] { return refused() == 6; }));
  std::size_t ups = 0;
  for (int i = 0; i < 8; ++i) ups += m.ups((leads ? "a" : "z") + std::to_string(i));
  CHECK(ups == 2);
}

TEST_CASE("with `address_book_only` other peers are refused, and both sides report it", "[tcp]") {
  loop l;
  options o = GENERATE(true, false) ? keyed(1) : quick();
  options choosy = o;
  choosy.address_book_only = true;
  node a(l, "a", choosy), b(l, "b", o), c(l, "c", o);
  a.control().add_peer("b", b.address());
  b.dial(a);
  c.dial(a);
  REQUIRE(joined(l, a, b));
  REQUIRE(l.until([&] { return c.reported("a", tcp_error::peer_not_accepted); }));
  REQUIRE(l.until([&] { return a.reported("c", tcp_error::peer_not_accepted); }));
  CHECK(a.problem_texts(tcp_error::peer_not_accepted).front().starts_with("from 127.0.0.1:"));
  CHECK(a.ups("c") + c.ups("a") == 0);

  a.control().add_peer("c", "127.0.0.1:1");
  REQUIRE(joined(l, a, c));
  a.control().remove_peer("c");
  REQUIRE(l.until([&] { return !a.up("c"); }));
  c.forget();
  REQUIRE(l.until([&] { return c.reported("a", tcp_error::peer_not_accepted); }));
  CHECK(a.up("b"));
}

TEST_CASE("a function of the options decides which peers may connect", "[tcp]") {
  loop l;
  options choosy = quick();
  std::string guest = "b";
  choosy.accept = ilm::accept_peers<std::string>([&](const std::string& id) {
    if (id == "x") throw std::runtime_error("the list of guests is lost");
    return id == guest;
  });
  node a(l, "a", choosy), b(l, "b"), c(l, "c"), x(l, "x");
  for (node* n : {&b, &c, &x}) n->dial(a);
  REQUIRE(joined(l, a, b));
  REQUIRE(l.until([&] { return a.reported("c", tcp_error::peer_not_accepted); }));
  REQUIRE(l.until([&] { return c.reported("a", tcp_error::peer_not_accepted); }));
  REQUIRE(l.until([&] { return a.reported("x", tcp_error::peer_not_accepted); }));
  bool told = false;
  for (const std::string& text : a.problem_texts(tcp_error::peer_not_accepted)) {
    told = told || text.ends_with(": the list of guests is lost");
  }
  CHECK(told);
  guest = "c";
  REQUIRE(joined(l, a, c));
  CHECK(a.ups("x") == 0);
}

TEST_CASE("a peer is refused that may no longer connect when its handshake is done", "[tcp]") {
  loop l;
  options choosy = quick();
  bool accepts = true;
  choosy.accept = [&](std::span<const std::byte>) { return accepts; };
  node m(l, "m", choosy);
  bool leads = GENERATE(true, false);
  std::string peer = leads ? "a" : "z";
  plain_socket s(l, m.address());
  s.say(hello_of(peer, "m").encode());
  REQUIRE(l.until([&] { return messages_in(s).size() == 2; }));
  accepts = false;
  s.say(rest_of_handshake(leads));
  REQUIRE(l.until([&] { return s.closed(); }));
  CHECK(refusal_in(s) == tcp_error::peer_not_accepted);
  CHECK(m.ups(peer) == 0);
}

TEST_CASE("a peer that this side dials needs no permission to connect", "[tcp]") {
  loop l;
  options choosy = quick();
  choosy.accept = [](std::span<const std::byte>) { return false; };
  node a(l, "a", choosy), b(l, "b");
  a.dial(b);
  CHECK(joined(l, a, b));
}
