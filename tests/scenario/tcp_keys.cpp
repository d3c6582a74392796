#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp_psk.hpp>

#include <stdexcept>

using namespace test::tcp;
using ilm::tcp_error;

// Pre-shared keys, with OpenSSL's HMAC.

namespace {

options with_key(std::string key) {
  options o = quick();
  o.prove = ilm::pre_shared_key(std::move(key));
  return o;
}

const std::string key = "correct horse battery staple";

}  // namespace

TEST_CASE("a proof is the HMAC-SHA-256 of RFC 4231", "[tcp]") {
  // Its second case has a key of four bytes, the first one of twenty.
  auto prove = ilm::pre_shared_key(std::string(20, '\x0b'));
  std::optional<ilm::tcp_proof> proof = prove({}, std::as_bytes(std::span("Hi There", 8)));
  REQUIRE(proof);
  std::string hex;
  for (std::byte b : *proof) {
    for (int shift : {4, 0}) hex += "0123456789abcdef"[std::to_integer<int>(b >> shift) & 15];
  }
  CHECK(hex == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

TEST_CASE("a short key is refused with a text that says so", "[tcp]") {
  CHECK_THROWS_AS(ilm::pre_shared_key(""), std::invalid_argument);
  CHECK_THROWS_AS(ilm::pre_shared_key("fifteen letters"), std::invalid_argument);
  CHECK_NOTHROW(ilm::pre_shared_key("sixteen letters!"));
  std::map<std::string, std::string> keys{{"a", key}, {"b", "short"}};
  CHECK_THROWS_AS(ilm::pre_shared_keys(keys), std::invalid_argument);
}

TEST_CASE(
    "peers with one key connect, and with another, or none, they are refused, and both report it",
    "[tcp]") {
  loop l;
  node a(l, "a", with_key(key)), b(l, "b", with_key(key));
  b.dial(a);
  REQUIRE(joined(l, a, b));
  {
    node imposter(l, "b", with_key("another key, as long"));
    imposter.dial(a);
    CHECK(l.until([&] { return a.reported("b", tcp_error::wrong_key); }));
    CHECK(l.until([&] { return imposter.reported("a", tcp_error::wrong_key); }));
    CHECK(imposter.ups("a") == 0);
  }
  {
    node imposter(l, "b");
    imposter.dial(a);
    CHECK(l.until([&] { return a.reported("b", tcp_error::key_required); }));
    CHECK(l.until([&] { return imposter.reported("a", tcp_error::key_required); }));
  }
  {
    node keyless(l, "c");
    a.dial(keyless);
    CHECK(l.until([&] { return a.reported("c", tcp_error::key_not_expected); }));
    CHECK(l.until([&] { return keyless.reported("a", tcp_error::key_not_expected); }));
    a.control().remove_peer("c");
  }
  a.send("b", "still here");
  CHECK(l.until([&] { return b.frames("a") == 1; }));
  CHECK(a.ups("b") == 1);
}

TEST_CASE("a network with a key for each peer is made of a map", "[tcp]") {
  asio::io_context context;
  const std::string key_with_bob = key;
  // [keys]
  ilm::tcp_options options;
  options.prove = ilm::pre_shared_keys<std::string>({{"bob", key_with_bob}});
  ilm::tcp_network<> network(context, "alice", options);
  // [keys]
  CHECK(network.local_id() == "alice");
}

TEST_CASE("with a key for each peer no peer can claim the name of another", "[tcp]") {
  loop l;
  auto keys = [](const std::map<std::string, std::string>& all) {
    options o = quick();
    o.prove = ilm::pre_shared_keys(all);
    return o;
  };
  const std::string ab = "the key of a and b", ac = "the key of a and c";
  node a(l, "a", keys({{"b", ab}, {"c", ac}}));
  node b(l, "b", keys({{"a", ab}})), c(l, "c", keys({{"a", ac}}));
  b.dial(a);
  c.dial(a);
  REQUIRE(joined(l, a, b));
  REQUIRE(joined(l, a, c));
  node imposter(l, "b", keys({{"a", ac}})), stranger(l, "d", keys({{"a", ac}}));
  imposter.dial(a);
  stranger.dial(a);
  CHECK(l.until([&] { return a.reported("b", tcp_error::wrong_key); }));
  CHECK(l.until([&] { return stranger.reported("a", tcp_error::no_key_for_peer); }));
  CHECK(a.ups("b") == 1);
}

TEST_CASE("a peer with the key takes over from its dead connection, one without does not",
          "[tcp]") {
  loop l;
  options o = with_key(key);
  o.keepalive_timeout = 1h;
  node a(l, "a", o);
  std::optional<node> b;
  b.emplace(l, "b", o);
  proxy between(l, a.address());
  b->control().add_peer("a", between.address());
  REQUIRE(joined(l, a, *b));
  between.stall();
  b->leave();
  {
    node imposter(l, "b", with_key("another key, as long"));
    imposter.dial(a);
    CHECK(l.until([&] { return a.reported("b", tcp_error::wrong_key); }));
    CHECK(a.downs("b") == 0);
  }
  b.emplace(l, "b", o);
  b->dial(a);
  REQUIRE(l.until([&] { return a.ups("b") == 2 && b->up("a"); }));
  CHECK(a.orderly());
}
