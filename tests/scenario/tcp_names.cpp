#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp/lookup.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

using namespace test::tcp;
using ilm::tcp_error;
using ilm::detail::tcp::lookup_result;

// Names in the address book: look-ups that take their time, fail, or find several addresses; and
// peers with several addresses.

namespace {

/// Looks up names in the place of the system, for networks made while it lives. Its threads own the
/// records, as those of a system's look-up own all they need.
class name_server {
 public:
  name_server() : previous_(ilm::detail::tcp::default_lookup()) {
    ilm::detail::tcp::default_lookup() = [r = records_](const std::string& host) {
      return r->look_up(host);
    };
  }
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;
  /// Whatever still waits is answered, so that no thread outlives the test.
  ~name_server() {
    ilm::detail::tcp::default_lookup() = previous_;
    answer_all();
    std::unique_lock lock(records_->mutex);
    records_->changed.wait(lock, [&] { return records_->running == 0; });
  }

  void set(const std::string& host, std::vector<std::string> found) {
    std::lock_guard lock(records_->mutex);
    records_->found[host] = std::move(found);
    records_->changed.notify_all();
  }
  /// Look-ups of all other names end from now on, with an error.
  void answer_all() {
    std::lock_guard lock(records_->mutex);
    records_->silent = false;
    records_->changed.notify_all();
  }
  /// Names without an address are not answered from now on.
  void fall_silent() {
    std::lock_guard lock(records_->mutex);
    records_->silent = true;
    records_->found.clear();
  }
  std::size_t running() const { return read(records_->running); }
  std::size_t asked() const { return read(records_->asked); }

 private:
  struct records {
    lookup_result look_up(const std::string& host) {
      std::unique_lock lock(mutex);
      ++running;
      ++asked;
      changed.wait(lock, [&] { return found.contains(host) || !silent; });
      --running;
      changed.notify_all();
      auto at = found.find(host);
      if (at != found.end()) return lookup_result(at->second);
      return ilm::detail::failure(std::make_error_code(std::errc::host_unreachable));
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, std::vector<std::string>> found;
    bool silent = true;
    std::size_t running = 0, asked = 0;
  };

  std::size_t read(const std::size_t& n) const {
    std::lock_guard lock(records_->mutex);
    return n;
  }

  std::shared_ptr<records> records_ = std::make_shared<records>();
  ilm::detail::tcp::lookup_function previous_;
};

std::string at_port_of(const std::string& host, const node& n) {
  return host + ":" + std::to_string(n.control().port());
}

/// An address that answers no connection: its queue is full.
struct black_hole {
  explicit black_hole(loop& l) : acceptor(l.context), queued(l.context) {
    acceptor.open(asio::ip::tcp::v4());
    acceptor.bind({asio::ip::address_v4::loopback(), 0});
    acceptor.listen(0);
    queued.connect(acceptor.local_endpoint());
  }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  }

  asio::ip::tcp::acceptor acceptor;
  asio::ip::tcp::socket queued;
};

options patient() {
  options o = quick();
  o.handshake_timeout = 1h;
  return o;
}

}  // namespace

TEST_CASE("names that nobody answers delay no other name", "[tcp]") {
  name_server names;
  names.set("good.example", {"127.0.0.1"});
  loop l;
  node a(l, "a"), b(l, "b", patient(), "");
  for (int i = 0; i < 40; ++i) {
    b.control().add_peer("silent " + std::to_string(i), "silent" + std::to_string(i) + ":1");
  }
  b.control().add_peer("a", at_port_of("good.example", a));
  CHECK(joined(l, a, b));
  CHECK(b.problems() == 0);
}

TEST_CASE("names that nobody answers, more than look-ups may begin, leave room for another",
          "[tcp]") {
  name_server names;
  names.set("good.example", {"127.0.0.1"});
  loop l;
  options o = quick();
  o.handshake_timeout = 500ms;
  node a(l, "a"), b(l, "b", o, "");
  constexpr std::size_t count = 3 * ilm::detail::tcp::prompt_lookup_limit;
  for (std::size_t i = 0; i < count; ++i) {
    b.control().add_peer("silent " + std::to_string(i), "silent" + std::to_string(i) + ":1");
  }
  b.control().add_peer("a", at_port_of("good.example", a));
  CHECK(joined(l, a, b));
  // The last thread may take its time to begin.
  CHECK(l.until([&] { return names.running() == count; }));
}

TEST_CASE(
    "names that were answered late are looked up a few at a time, and one that was not at once",
    "[tcp]") {
  name_server names;
  struct counts {
    std::atomic<std::size_t> begun = 0, running = 0;
  };
  auto late = std::make_shared<counts>();
  ilm::detail::tcp::default_lookup() = [late](const std::string& host) {
    if (host == "good.example") return lookup_result(std::vector<std::string>{"127.0.0.1"});
    ++late->begun;
    ++late->running;
    std::this_thread::sleep_for(750ms);
    --late->running;
    return lookup_result(ilm::detail::failure(std::make_error_code(std::errc::host_unreachable)));
  };
  loop l;
  options o = quick();
  o.handshake_timeout = 250ms;
  node a(l, "a"), b(l, "b", o, "");
  constexpr std::size_t count = 2 * ilm::detail::tcp::slow_lookup_limit + 10;
  for (std::size_t i = 0; i < count; ++i) {
    b.control().add_peer("late " + std::to_string(i), "late" + std::to_string(i) + ":1");
  }
  REQUIRE(l.until([&] { return late->begun > 2 * count; }));
  std::size_t most = 0;
  l.until([&] {
    most = std::max(most, late->running.load());
    return late->begun > 4 * count;
  });
  CHECK(most <= ilm::detail::tcp::slow_lookup_limit);
  b.control().add_peer("a", at_port_of("good.example", a));
  CHECK(joined(l, a, b));
  // No thread outlives the test.
  b.leave();
  CHECK(l.until([&] { return late->running == 0; }));
}

TEST_CASE("a look-up that nobody answers ends the attempt in time and is reported by name",
          "[tcp]") {
  name_server names;
  loop l;
  options o = quick();
  o.handshake_timeout = 50ms;
  node b(l, "b", o, "");
  b.control().add_peer("a", "silent.example:1");
  REQUIRE(l.until([&] { return b.reported("a", tcp_error::lookup_timeout); }));
  CHECK_THAT(b.events().front().text, test::ContainsSubstring("silent.example:1"));
  // The next attempts wait for the same look-up.
  l.run_for(300ms);
  CHECK(names.asked() == 1);
}

TEST_CASE("the last addresses of a name are dialed while its look-up hangs, or fails", "[tcp]") {
  bool fails = GENERATE(false, true);
  name_server names;
  names.set("good.example", {"127.0.0.1"});
  loop l;
  node a(l, "a"), b(l, "b", patient(), "");
  b.control().add_peer("a", at_port_of("good.example", a));
  REQUIRE(joined(l, a, b));
  names.fall_silent();
  if (fails) names.answer_all();
  a.control().remove_peer("b");
  REQUIRE(l.until([&] { return b.ups("a") == 2; }));
  CHECK(names.asked() == 2);
  CHECK(names.running() == (fails ? 0 : 1));
}

TEST_CASE("peers at one host wait for one look-up", "[tcp]") {
  name_server names;
  loop l;
  node a(l, "a"), c(l, "c"), b(l, "b", patient(), "");
  b.control().add_peer("a", at_port_of("one.example", a));
  b.control().add_peer("c", at_port_of("one.example", c));
  REQUIRE(l.until([&] { return names.running() == 1; }));
  names.set("one.example", {"127.0.0.1"});
  names.answer_all();
  CHECK(joined(l, a, b));
  CHECK(joined(l, c, b));
  CHECK(names.asked() == 1);
}

TEST_CASE("neither a network nor its context waits for a look-up", "[tcp]") {
  bool context_first = GENERATE(false, true);
  name_server names;
  auto l = std::make_unique<loop>();
  {
    node b(*l, "b", patient(), "");
    b.control().add_peer("a", "silent.example:1");
    REQUIRE(l->until([&] { return names.running() == 1; }));
    if (context_first) {
      // As a messenger's, the coroutine owns the network.
      auto owned = std::make_shared<network>(l->context, "c", patient());
      owned->add_peer("a", "silent.example:1");
      asio::co_spawn(
          l->context,
          [](std::shared_ptr<network> n) -> asio::awaitable<void> { co_await n->receive(); }(owned),
          asio::detached);
      REQUIRE(l->until([&] { return names.running() == 2; }));
    }
  }
  l.reset();
  CHECK(names.running() == (context_first ? 2 : 1));
}

TEST_CASE("a name that is looked up in vain is reported with the error of the look-up", "[tcp]") {
  name_server names;
  names.answer_all();
  loop l;
  node b(l, "b", quick(), "");
  b.control().add_peer("a", "nowhere.example:1");
  CHECK(
      l.until([&] { return b.reported("a", std::make_error_code(std::errc::host_unreachable)); }));
}

TEST_CASE("a name that is found without an address is reported as one that was not found",
          "[tcp]") {
  name_server names;
  names.set("empty.example", {});
  loop l;
  node b(l, "b", quick(), "");
  b.control().add_peer("a", "empty.example:1");
  CHECK(l.until([&] { return b.reported("a", asio::error::host_not_found); }));
}

TEST_CASE("a look-up that throws is one that failed", "[tcp]") {
  name_server names;
  ilm::detail::tcp::default_lookup() = [](const std::string&) -> lookup_result {
    throw std::system_error(std::make_error_code(std::errc::io_error));
  };
  loop l;
  node b(l, "b", quick(), "");
  b.control().add_peer("a", "broken.example:1");
  CHECK(l.until([&] { return b.reported("a", std::make_error_code(std::errc::io_error)); }));
}

TEST_CASE("an address that does not answer delays the other addresses of a peer by little",
          "[tcp]") {
  loop l;
  black_hole hole(l);
  // It takes connections and says nothing.
  asio::ip::tcp::acceptor silent(l.context, {asio::ip::address_v4::loopback(), 0});
  std::string silent_address = "127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  node a(l, "a"), b(l, "b", patient(), "");
  b.control().add_peer("a", {hole.address(), silent_address, a.address()});
  CHECK(joined(l, a, b));
  CHECK(b.problems() == 0);
}

TEST_CASE("all addresses of a name are dialed, until one leads to the peer", "[tcp]") {
  name_server names;
  names.set("many.example", {"127.0.0.3", "127.0.0.2", "127.0.0.1"});
  loop l;
  node a(l, "a"), b(l, "b", quick(), "");
  b.control().add_peer("a", at_port_of("many.example", a));
  CHECK(joined(l, a, b));
}

TEST_CASE("a peer is dialed at each of its addresses, and the one that is another's is no matter",
          "[tcp]") {
  loop l;
  node a(l, "a"), other(l, "other"), b(l, "b", quick(), "");
  std::vector<std::string> addresses{deserted(l), other.address(), a.address()};
  b.control().add_peer("a", addresses);
  REQUIRE(joined(l, a, b));
  b.send("a", "x");
  CHECK(l.until([&] { return a.frames("b") == 1; }));
  CHECK(a.ups("b") == 1);
}

TEST_CASE("a session leaves no other attempt behind, whichever address is the first", "[tcp]") {
  loop l;
  node a(l, "a");
  proxy first(l, a.address()), second(l, a.address());
  bool leads = GENERATE(true, false);
  node b(l, leads ? "_" : "b", quick(), "");
  b.control().add_peer("a", {first.address(), second.address()});
  REQUIRE(joined(l, a, b));
  l.run_for(600ms);
  CHECK(a.ups(b.name()) == 1);
  CHECK(b.ups("a") == 1);
}

TEST_CASE("the address of the last session is dialed first", "[tcp]") {
  loop l;
  node a(l, "a");
  proxy turnstile(l, deserted(l));
  node b(l, "b", quick(), "");
  b.control().add_peer("a", {turnstile.address(), a.address()});
  REQUIRE(joined(l, a, b));
  std::size_t before = turnstile.accepted();
  for (std::size_t round = 2; round < 5; ++round) {
    a.control().remove_peer("b");
    REQUIRE(l.until([&] { return b.ups("a") == round; }));
  }
  CHECK(turnstile.accepted() == before);
}

TEST_CASE("a peer without an address is an error that says so", "[tcp]") {
  loop l;
  network net(l.context, "a");
  std::vector<std::string> none;
  std::error_code code;
  try {
    net.add_peer("b", none);
  } catch (const std::system_error& e) {
    code = e.code();
  }
  CHECK(code == tcp_error::bad_address);
}

TEST_CASE("a network listens at a name once it is found, and nothing waits for it meanwhile",
          "[tcp]") {
  name_server names;
  loop l;
  node a(l, "a", patient(), "own.example:0"), b(l, "b"), c(l, "c", patient(), "");
  a.dial(b);
  CHECK(joined(l, a, b));
  CHECK(l.until([&] { return names.running() == 1; }));
  CHECK(a.control().port() == 0);
  names.set("own.example", {"127.0.0.1", "127.0.0.2"});
  REQUIRE(l.until([&] { return a.control().port() != 0; }));
  c.control().add_peer("a", at_port_of("127.0.0.1", a));
  CHECK(joined(l, a, c));
  CHECK(a.problems() == 0);
}

TEST_CASE("a name at which to listen that is not found is looked up again, and told once",
          "[tcp]") {
  name_server names;
  names.answer_all();
  loop l;
  node a(l, "a", quick(), "own.example:0"), c(l, "c", quick(), "");
  std::error_code unreachable = make_error_code(std::errc::host_unreachable);
  REQUIRE(l.until([&] { return names.asked() >= 4; }));
  REQUIRE(a.problem_texts(unreachable).size() == 1);
  CHECK_THAT(a.problem_texts(unreachable)[0], test::ContainsSubstring("own.example:0"));
  names.set("own.example", {"127.0.0.1"});
  REQUIRE(l.until([&] { return a.problems() == 2; }));
  CHECK(a.reported(std::nullopt, tcp_error::accepting_again));
  c.control().add_peer("a", at_port_of("127.0.0.1", a));
  CHECK(joined(l, a, c));
}

TEST_CASE("a name at which to listen that nobody answers is told, and looked up again", "[tcp]") {
  name_server names;
  loop l;
  options o = quick();
  o.handshake_timeout = 100ms;
  node a(l, "a", o, "own.example:0");
  REQUIRE(l.until([&] { return a.reported(std::nullopt, tcp_error::lookup_timeout); }));
  names.set("own.example", {"127.0.0.1"});
  CHECK(l.until([&] { return a.control().port() != 0; }));
}

TEST_CASE("a network listens at a name as soon as the port is free there", "[tcp]") {
  name_server names;
  names.set("own.example", {"127.0.0.1"});
  loop l;
  node first(l, "first");
  std::uint16_t port = first.control().port();
  node a(l, "a", quick(), "own.example:" + std::to_string(port));
  std::error_code in_use(static_cast<int>(std::errc::address_in_use), std::system_category());
  REQUIRE(l.until([&] { return a.reported(std::nullopt, in_use); }));
  first.leave();
  CHECK(l.until([&] { return a.control().port() == port; }));
}

TEST_CASE("a network that listens at a name listens nowhere else, and not at what is no address",
          "[tcp]") {
  name_server names;
  loop l;
  network net(l.context, "a");
  CHECK_THROWS_AS(net.listen("own.example"), std::system_error);
  net.listen("own.example:0");
  CHECK(net.port() == 0);
  CHECK_THROWS_AS(net.local_endpoint(), std::system_error);
  CHECK_THROWS_AS(net.listen("127.0.0.1:0"), std::system_error);
  CHECK_THROWS_AS(net.listen("other.example:0"), std::system_error);
  network numeric(l.context, "b");
  numeric.listen("127.0.0.1:0");
  CHECK_THROWS_AS(numeric.listen("own.example:0"), std::system_error);
  CHECK(numeric.port() == numeric.local_endpoint().port());
}

TEST_CASE("a network that ends while its name is looked up does not listen", "[tcp]") {
  name_server names;
  loop l;
  node a(l, "a", quick(), "own.example:0");
  REQUIRE(l.until([&] { return names.running() == 1; }));
  auto control = a.control();
  a.leave();
  names.set("own.example", {"127.0.0.1"});
  REQUIRE(l.until([&] { return names.running() == 0; }));
  l.run_for(20ms);
  CHECK(control.port() == 0);
}
