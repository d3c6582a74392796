#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/error.hpp>
#include <ilm/networks/tcp/sessions.hpp>

#include <deque>
#include <new>

using namespace test::tcp;
using namespace ilm::detail::tcp;
using ilm::detail::tcp::session;

// The ends of sessions that go wrong inside: `receive` hears of each.

namespace {

struct failing_observer final : session_observer {
  bool in_address_book(const byte_string&) const override { return false; }
  void handle_session_began(const byte_string&, const connection&) override {
    if (fails) throw std::bad_alloc();
  }
  void handle_session_ended(const byte_string&, std::error_code,
                            ilm::detail::tcp::clock::duration) override {
    ++ended;
  }

  bool fails = true;
  int ended = 0;
};

/// Sessions with "b", over connections to a socket that nobody reads.
struct scene {
  std::shared_ptr<connection> connect() {
    asio::ip::tcp::socket near(l.context);
    near.connect(acceptor.local_endpoint());
    far.push_back(acceptor.accept());
    return std::make_shared<connection>(std::make_unique<socket_stream>(std::move(near)), true);
  }
  std::optional<encoded_event::type> poll() {
    std::optional<encoded_event> next = events->poll();
    if (!next) return std::nullopt;
    return next->kind;
  }

  /// The session with "b" ended and another one began; that one, too, ends with the test.
  void expect_successor(sessions& all) {
    l.run_for(20ms);
    CHECK(all.connected(b));
    CHECK(poll() == encoded_event::type::down);
    CHECK(poll() == encoded_event::type::up);
    CHECK_FALSE(poll());
    all.close();
    l.run_for(10ms);
  }

  loop l;
  asio::ip::tcp::acceptor acceptor{l.context, {asio::ip::address_v4::loopback(), 0}};
  std::deque<asio::ip::tcp::socket> far;
  byte_string b = to_bytes("b");
  std::shared_ptr<const configuration> settings = std::make_shared<const configuration>(
      std::make_shared<tcp_transport>(), to_bytes("a"), quick(), [](byte_view) { return true; });
  std::shared_ptr<event_source> events =
      std::make_shared<event_source>(l.context.get_executor(), settings->options.receive_buffer);
};

using type = encoded_event::type;

}  // namespace

TEST_CASE("a session whose connection was closed before it reports its end all the same") {
  scene s;
  std::shared_ptr<connection> over = s.connect();
  session made(s.settings, s.events, over, {});
  made.begin(s.b);
  REQUIRE(s.poll() == type::up);
  over->close();
  made.close();
  CHECK(s.poll() == type::down);
  made.close();
  CHECK_FALSE(s.poll());
}

TEST_CASE("a session that cannot begin leaves none behind, and the next one begins") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  auto observer = std::make_shared<failing_observer>();
  all->observe(observer);
  CHECK_THROWS_AS(all->begin(s.b, s.connect(), {}, {}), std::bad_alloc);
  CHECK_FALSE(all->connected(s.b));
  CHECK(observer->ended == 1);
  CHECK_FALSE(s.poll());

  observer->fails = false;
  CHECK_FALSE(all->begin(s.b, s.connect(), {}, {}));
  CHECK(all->connected(s.b));
  CHECK(s.poll() == type::up);
  all->close();
  s.l.run_for(10ms);
}

TEST_CASE("the loops of a replaced session leave its successor alone") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), {}, {}));
  REQUIRE(s.poll() == type::up);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), {}, {}));
  s.expect_successor(*all);
}

TEST_CASE("a send that fails ends its session, whose end is received, and not the next one") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  auto observer = std::make_shared<failing_observer>();
  observer->fails = false;
  all->observe(observer);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), {}, {}));
  REQUIRE(s.poll() == type::up);
  s.far.back().set_option(asio::socket_base::linger(true, 0));
  s.far.back().close();
  // The loops have not run, so it is the send that finds out.
  CHECK(all->send(s.b, to_bytes("x")) == nullptr);
  CHECK_FALSE(all->connected(s.b));
  CHECK(observer->ended == 1);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), {}, {}));
  s.expect_successor(*all);
}

TEST_CASE("an id that the codec would not give back cannot be put into the address book") {
  loop l;
  auto network = make_encoded_network(
      l.context.get_executor(), to_bytes("a"), quick(),
      [](byte_view id) { return !id.empty() && id.front() == std::byte{'b'}; });
  std::string_view where[] = {"127.0.0.1:1"};
  CHECK_NOTHROW(network->control()->add_peer(to_bytes("b"), where));
  std::error_code refused;
  try {
    network->control()->add_peer(to_bytes("c"), where);
  } catch (const std::system_error& e) {
    refused = e.code();
  }
  CHECK(refused == ilm::error::invalid_peer_id);
  network->close();
}

TEST_CASE("two connections collide if each side of one process pair dialed one, at one time") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  session::instance_id peer{std::byte{1}}, successor{std::byte{2}};
  std::shared_ptr<connection> dialed = s.connect(), again = s.connect();
  auto accepted =
      std::make_shared<connection>(std::make_unique<socket_stream>(std::move(s.far.back())), false);
  CHECK_FALSE(all->collides(s.b, *accepted, peer));
  REQUIRE_FALSE(all->begin(s.b, dialed, peer, {}));
  CHECK(all->collides(s.b, *accepted, peer));
  CHECK_FALSE(all->collides(s.b, *accepted, successor));
  CHECK_FALSE(all->collides(s.b, *again, peer));
  CHECK_FALSE(all->collides(to_bytes("c"), *accepted, peer));
  all->close();
  s.l.run_for(10ms);
}

TEST_CASE("events of a peer that has gone are forgotten once its `down` is received") {
  scene s;
  std::weak_ptr<pending_events> kept;
  {
    std::shared_ptr<pending_events> pending = s.events->begin_session(s.b);
    kept = pending;
    REQUIRE(s.poll() == type::up);
    s.events->end_session(pending);
  }
  CHECK_FALSE(kept.expired());
  REQUIRE(s.poll() == type::down);
  CHECK(kept.expired());
}

TEST_CASE("the bytes of a session that came and went unseen are not counted for the next one") {
  scene s;
  std::shared_ptr<pending_events> pending = s.events->begin_session(s.b);
  REQUIRE(s.poll() == type::up);
  s.events->end_session(pending);
  // The `down` waits, so the record of the peer stays.
  REQUIRE(s.events->begin_session(s.b) == pending);
  while (!s.events->is_full(*pending)) pending->add_frame(byte_string(10'000));
  s.events->end_session(pending);
  CHECK(pending->bytes() == 0);
  REQUIRE(s.events->begin_session(s.b) == pending);
  CHECK_FALSE(s.events->is_full(*pending));
}

TEST_CASE("the loops of a connection that was replaced do not end its successor") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  session::instance_id peer{std::byte{1}};
  std::weak_ptr<connection> replaced;
  {
    std::shared_ptr<connection> first = s.connect();
    replaced = first;
    REQUIRE_FALSE(all->begin(s.b, first, peer, {}));
  }
  REQUIRE(s.poll() == type::up);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), peer, {}));
  REQUIRE(s.l.until([&] { return replaced.expired(); }));
  CHECK(all->connected(s.b));
  CHECK(s.poll() == type::down);
  CHECK(s.poll() == type::up);
  CHECK_FALSE(s.poll());
  all->close();
  s.l.run_for(10ms);
}

TEST_CASE("a refusal in the place of a frame ends a session with its reason") {
  scene s;
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  REQUIRE_FALSE(all->begin(s.b, s.connect(), {}, {}));
  REQUIRE(s.poll() == type::up);
  byte_string refusal = make_refusal(ilm::tcp_error::too_many_connections);
  for (std::byte x : refusal) {
    s.far.back().write_some(asio::buffer(&x, 1));
    s.l.context.restart();
    s.l.context.poll();
  }
  REQUIRE(s.l.until([&] { return !all->connected(s.b); }));
  std::optional<encoded_event> problem = s.events->poll();
  REQUIRE(problem);
  CHECK(problem->why.code == ilm::tcp_error::too_many_connections);
  CHECK(s.poll() == type::down);
}

TEST_CASE("a session lets go of its connection only between two frames") {
  scene s;
  std::shared_ptr<connection> over = s.connect();
  session made(s.settings, s.events, over, {});
  made.begin(s.b);
  REQUIRE(s.poll() == type::up);
  SECTION("nothing waits to be written") {
    REQUIRE_FALSE(made.send_frame(to_bytes("x")));
    CHECK(made.release() == over);
    CHECK(over->is_open());
  }
  SECTION("a part of a frame waits") {
    while (made.has_room_to_send()) REQUIRE_FALSE(made.send_frame(byte_string(50'000)));
    CHECK(made.release() == nullptr);
    CHECK_FALSE(over->is_open());
  }
  SECTION("the connection is closed") {
    over->close();
    CHECK(made.release() == nullptr);
  }
  CHECK_FALSE(made.is_open());
  CHECK(s.poll() == type::down);
  CHECK(made.release() == nullptr);
}

TEST_CASE("a session whose name another process asks for has to show that it is alive") {
  scene s;
  options o = quick();
  o.keepalive_interval = 0s;
  s.settings = std::make_shared<const configuration>(
      std::make_shared<tcp_transport>(), to_bytes("a"), o, [](byte_view) { return true; });
  auto all = std::make_shared<sessions>(s.l.context.get_executor(), s.settings, s.events);
  session::instance_id first{std::byte{1}}, second{std::byte{2}}, third{std::byte{3}};
  REQUIRE_FALSE(all->begin(s.b, s.connect(), first, {}));
  REQUIRE_FALSE(all->begin(s.b, s.connect(), second, {}));
  asio::ip::tcp::socket& holder = s.far.back();
  // It returns, so two have the name, and it stays for a while where it is.
  REQUIRE(all->begin(s.b, s.connect(), first, {}).code == ilm::tcp_error::name_in_use);
  std::shared_ptr<connection> asks = s.connect();
  CHECK(all->check_takeover(s.b, *asks, third).code == ilm::tcp_error::name_in_use);
  CHECK(all->connected(s.b));
  CHECK(s.l.until([&] { return holder.available() > 0; }));
  // It does not answer.
  REQUIRE(s.l.until([&] { return !all->connected(s.b); }));
  CHECK_FALSE(all->check_takeover(s.b, *asks, third));
  all->close();
  s.l.run_for(10ms);
}
