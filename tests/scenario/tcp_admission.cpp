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

}  // namespace

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
