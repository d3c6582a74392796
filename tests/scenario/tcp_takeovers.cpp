#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/tcp_strangers.hpp"

#include <ilm/networks/tcp/remote_address.hpp>

using namespace test::tcp;
using ilm::tcp_error;

// Two processes under one name, by mistake or by copy, and those that only look like it.

namespace {

std::string local_address(plain_socket& s) {
  return "127.0.0.1:" + std::to_string(s.socket().local_endpoint().port());
}

/// A process called "a" that leads, with the instance that is given.
struct process : plain_socket {
  process(loop& l, const node& to, unsigned char instance) : plain_socket(l, to.address()) {
    wire::hello h = hello_of("a", to.name());
    h.instance.fill(std::byte{instance});
    say(h.encode());
    say(wire::make_message(wire::message_type::proof));
    say(wire::make_message(wire::message_type::go));
  }

  /// The address in the refusal that it heard.
  std::string refusal_address() {
    auto last = messages_in(*this).back();
    if (last.first != wire::message_type::refusal) return {};
    return std::string(wire::refusal_address(last.second.subspan(wire::header_size)));
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("two processes under one name are told so, and take the session ever more seldom",
          "[tcp]") {
  loop l;
  bool with_keys = GENERATE(true, false);
  options o = with_keys ? keyed(1) : quick();
  std::string name = GENERATE("b", "z");
  node m(l, "m", o), first(l, name, o), second(l, name, o);
  first.dial(m);
  REQUIRE(joined(l, m, first));
  second.dial(m);
  REQUIRE(l.until([&] { return m.reported(name, tcp_error::name_in_use); }));
  REQUIRE(l.until([&] { return first.reported("m", tcp_error::name_in_use); }));
  std::string text = m.problem_texts(tcp_error::name_in_use).front();
  CHECK(contains(text, " took the session over from 127.0.0.1:"));
  text = first.problem_texts(tcp_error::name_in_use).front();
  CHECK(
      text.starts_with(m.address() + " has a session with another process of this name, from 127"));
  // The first one waits for its turn; then the second one learns of it as well.
  REQUIRE(l.until([&] { return second.reported("m", tcp_error::name_in_use); }));
  CHECK(m.ups(name) == 3);
  CHECK(m.orderly());
  // Once one of them has ended there is nothing to wait for.
  second.leave();
  first.leave();
  REQUIRE(l.until([&] { return !m.up(name); }));
  node alone(l, name, o);
  alone.dial(m);
  REQUIRE(joined(l, m, alone));
  CHECK(alone.problems() == 0);
}

TEST_CASE("a takeover from a living process names the addresses of both, on both sides", "[tcp]") {
  loop l;
  node m(l, "m");
  process first(l, m, 1);
  REQUIRE(l.until([&] { return m.ups("a") == 1; }));
  process second(l, m, 2);
  REQUIRE(l.until([&] { return first.closed(); }));
  CHECK(refusal_in(first) == tcp_error::name_in_use);
  CHECK(first.refusal_address() == local_address(second));
  first.close();
  REQUIRE(l.until([&] { return m.reported("a", tcp_error::name_in_use); }));
  std::string text = m.problem_texts(tcp_error::name_in_use).front();
  CHECK(text.starts_with(local_address(second) + " took the session over from 127.0.0.1:"));
  CHECK(m.ups("a") == 2);

  process third(l, m, 3);
  REQUIRE(l.until([&] { return third.closed(); }));
  CHECK(refusal_in(third) == tcp_error::name_in_use);
  CHECK(third.refusal_address() == local_address(second));
  CHECK(m.ups("a") == 2);
}

TEST_CASE("a successor of a process that does not answer is no second one", "[tcp]") {
  loop l;
  node m(l, "m");
  process dead(l, m, 1);
  REQUIRE(l.until([&] { return m.ups("a") == 1; }));
  process successor(l, m, 2);
  REQUIRE(l.until([&] { return m.ups("a") == 2; }));
  // It may be restarted again at once.
  process again(l, m, 3);
  REQUIRE(l.until([&] { return m.ups("a") == 3; }));
  l.run_for(1500ms);
  CHECK(m.problems() == 0);
}

TEST_CASE("a process that returns after another one took its name is alive", "[tcp]") {
  loop l;
  node m(l, "m");
  process first(l, m, 1);
  REQUIRE(l.until([&] { return m.ups("a") == 1; }));
  process second(l, m, 2);
  REQUIRE(l.until([&] { return m.ups("a") == 2; }));
  process returned(l, m, 1);
  REQUIRE(l.until([&] { return returned.closed(); }));
  CHECK(refusal_in(returned) == tcp_error::name_in_use);
  REQUIRE(l.until([&] { return m.reported("a", tcp_error::name_in_use); }));
  CHECK(m.up("a"));
  CHECK(m.ups("a") == 2);
}

TEST_CASE("a connection of the same process takes over without ado", "[tcp]") {
  loop l;
  node m(l, "m");
  process first(l, m, 1);
  REQUIRE(l.until([&] { return m.ups("a") == 1; }));
  for (std::size_t i = 2; i < 6; ++i) {
    process again(l, m, 1);
    REQUIRE(l.until([&] { return m.ups("a") == i; }));
  }
  REQUIRE(l.until([&] { return first.closed(); }));
  CHECK_FALSE(refusal_in(first));
  CHECK(m.problems() == 0);
}

TEST_CASE("an address in a refusal is shown only if it is one") {
  using ilm::detail::tcp::failure_of_refusal;
  auto text_of = [&](std::string_view address) {
    wire::byte_string m = wire::make_refusal(tcp_error::name_in_use, address);
    return failure_of_refusal("192.0.2.1:1", wire::byte_view(m).subspan(wire::header_size)).text;
  };
  for (const char* good : {"192.0.2.7:4711", "[2001:db8::1]:65535"}) {
    CHECK(contains(text_of(good), std::string(", from ") + good + ";"));
  }
  for (const char* bad :
       {"", "x", ":1", "192.0.2.7:", "192.0.2.7:x", "192.0.2.7:65536", "\x1b[2J:1"}) {
    CHECK(text_of(bad) ==
          "192.0.2.1:1 has a session with another process of this name; give each process an id of "
          "its own");
  }
}
