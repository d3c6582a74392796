#include "support/catch.hpp"

#include <ilm/protocol/handshake.hpp>

#include <algorithm>
#include <optional>
#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

ilm::options& settings() {
  static ilm::options o;
  return o;
}

/// One end of an exchange of hellos.
struct end {
  explicit end(std::uint64_t seed) : random(seed), hands(settings()) {}

  void begin(timestamp now) { hands.begin(now, random); }
  handshake::result take(const hello_record& h, timestamp now) {
    return hands.handle_hello(h, now, random);
  }
  std::optional<hello_record> poll(timestamp now) {
    hello_record h;
    if (!hands.poll_hello(h, now, random)) return std::nullopt;
    ++sent;
    return h;
  }

  random_source random;
  handshake hands;
  int sent = 0;
};

bool agree(const end& a, const end& b) {
  return a.hands.established() && b.hands.established() && !a.hands.pending() &&
         !b.hands.pending() && a.hands.session_tag() == b.hands.session_tag();
}

/// Passes hellos on without loss until neither side has one to send.
void exchange(end& a, end& b, timestamp now) {
  for (int i = 0; i < 20; ++i) {
    auto from_a = a.poll(now);
    if (from_a) b.take(*from_a, now);
    auto from_b = b.poll(now);
    if (from_b) a.take(*from_b, now);
    if (!from_a && !from_b) return;
  }
  FAIL("hellos without end");
}

struct under_way {
  bool to_a;
  timestamp arrives;
  hello_record hello;
};

/// Two ends, and a way between them that loses, repeats and delays. Ends begin again at random
/// until `calm_from`, the way is perfect from then on.
struct rough_way {
  explicit rough_way(std::uint64_t seed) : faults(seed), a(seed * 2 + 1), b(seed * 2 + 2) {}

  void send(bool to_a, const hello_record& h) {
    if (now >= calm_from) return flight.push_back({to_a, now + 1ms, h});
    while (faults.below(100) >= loss) {
      flight.push_back({to_a, now + std::chrono::milliseconds(faults.below(300)), h});
      if (faults.below(4) != 0) break;
    }
  }

  void step() {
    if (now < calm_from && faults.below(200) < restarts) {
      (faults.below(2) == 0 ? a : b).begin(now);
    }
    for (std::size_t i = 0; i < flight.size();) {
      if (flight[i].arrives > now) {
        ++i;
        continue;
      }
      under_way u = flight[i];
      flight.erase(flight.begin() + static_cast<std::ptrdiff_t>(i));
      (u.to_a ? a : b).take(u.hello, now);
    }
    while (auto h = a.poll(now)) send(false, *h);
    while (auto h = b.poll(now)) send(true, *h);
    now += 1ms;
  }

  random_source faults;
  end a, b;
  std::uint64_t loss = 30, restarts = 1;
  timestamp now = 0ms, calm_from = 5s;
  std::vector<under_way> flight;
};

}  // namespace

TEST_CASE("a handshake that did not begin sends nothing") {
  end a(1);
  CHECK_FALSE(a.poll(1h));
  CHECK(a.hands.deadline() == never);
  CHECK_FALSE(a.hands.established());
  CHECK_FALSE(a.hands.pending());
}

TEST_CASE("both sides begin and agree after each has seen its nonce echoed") {
  end a(1), b(2);
  a.begin(0s);
  b.begin(0s);
  exchange(a, b, 0s);
  CHECK(agree(a, b));
  CHECK(a.sent + b.sent <= 5);
  CHECK(a.hands.deadline() == never);
  CHECK(b.hands.deadline() == never);
}

TEST_CASE("a side that did not begin answers a hello, and both agree") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  CHECK(agree(a, b));
}

TEST_CASE("hellos that cross open one session") {
  end a(1), b(2);
  a.begin(0s);
  b.begin(0s);
  for (int i = 0; i < 5; ++i) {
    auto from_a = a.poll(0s);
    auto from_b = b.poll(0s);
    if (from_a) b.take(*from_a, 0s);
    if (from_b) a.take(*from_b, 0s);
  }
  CHECK(agree(a, b));
}

TEST_CASE("a hello without an answer is sent again, ever less often, up to a bound") {
  end a(1);
  a.begin(0s);
  timestamp now = 0s;
  REQUIRE(a.poll(now));
  duration wait = settings().initial_timeout;
  for (int i = 0; i < 12; ++i) {
    CHECK_FALSE(a.poll(now));
    timestamp due = a.hands.deadline();
    CHECK(due - now >= wait);
    CHECK(due - now <= wait + wait / 4);
    CHECK_FALSE(a.poll(due - 1ns));
    now = due;
    REQUIRE(a.poll(now));
    wait = std::min(wait * 2, settings().maximum_timeout);
  }
}

TEST_CASE("the timer of the side that waits sends any lost hello again") {
  for (int lost = 0; lost < 6; ++lost) {
    end a(1), b(2);
    a.begin(0s);
    b.begin(0s);
    timestamp now = 0s;
    int count = 0;
    for (int i = 0; i < 50 && !agree(a, b); ++i) {
      while (auto h = a.poll(now)) {
        if (count++ != lost) b.take(*h, now);
      }
      while (auto h = b.poll(now)) {
        if (count++ != lost) a.take(*h, now);
      }
      timestamp due = std::min(a.hands.deadline(), b.hands.deadline());
      if (due != never) now = std::max(now, due);
    }
    INFO(lost);
    CHECK(agree(a, b));
    CHECK(now < 1s);
  }
}

TEST_CASE("a hello that does not echo the present nonce proves nothing") {
  end a(1);
  a.begin(0s);
  hello_record first = *a.poll(0s);
  hello_record stranger;
  stranger.nonce = 77;
  for (std::uint64_t echo : {std::uint64_t{0}, std::uint64_t{1}, first.nonce + 1}) {
    stranger.echo = echo;
    CHECK(a.take(stranger, 0s) == handshake::result::challenged);
    CHECK_FALSE(a.hands.established());
  }
  stranger.echo = first.nonce;
  CHECK(a.take(stranger, 0s) == handshake::result::proven);
  CHECK(a.hands.session_tag() == session_tag_of(first.nonce, 77));
}

TEST_CASE("the hello that proved a session does not prove it twice") {
  end a(1), b(2);
  a.begin(0s);
  std::vector<hello_record> all;
  for (int i = 0; i < 5; ++i) {
    if (auto h = a.poll(0s)) b.take(*h, 0s);
    if (auto h = b.poll(0s)) {
      all.push_back(*h);
      a.take(*h, 0s);
    }
  }
  REQUIRE(agree(a, b));
  std::uint32_t tag = a.hands.session_tag();
  for (const hello_record& h : all) CHECK(a.take(h, 1s) == handshake::result::ignored);
  CHECK(a.hands.session_tag() == tag);
  CHECK_FALSE(a.hands.pending());
}

TEST_CASE("a hello that proves a session is answered unless it is proven itself") {
  for (bool proven : {false, true}) {
    end a(1);
    a.begin(0s);
    hello_record theirs;
    theirs.nonce = 55;
    theirs.echo = a.poll(0s)->nonce;
    theirs.proven = proven;
    REQUIRE(a.take(theirs, 0s) == handshake::result::proven);
    std::optional<hello_record> answer = a.poll(1h);
    REQUIRE(answer.has_value() == !proven);
    if (answer) {
      CHECK(answer->nonce == theirs.echo);
      CHECK(answer->echo == 55);
      CHECK(answer->proven);
    }
    CHECK_FALSE(a.poll(1h));
  }
}

TEST_CASE("the hellos of the last sixteen sessions are known, and of none before") {
  end a(1);
  hello_record theirs;
  auto next_session = [&] {
    ++theirs.nonce;
    theirs.echo = 0;
    REQUIRE(a.take(theirs, 0s) == handshake::result::challenged);
    std::optional<hello_record> challenge = a.poll(0s);
    REQUIRE(challenge);
    theirs.echo = challenge->nonce;
    theirs.proven = true;
    REQUIRE(a.take(theirs, 0s) == handshake::result::proven);
  };
  hello_record first;
  first.nonce = 1;
  for (std::size_t i = 0; i < retired_nonces + 1; ++i) next_session();
  CHECK(a.take(first, 0s) == handshake::result::ignored);
  CHECK_FALSE(a.hands.pending());
  next_session();
  CHECK(a.take(first, 0s) == handshake::result::challenged);
}

TEST_CASE("a hello of an earlier session neither ends nor proves the present one") {
  end a(1), b(2);
  a.begin(0s);
  b.begin(0s);
  std::vector<hello_record> old;
  for (int i = 0; i < 5; ++i) {
    if (auto h = a.poll(0s)) b.take(*h, 0s);
    if (auto h = b.poll(0s)) {
      old.push_back(*h);
      a.take(*h, 0s);
    }
  }
  REQUIRE(agree(a, b));
  a.begin(1s);
  b.begin(1s);
  exchange(a, b, 1s);
  REQUIRE(agree(a, b));
  std::uint32_t tag = a.hands.session_tag();
  for (const hello_record& h : old) CHECK(a.take(h, 2s) == handshake::result::ignored);
  CHECK(agree(a, b));
  CHECK(a.hands.session_tag() == tag);
  CHECK_FALSE(a.poll(1h));
}

TEST_CASE("a hello with an unknown nonce asks for proof and leaves the session as it is") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  REQUIRE(agree(a, b));
  std::uint32_t tag = a.hands.session_tag();
  hello_record late;
  late.nonce = 99;
  late.echo = 98;
  CHECK(a.take(late, 1s) == handshake::result::challenged);
  CHECK(a.hands.established());
  CHECK(a.hands.session_tag() == tag);
  CHECK(a.hands.pending());
  auto answer = a.poll(1s);
  REQUIRE(answer);
  CHECK(answer->echo == 99);
  CHECK_FALSE(answer->proven);
}

TEST_CASE("after a late hello the two sides still end in one session") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  hello_record late;
  late.nonce = 99;
  a.take(late, 1s);
  exchange(a, b, 1s);
  CHECK(agree(a, b));
  CHECK(std::min(a.hands.deadline(), b.hands.deadline()) == never);
}

TEST_CASE("one side that begins again brings the other into its new session") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  std::uint32_t first = a.hands.session_tag();
  a.begin(1s);
  CHECK_FALSE(a.hands.established());
  exchange(a, b, 1s);
  CHECK(agree(a, b));
  CHECK(a.hands.session_tag() != first);
}

TEST_CASE("a side that was rebuilt is brought into a new session") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  end c(3);  // a, after a crash
  c.begin(1s);
  exchange(c, b, 1s);
  CHECK(agree(c, b));
}

TEST_CASE("a hundred restarts in a row all end in a session") {
  end a(1), b(2);
  for (int i = 0; i < 100; ++i) {
    timestamp now = std::chrono::seconds(i);
    (i % 3 == 0 ? a : b).begin(now);
    if (i % 5 == 0) a.begin(now);
    exchange(a, b, now);
    REQUIRE(agree(a, b));
  }
}

TEST_CASE("a handshake that ended has nothing to send") {
  end a(1);
  a.begin(0s);
  hello_record theirs;
  theirs.nonce = 55;
  theirs.echo = a.poll(0s)->nonce;
  // Not proven on the other side, so it waits for our answer.
  REQUIRE(a.take(theirs, 0s) == handshake::result::proven);
  a.hands.end();
  CHECK_FALSE(a.hands.established());
  CHECK_FALSE(a.hands.pending());
  CHECK(a.hands.session_tag() == 0);
  CHECK(a.hands.deadline() == never);
  CHECK_FALSE(a.poll(1h));
}

TEST_CASE("over a way that loses, repeats and reorders both sides end in one session") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    rough_way way(seed);
    way.loss = seed % 70;
    way.restarts = seed % 3;
    way.a.begin(0s);
    way.b.begin(0s);
    INFO(seed);
    while (way.now < way.calm_from) way.step();
    // Hellos are at most maximum_timeout and its jitter apart; then the way needs a few ms.
    timestamp limit = way.calm_from + settings().maximum_timeout * 5 / 4 * 2;
    while (way.now < limit && !(agree(way.a, way.b) && way.flight.empty())) way.step();
    REQUIRE(agree(way.a, way.b));
  }
}

TEST_CASE("no hello is sent any more once both sides agree and no frame is lost") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    rough_way way(seed);
    way.a.begin(0s);
    way.b.begin(0s);
    while (way.now < way.calm_from + 15s) way.step();
    int sent = way.a.sent + way.b.sent;
    while (way.now < way.calm_from + 60s) way.step();
    INFO(seed);
    CHECK(agree(way.a, way.b));
    CHECK(way.a.sent + way.b.sent == sent);
  }
}

TEST_CASE("one seed gives one exchange of hellos") {
  auto trace = [](std::uint64_t seed) {
    rough_way way(seed);
    way.a.begin(0s);
    std::vector<std::uint64_t> all;
    while (way.now < 8s) {
      way.step();
      for (const under_way& u : way.flight) all.push_back(u.hello.nonce ^ u.hello.echo);
    }
    return all;
  };
  CHECK(trace(5) == trace(5));
  CHECK(trace(5) != trace(6));
}
