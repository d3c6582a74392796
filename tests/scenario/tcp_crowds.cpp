#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/tcp.hpp"
#include "support/tcp_strangers.hpp"

#include <ilm/networks/tcp/remote_address.hpp>

#include <asio/ip/address.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <deque>
#include <sys/resource.h>
#include <unistd.h>

using namespace test::tcp;
using ilm::tcp_error;

// Strangers take places and file descriptors; honest peers get in all the same.

namespace {

/// Silent connections from one address.
struct crowd {
  crowd(loop& l, const node& to, int size, const std::string& from = "127.0.0.1") {
    for (int i = 0; i < size; ++i) sockets.emplace_back(l, to.address(), from);
  }
  auto closed() {
    return std::count_if(sockets.begin(), sockets.end(),
                         [](plain_socket& s) { return s.closed(); });
  }

  std::deque<plain_socket> sockets;
};

wire::byte_string proof_and_go() {
  wire::byte_string all = wire::make_message(wire::message_type::proof);
  wire::byte_string go = wire::make_message(wire::message_type::go);
  all.insert(all.end(), go.begin(), go.end());
  return all;
}

/// While it lives, the process has no file descriptor left, or so many.
class no_descriptors {
 public:
  explicit no_descriptors(std::size_t left = 0) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = std::min<rlim_t>(few.rlim_cur, 256);
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (int taken = ::dup(0); taken >= 0; taken = ::dup(0)) taken_.push_back(taken);
    for (; left > 0; --left) {
      ::close(taken_.back());
      taken_.pop_back();
    }
  }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;
  ~no_descriptors() {
    for (int taken : taken_) ::close(taken);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

}  // namespace

TEST_CASE("hundreds of silent connections keep no honest peer out, with keys and without",
          "[tcp]") {
  loop l;
  bool with_keys = GENERATE(true, false);
  options o = with_keys ? keyed(1) : quick();
  o.handshake_timeout = 1h;
  pair p(l, o);
  crowd silent(l, p.a, 300);
  for (const char* name : {"c", "d", "e"}) {
    node honest(l, name, o);
    honest.dial(p.a);
    CHECK(joined(l, p.a, honest));
    CHECK(honest.problems() == 0);
  }
  auto bound = static_cast<std::ptrdiff_t>(o.maximum_unauthenticated_per_address);
  CHECK(silent.closed() >= 300 - bound);
  CHECK(l.until([&] { return p.a.reported(std::nullopt, tcp_error::too_many_connections); }));
  CHECK(p.undisturbed());
}

TEST_CASE("the oldest unauthenticated connections are closed for others", "[tcp]") {
  loop l;
  options o = quick();
  bool in_all = GENERATE(true, false);
  (in_all ? o.maximum_unauthenticated : o.maximum_unauthenticated_per_address) = 3;
  o.handshake_timeout = 1h;
  node a(l, "a", o);
  l.run_for(1ms);
  crowd silent(l, a, 6);
  REQUIRE(l.until([&] { return silent.closed() == 3; }));
  for (std::size_t i = 0; i < 6; ++i) CHECK(silent.sockets[i].closed() == (i < 3));
  CHECK(refusal_in(silent.sockets[0]) == tcp_error::too_many_connections);
}

TEST_CASE("a crowd of one address does not take the place of another address", "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_unauthenticated = 3;
  o.handshake_timeout = 1h;
  node a(l, "a", o);
  l.run_for(1ms);
  crowd lonely(l, a, 1, "127.0.0.2");
  crowd silent(l, a, 10);
  REQUIRE(l.until([&] { return silent.closed() == 8; }));
  CHECK(lonely.closed() == 0);
}

TEST_CASE("a group of addresses is an IPv4 address, in whatever form, or a network of IPv6") {
  auto group = [](const char* a) { return ilm::detail::tcp::group_of(asio::ip::make_address(a)); };
  CHECK(group("192.0.2.1") == group("::ffff:192.0.2.1"));
  CHECK(group("192.0.2.1") != group("192.0.2.2"));
  CHECK(group("0.0.0.1") != group("0:0:0:1::"));
  CHECK(group("2001:db8:1:2::1") == group("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  // Each digit of the first 64 bits counts.
  for (const char* other : {"3001:db8:1:2::1", "2001:db9:1:2::1", "2001:db8:2:2::1",
                            "2001:db8:1:102::1", "2001:db8:1:3::1"}) {
    CHECK(group(other) != group("2001:db8:1:2::1"));
  }
}

TEST_CASE("silent connections do not drive out one that has said hello", "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_unauthenticated = 8;
  node b(l, "b", o);
  plain_socket slow(l, b.address());
  slow.say(hello_of("a", "b").encode());
  REQUIRE(l.until([&] { return messages_in(slow).size() == 2; }));
  crowd silent(l, b, 100);
  REQUIRE(l.until([&] { return silent.closed() >= 90; }));
  slow.say(proof_and_go());
  CHECK(l.until([&] { return b.up("a"); }));
}

TEST_CASE("under pressure a silent connection is closed soon, and one that said hello is not",
          "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_unauthenticated = 4;
  o.handshake_timeout = 1h;
  node b(l, "b", o);
  crowd patient(l, b, 2);
  REQUIRE(l.until([&] { return patient.closed() == 0; }));
  plain_socket slow(l, b.address());
  slow.say(hello_of("a", "b").encode());
  REQUIRE(l.until([&] { return messages_in(slow).size() == 2; }));
  crowd pressed(l, b, 1);
  REQUIRE(l.until([&] { return pressed.closed() == 1; }));
  CHECK(l.until([&] { return b.reported(std::nullopt, tcp_error::handshake_timeout); }));
  // Connections from before the pressure are closed with the next one that comes.
  crowd next(l, b, 2);
  REQUIRE(l.until([&] { return patient.closed() == 2; }));
  slow.say(proof_and_go());
  CHECK(l.until([&] { return b.up("a"); }));
}

TEST_CASE("a session takes no place of an unauthenticated connection", "[tcp]") {
  loop l;
  options o = quick();
  o.maximum_unauthenticated = 2;
  node a(l, "a", o);
  std::deque<node> others;
  for (int i = 0; i < 8; ++i) {
    node& other = others.emplace_back(l, "b" + std::to_string(i));
    other.dial(a);
    REQUIRE(joined(l, a, other));
  }
  for (const node& other : others) {
    CHECK(a.ups(other.name()) == 1);
    CHECK(a.downs(other.name()) == 0);
  }
  CHECK(a.problems() == 0);
}

TEST_CASE("a refusal names the address that the connection came from", "[tcp]") {
  loop l;
  node a(l, "a");
  plain_socket stranger(l, a.address(), "127.0.0.3");
  std::string from = "from 127.0.0.3:" + std::to_string(stranger.socket().local_endpoint().port());
  stranger.say("GET / HTTP/1.1\r\n\r\n");
  REQUIRE(l.until([&] { return a.reported(std::nullopt, tcp_error::not_ilm); }));
  CHECK(a.events().front().text == from + ": " + make_error_code(tcp_error::not_ilm).message());
}

TEST_CASE("a flood of one refusal does not hide another, and is counted", "[tcp]") {
  loop l;
  node a(l, "a");
  auto refuse = [&](std::string_view said) {
    plain_socket s(l, a.address());
    s.say(said);
    REQUIRE(l.until([&] { return s.closed(); }));
  };
  for (int round = 0; round < 60; ++round) refuse("SSH-2.0-none\r\n");
  plain_socket other(l, a.address());
  other.say(hello_of("a", "a").encode());
  CHECK(l.until([&] { return a.reported("a", tcp_error::own_id); }));
  REQUIRE(l.until([&] {
    refuse("SSH-2.0-none\r\n");
    std::vector<std::string> texts = a.problem_texts(tcp_error::not_ilm);
    return texts.size() > 16 && texts.back().find(" more were not reported") != std::string::npos;
  }));
}

#ifndef ILM_TEST_HAS_SANITIZER
TEST_CASE("a system that cannot accept is reported once, and once when it is over", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  l.run_for(1ms);
  asio::ip::tcp::socket queued(l.context, asio::ip::tcp::v4());
  {
    no_descriptors left;
    queued.connect({asio::ip::address_v4::loopback(), a.control().port()});
    REQUIRE(l.until([&] { return a.problems() > 0; }));
    // It tries again meanwhile.
    l.run_for(100ms);
  }
  CHECK(a.problems() == 1);
  CHECK(a.events().front().error == std::errc::too_many_files_open);
  CHECK_FALSE(a.events().front().named);
  b.dial(a);
  CHECK(joined(l, a, b));
  REQUIRE(l.until([&] { return a.reported(std::nullopt, tcp_error::accepting_again); }));
  CHECK(a.problem_texts(tcp_error::accepting_again)
            .front()
            .starts_with("connections are accepted again, after "));
  CHECK(a.problems() == 2);
}
#endif

#ifndef ILM_TEST_HAS_SANITIZER
TEST_CASE("where descriptors are short, nobody gives up a place while nobody waits", "[tcp]") {
  loop l;
  node b(l, "b");
  l.run_for(1ms);
  asio::ip::tcp::socket last(l.context, asio::ip::tcp::v4());
  no_descriptors left(1);
  last.connect({asio::ip::address_v4::loopback(), b.control().port()});
  l.run_for(50ms);
  REQUIRE(::dup(0) < 0);  // It was accepted.
  last.non_blocking(true);
  std::error_code heard;
  char byte = 0;
  last.read_some(asio::buffer(&byte, 1), heard);
  CHECK(heard == asio::error::would_block);
  CHECK(b.problems() == 0);
}
#endif

#ifndef ILM_TEST_HAS_SANITIZER
TEST_CASE("where descriptors are short a stranger gives up its own for an honest peer",
          "[tcp][wire]") {
  loop l;
  node b(l, "b");
  plain_socket stranger(l, b.address());
  l.run_for(20ms);
  asio::ip::tcp::socket honest(l.context, asio::ip::tcp::v4());
  no_descriptors left;
  honest.connect({asio::ip::address_v4::loopback(), b.control().port()});
  wire::byte_string said = hello_of("a", "b").encode(), rest = proof_and_go();
  said.insert(said.end(), rest.begin(), rest.end());
  asio::write(honest, asio::buffer(said));
  CHECK(l.until([&] { return b.up("a"); }));
  CHECK(l.until([&] { return stranger.closed(); }));
}
#endif
