#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/sleep.hpp"

#include <ilm/protocol/frame_writer.hpp>

#include <deque>
#include <vector>

using namespace test;
using ilm::event_kind;

// A name alone costs no memory: a peer is remembered once it said a valid hello, or something is to
// be sent to it.

namespace {

using network_event = ilm::network_event<std::string>;
using bytes_vector = std::vector<std::byte>;

/// What a network reports from now on, and the peers of the frames that it was given.
struct line {
  std::deque<network_event> events;
  std::vector<std::string> sent_to;
  std::chrono::nanoseconds send_time{};
};

/// The network of a test, which plays all other peers.
class played_network {
 public:
  using clock_type = test::clock;
  static constexpr bool reliable = false;

  explicit played_network(std::shared_ptr<line> l) : line_(std::move(l)) {}

  std::string local_id() const { return "a"; }
  std::size_t maximum_frame_size() const { return 1 << 16; }
  asio::awaitable<void> send(std::string to, bytes_vector) {
    std::shared_ptr<line> l = line_;
    l->sent_to.push_back(std::move(to));
    if (l->send_time > 0ns) co_await sleep_for(l->send_time);
  }
  asio::awaitable<network_event> receive() {
    std::shared_ptr<line> l = line_;
    while (l->events.empty()) co_await sleep_for(1ms);
    network_event next = std::move(l->events.front());
    l->events.pop_front();
    co_return next;
  }

 private:
  std::shared_ptr<line> line_;
};

struct stranger_scene {
  stranger_scene() { w.run_for(1ms); }

  void report(network_event e) {
    network->events.push_back(std::move(e));
    w.run_for(10ms);
  }
  std::size_t peers() const { return a.statistics().peers.size(); }

  world w;
  std::shared_ptr<line> network = std::make_shared<line>();
  store disk;
  ilm::messenger<store, played_network, ignore> a{w.context, disk, played_network(network),
                                                  ignore()};
};

bytes_vector written(const std::function<void(ilm::protocol::frame_writer&)>& records,
                     std::uint8_t version = 0) {
  bytes_vector out;
  ilm::protocol::frame_header head;
  head.version = version;
  if (version != 0) head.session = 7;
  ilm::protocol::frame_writer writer(out, head, true, 1 << 16);
  records(writer);
  writer.finish();
  return out;
}
bytes_vector challenge() {
  return written([](auto& w) { w.challenge(9); });
}
/// A hello that echoes a nonce of long ago.
bytes_vector old_hello(const std::string& destination) {
  return written([&](auto& w) {
    ilm::protocol::hello_record h;
    h.nonce = 1;
    h.echo = 2;
    h.claim.mark = h.stream = ilm::stamp{1, 3};
    h.base = h.first = 1;
    std::string source = "b";
    h.source = std::as_bytes(std::span(source));
    h.destination = std::as_bytes(std::span(destination));
    w.hello(h);
  });
}

}  // namespace

TEST_CASE("bad frames in a thousand unknown names make no peer, and are told") {
  stranger_scene s;
  std::vector<event> told;
  s.a.on_event([&](const event& e) { told.push_back(e); });
  for (int i = 0; i < 1000; ++i) {
    s.network->events.push_back(network_event::frame("x" + std::to_string(i), bytes_vector(20)));
  }
  s.w.run_for(10s);
  CHECK(s.network->events.empty());
  CHECK(s.peers() == 0);
  CHECK(s.network->sent_to.empty());
  REQUIRE_FALSE(told.empty());
  CHECK(told.front().kind == event_kind::frame_rejected);
  CHECK(told.front().error == ilm::error::malformed_frame);
  CHECK(told.front().peer == "x0");
}

TEST_CASE("a frame of a session, or an old hello, in an unknown name makes no peer") {
  stranger_scene s;
  SECTION("a ping") {
    s.report(network_event::frame("b", written([](auto& w) { w.ping(); }, 1)));
  }
  SECTION("a frame of a version that nobody speaks yet") {
    s.report(network_event::frame("b", written([](auto& w) { w.ping(); }, 9)));
  }
  SECTION("a hello") { s.report(network_event::frame("b", old_hello("a"))); }
  SECTION("a hello for another peer") { s.report(network_event::frame("b", old_hello("c"))); }
  CHECK(s.peers() == 0);
  CHECK(s.network->sent_to.empty());
}

TEST_CASE("a challenge in an unknown name is answered") {
  stranger_scene s;
  s.report(network_event::frame("b", challenge()));
  CHECK(s.peers() == 1);
  CHECK_FALSE(s.network->sent_to.empty());
}

TEST_CASE("a peer that asked for a hello and never said one is gone after a while") {
  stranger_scene s;
  s.report(network_event::frame("b", challenge()));
  s.w.run_for(110s);
  CHECK(s.peers() == 1);
  s.w.run_for(20s);
  CHECK(s.peers() == 0);
  std::size_t sent = s.network->sent_to.size();
  s.w.run_for(60s);
  CHECK(s.network->sent_to.size() == sent);
  SECTION("and can come again") {
    s.report(network_event::frame("b", challenge()));
    CHECK(s.network->sent_to.size() > sent);
    CHECK(s.peers() == 1);
  }
}

TEST_CASE("a peer whose session ends before it said a hello leaves nothing behind") {
  stranger_scene s;
  for (int i = 0; i < 200; ++i) {
    s.network->events.push_back(network_event::up("x" + std::to_string(i)));
  }
  s.w.run_for(10s);
  CHECK(s.peers() == 200);
  for (int i = 0; i < 200; ++i) {
    s.network->events.push_back(network_event::down("x" + std::to_string(i)));
  }
  s.w.run_for(10s);
  CHECK(s.peers() == 0);
  s.network->sent_to.clear();
  s.w.run_for(60s);
  CHECK(s.network->sent_to.empty());
}

TEST_CASE("a peer whose session ends while a frame for it is with the network leaves after that") {
  stranger_scene s;
  s.network->send_time = 5s;
  s.report(network_event::up("b"));
  CHECK(s.network->sent_to.size() == 1);
  s.report(network_event::down("b"));
  CHECK(s.peers() == 1);
  s.w.run_for(6s);
  CHECK(s.peers() == 0);
}

TEST_CASE("a peer for which a message waits stays when its session ends") {
  stranger_scene s;
  bool stored = false;
  s.a.send_to("b", "kept", [&](std::error_code failed, std::uint64_t) { stored = !failed; });
  s.report(network_event::up("b"));
  s.report(network_event::down("b"));
  CHECK(stored);
  REQUIRE(s.peers() == 1);
  CHECK(s.a.statistics().peers.front().outbox_depth == 1);
}
