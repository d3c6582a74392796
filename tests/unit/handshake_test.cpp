#include "support/catch.hpp"

#include <ilm/protocol/handshake.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

ilm::options& settings() {
  static ilm::options o;
  return o;
}

/// Random numbers that a test sees.
struct counted_entropy final : entropy {
  explicit counted_entropy(std::uint64_t seed) : numbers(seed) {}
  std::uint64_t next() override {
    ++drawn;
    return last = zero ? 0 : numbers.next();
  }

  random_source numbers;
  std::uint64_t last = 0;
  int drawn = 0;
  bool zero = false;
};

/// A frame of the handshake.
struct said {
  std::uint64_t challenge = 0;
  std::optional<hello_record> hello;
};

/// One end of an exchange of challenges and hellos.
struct end {
  explicit end(std::uint64_t seed)
      : numbers(seed + 1000), random(seed), hands(settings(), numbers) {}

  void begin(timestamp now) { hands.begin(now); }
  /// Whether it opens a session.
  bool take(const said& s, timestamp now) {
    if (s.challenge != 0) hands.handle_challenge(s.challenge);
    if (s.hello && hands.contradicts_session(*s.hello)) return begin(now), false;
    bool opened = s.hello && hands.handle_hello(*s.hello, now);
    if (opened) ++sessions;
    CHECK(hands.invariants_hold());
    return opened;
  }
  std::optional<said> poll(timestamp now) {
    said s;
    s.challenge = hands.poll_challenge(now, random);
    hello_record h;
    if (s.challenge == 0 && hands.poll_hello(h, now, random)) s.hello = h;
    if (s.challenge == 0 && !s.hello) return std::nullopt;
    CHECK(hands.invariants_hold());
    ++sent;
    return s;
  }
  hello_record poll_hello(timestamp now) {
    std::optional<said> s = poll(now);
    REQUIRE(s);
    REQUIRE(s->hello);
    return *s->hello;
  }
  std::uint64_t poll_challenge(timestamp now) {
    std::optional<said> s = poll(now);
    REQUIRE(s);
    REQUIRE(s->challenge != 0);
    return s->challenge;
  }

  counted_entropy numbers;
  random_source random;
  handshake hands;
  int sent = 0;
  int sessions = 0;
};

bool agree(const end& a, const end& b) {
  return a.hands.established() && b.hands.established() &&
         a.hands.session_tag() == b.hands.session_tag();
}

/// Each has heard a frame of the other's session: what follows a session at once.
void hear(end& a, end& b) {
  if (!agree(a, b)) return;
  a.hands.handle_heard();
  b.hands.handle_heard();
}

/// Passes frames on without loss until neither side has one to send.
void exchange(end& a, end& b, timestamp now) {
  for (int i = 0; i < 20; ++i) {
    std::optional<said> from_a = a.poll(now), from_b = b.poll(now);
    if (from_a) b.take(*from_a, now);
    if (from_b) a.take(*from_b, now);
    if (!from_a && !from_b) return hear(a, b);
  }
  FAIL("hellos without end");
}

/// A hello of a peer that answers a nonce.
said answer(std::uint64_t nonce, std::uint64_t echo, bool proven = false) {
  hello_record h;
  h.nonce = nonce;
  h.echo = echo;
  h.proven = proven;
  return {0, h};
}

struct under_way {
  bool to_a;
  timestamp arrives;
  said what;
};

/// Two ends, and a way between them that loses, repeats and delays. Ends begin again at random
/// until `calm_from`, the way is perfect from then on.
struct rough_way {
  explicit rough_way(std::uint64_t seed) : faults(seed), a(seed * 2 + 1), b(seed * 2 + 2) {}

  void send(bool to_a, const said& s) {
    if (now >= calm_from) return flight.push_back({to_a, now + 1ms, s});
    while (faults.below(100) >= loss) {
      flight.push_back({to_a, now + std::chrono::milliseconds(faults.below(300)), s});
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
      (u.to_a ? a : b).take(u.what, now);
    }
    while (auto h = a.poll(now)) send(false, *h);
    while (auto h = b.poll(now)) send(true, *h);
    if (now >= calm_from) hear(a, b);
    now += 1ms;
  }

  random_source faults;
  end a, b;
  std::uint64_t loss = 30, restarts = 1;
  timestamp now = 0ms, calm_from = 5s;
  std::vector<under_way> flight;
};

}  // namespace

TEST_CASE("a handshake that did not begin sends nothing, and draws nothing") {
  end a(1);
  CHECK_FALSE(a.poll(1h));
  CHECK(a.hands.deadline() == never);
  CHECK_FALSE(a.hands.established());
  CHECK_FALSE(a.hands.challenging());
  CHECK(a.numbers.drawn == 0);
}

TEST_CASE(
    "one round trip opens a session on the side that challenged, half a one more on the other") {
  end a(1), b(2);
  a.begin(0s);
  CHECK(a.hands.challenging());
  std::uint64_t nonce = a.poll_challenge(0s);
  CHECK_FALSE(b.take({nonce, {}}, 0s));
  CHECK_FALSE(b.hands.established());
  hello_record first = b.poll_hello(0s);
  CHECK(first.echo == nonce);
  CHECK_FALSE(first.proven);
  CHECK(a.take({0, first}, 0s));
  CHECK(a.hands.established());
  CHECK_FALSE(a.hands.challenging());
  hello_record second = a.poll_hello(0s);
  CHECK(second.proven);
  CHECK(second.echo == first.nonce);
  CHECK(second.nonce == nonce);
  CHECK(b.take({0, second}, 0s));
  CHECK(agree(a, b));
  CHECK(a.hands.session_tag() == session_tag_of(nonce, first.nonce));
  // What proved itself needs no answer.
  CHECK_FALSE(b.poll(1h));
}

TEST_CASE("both sides challenge at once, and open one session in a round trip") {
  end a(1), b(2);
  a.begin(0s);
  b.begin(0s);
  said from_a{a.poll_challenge(0s), {}}, from_b{b.poll_challenge(0s), {}};
  a.take(from_b, 0s);
  b.take(from_a, 0s);
  hello_record of_a = a.poll_hello(0s), of_b = b.poll_hello(0s);
  CHECK(of_a.nonce == from_a.challenge);
  CHECK(of_b.nonce == from_b.challenge);
  CHECK(a.take({0, of_b}, 0s));
  CHECK(b.take({0, of_a}, 0s));
  CHECK(agree(a, b));
  exchange(a, b, 0s);
  CHECK(a.sessions == 1);
  CHECK(b.sessions == 1);
  CHECK(a.sent + b.sent <= 8);
  CHECK(a.hands.deadline() == never);
  CHECK(b.hands.deadline() == never);
}

TEST_CASE("a challenge without an answer is sent again, ever less often, up to a bound") {
  end a(1);
  a.begin(0s);
  timestamp now = 0s;
  std::uint64_t nonce = a.poll_challenge(now);
  duration wait = settings().initial_timeout;
  for (int i = 0; i < 12; ++i) {
    CHECK_FALSE(a.poll(now));
    timestamp due = a.hands.deadline();
    CHECK(due - now >= wait);
    CHECK(due - now <= wait + wait / 4);
    CHECK_FALSE(a.poll(due - 1ns));
    now = due;
    CHECK(a.poll_challenge(now) == nonce);
    wait = std::min(wait * 2, settings().maximum_timeout);
  }
}

TEST_CASE("a handshake that begins anew sends its challenge again as soon as the first one did") {
  end a(1);
  a.begin(0s);
  timestamp now = 0s;
  for (int i = 0; i < 12; ++i) {
    a.poll_challenge(now);
    now = a.hands.deadline();
  }
  a.begin(now);
  a.poll_challenge(now);
  duration wait = settings().initial_timeout;
  CHECK(a.hands.deadline() - now >= wait);
  CHECK(a.hands.deadline() - now <= wait + wait / 4);
}

TEST_CASE("the time of a frame that waits for the network is named once") {
  end a(1);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  timestamp due = a.hands.deadline();
  a.hands.handle_timeout(due - 1ns);
  CHECK(a.hands.deadline() == due);
  a.hands.handle_timeout(due);
  CHECK(a.hands.deadline() == never);
  CHECK(a.hands.challenging());
  // When the network takes it at last, the next time counts from there.
  CHECK(a.poll_challenge(due + 1h) != 0);
  CHECK(a.hands.deadline() > due + 1h);
  CHECK(a.hands.deadline() != never);
  CHECK(nonce != 0);
}

TEST_CASE("the proven hello is sent again until a frame of the session is heard") {
  end a(1);
  a.begin(0s);
  REQUIRE(a.take(answer(55, a.poll_challenge(0s)), 0s));
  timestamp now = 0s;
  hello_record first = a.poll_hello(now);
  duration wait = settings().initial_timeout;
  for (int i = 0; i < 8; ++i) {
    CHECK_FALSE(a.poll(now));
    timestamp due = a.hands.deadline();
    CHECK(due - now >= wait);
    CHECK(due - now <= wait + wait / 4);
    CHECK_FALSE(a.poll(due - 1ns));
    now = due;
    hello_record again = a.poll_hello(now);
    CHECK(again.proven);
    CHECK(again.nonce == first.nonce);
    CHECK(again.echo == 55);
    wait = std::min(wait * 2, settings().maximum_timeout);
  }
  a.hands.handle_heard();
  CHECK(a.hands.deadline() == never);
  CHECK_FALSE(a.poll(now + 1h));
  CHECK(a.hands.established());
}

TEST_CASE("the timer of a side sends any lost frame again") {
  for (int lost = 0; lost < 8; ++lost) {
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
      if (due != never && !agree(a, b)) now = std::max(now, due);
    }
    INFO(lost);
    CHECK(agree(a, b));
    CHECK(now < 1s);
  }
}

TEST_CASE("a hello that does not echo the candidate changes nothing") {
  end a(1);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  timestamp due = a.hands.deadline();
  for (std::uint64_t echo : {std::uint64_t{1}, nonce - 1, nonce + 1}) {
    CHECK_FALSE(a.take(answer(77, echo), 0s));
    CHECK_FALSE(a.hands.established());
    CHECK(a.hands.challenging());
    CHECK(a.hands.deadline() == due);
    CHECK_FALSE(a.poll(0s));
  }
  CHECK(a.take(answer(77, nonce), 0s));
  CHECK(a.hands.session_tag() == session_tag_of(nonce, 77));
}

TEST_CASE("a side that shows no candidate opens no session") {
  end a(1);
  CHECK_FALSE(a.take(answer(77, 1), 0s));
  CHECK_FALSE(a.hands.established());
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  REQUIRE(a.take(answer(77, nonce), 0s));
  // The candidate became the session's: it opens no other one.
  CHECK_FALSE(a.take(answer(78, nonce), 0s));
  CHECK(a.hands.session_tag() == session_tag_of(nonce, 77));
}

TEST_CASE("a hello that answers a nonce of long ago is old") {
  for (timestamp after : {timestamp(nonce_lifetime) - 1ns, timestamp(nonce_lifetime)}) {
    end a(1);
    a.begin(0s);
    std::uint64_t nonce = a.poll_challenge(0s);
    bool in_time = after < timestamp(nonce_lifetime);
    CHECK(a.take(answer(77, nonce), after) == in_time);
    CHECK(a.hands.established() == in_time);
  }
}

TEST_CASE("a nonce that lapsed is shown no more: the next one is new") {
  timestamp later = nonce_lifetime;
  end a(1);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  CHECK(a.poll_challenge(later - 1ns) == nonce);
  std::uint64_t next = a.poll_challenge(a.hands.deadline() + later);
  CHECK(next != nonce);
  // And so in a hello of a side that has a session, or none.
  end b(2);
  b.take({5, {}}, 0s);
  hello_record first = b.poll_hello(0s);
  b.take({5, {}}, later - 1ns);
  CHECK(b.poll_hello(later - 1ns).nonce == first.nonce);
  b.take({5, {}}, later);
  CHECK(b.poll_hello(later).nonce != first.nonce);
  CHECK_FALSE(b.take(answer(77, first.nonce), later));
}

TEST_CASE(
    "a challenge is answered by one hello, and changes nothing else, however often it comes") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  REQUIRE(agree(a, b));
  std::uint64_t tag = a.hands.session_tag();
  hello_record before;
  for (int i = 0; i < 100; ++i) {
    timestamp now = std::chrono::milliseconds(150 * i);
    CHECK_FALSE(a.take({99, {}}, now));
    hello_record h = a.poll_hello(now);
    CHECK(h.echo == 99);
    CHECK_FALSE(h.proven);
    // The same candidate each time: two answers under way are as good as one.
    if (i > 0) CHECK(h.nonce == before.nonce);
    before = h;
    CHECK_FALSE(a.poll(now));
    CHECK(a.hands.session_tag() == tag);
    CHECK(a.hands.deadline() == never);
  }
  CHECK(a.sessions == 1);
  // The last of several that come at once is answered.
  a.take({97, {}}, 1s);
  a.take({98, {}}, 1s);
  CHECK(a.poll_hello(1s).echo == 98);
  CHECK_FALSE(a.poll(1s));
}

TEST_CASE("a challenge with the nonce of the present session is answered by its proof") {
  end a(1);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  REQUIRE(a.take(answer(55, nonce), 0s));
  a.hands.handle_heard();
  a.poll(0s);
  a.take({55, {}}, 1s);
  hello_record h = a.poll_hello(1s);
  CHECK(h.proven);
  CHECK(h.nonce == nonce);
  CHECK(h.echo == 55);
  CHECK_FALSE(a.poll(1h));
}

TEST_CASE("a hello of the present session opens nothing, and is answered unless it is proven") {
  for (bool proven : {false, true}) {
    end a(1);
    a.begin(0s);
    std::uint64_t nonce = a.poll_challenge(0s);
    REQUIRE(a.take(answer(55, nonce, true), 0s));
    CHECK_FALSE(a.poll(1s));
    for (std::uint64_t echo : {nonce, proven ? nonce : nonce + 5}) {
      CHECK_FALSE(a.take(answer(55, echo, proven), 1s));
      std::optional<said> back = a.poll(1s);
      REQUIRE(back.has_value() == !proven);
      if (back) CHECK(back->hello->proven);
    }
    CHECK(a.sessions == 1);
  }
}

TEST_CASE("a proven hello of another session with one nonce of this one contradicts it") {
  // A side answered two challenges with one nonce, and both hellos opened a session.
  end a(1);
  a.begin(0s);
  std::uint64_t lost = a.poll_challenge(0s);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  REQUIRE(a.take(answer(55, nonce), 0s));
  CHECK_FALSE(a.hands.contradicts_session(*answer(55, nonce, true).hello));
  CHECK_FALSE(a.hands.contradicts_session(*answer(55, lost, false).hello));
  CHECK_FALSE(a.hands.contradicts_session(*answer(56, lost, true).hello));
  CHECK_FALSE(a.hands.contradicts_session(*answer(56, nonce, false).hello));
  CHECK(a.hands.contradicts_session(*answer(55, lost, true).hello));
  CHECK(a.hands.contradicts_session(*answer(56, nonce, true).hello));
  // In the next session neither means anything.
  a.begin(1s);
  REQUIRE(a.take(answer(57, a.poll_challenge(1s)), 1s));
  CHECK_FALSE(a.hands.contradicts_session(*answer(55, lost, true).hello));
  CHECK_FALSE(a.hands.contradicts_session(*answer(56, nonce, true).hello));
}

TEST_CASE("a hello that opens a session is answered unless it is proven itself") {
  for (bool proven : {false, true}) {
    end a(1);
    a.begin(0s);
    std::uint64_t nonce = a.poll_challenge(0s);
    REQUIRE(a.take(answer(55, nonce, proven), 0s));
    std::optional<said> back = a.poll(0s);
    REQUIRE(back.has_value() == !proven);
    if (back) CHECK(back->hello->echo == 55);
    CHECK((a.hands.deadline() == never) == proven);
  }
}

TEST_CASE("hellos and challenges of earlier sessions change nothing in the present one") {
  end a(1), b(2);
  std::vector<said> old;
  auto meet = [&](timestamp now) {
    a.begin(now);
    b.begin(now);
    for (int i = 0; i < 8; ++i) {
      std::optional<said> from_a = a.poll(now), from_b = b.poll(now);
      if (from_a) b.take(*from_a, now);
      if (!from_b) continue;
      old.push_back(*from_b);
      a.take(*from_b, now);
    }
    hear(a, b);
    REQUIRE(agree(a, b));
  };
  for (int i = 0; i < 20; ++i) meet(std::chrono::seconds(i));
  std::size_t present = old.size();
  meet(30s);
  std::uint64_t tag = a.hands.session_tag();
  REQUIRE(present > 40);
  for (std::size_t i = 0; i < present; ++i) {
    CHECK_FALSE(a.take(old[i], 31s));
    std::optional<said> back = a.poll(31s);
    CHECK(back.has_value() == (old[i].challenge != 0));
    if (back) CHECK_FALSE(b.take(*back, 31s));
    CHECK_FALSE(b.poll(31s));
  }
  CHECK(agree(a, b));
  CHECK(a.hands.session_tag() == tag);
}

TEST_CASE("the hello of a session that is open goes on under challenges of a stranger") {
  end a(1), b(2);
  a.begin(0s);
  REQUIRE(a.take(answer(55, a.poll_challenge(0s)), 0s));
  a.poll_hello(0s);
  timestamp due = a.hands.deadline();
  a.take({99, {}}, 0s);
  CHECK(a.poll_hello(0s).echo == 99);
  // The proof keeps its own time.
  CHECK(a.hands.deadline() == due);
  CHECK(a.poll_hello(due).echo == 55);
}

TEST_CASE("one side that begins again brings the other into its new session") {
  end a(1), b(2);
  a.begin(0s);
  exchange(a, b, 0s);
  std::uint64_t first = a.hands.session_tag();
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
  std::set<std::uint64_t> tags;
  for (int i = 0; i < 100; ++i) {
    timestamp now = std::chrono::seconds(i);
    (i % 3 == 0 ? a : b).begin(now);
    if (i % 5 == 0) a.begin(now);
    exchange(a, b, now);
    REQUIRE(agree(a, b));
    tags.insert(a.hands.session_tag());
  }
  CHECK(tags.size() == 100);
}

TEST_CASE("a handshake that ended has nothing to send") {
  end a(1);
  a.begin(0s);
  // Not proven on the other side, so it waits for our answer.
  REQUIRE(a.take(answer(55, a.poll_challenge(0s)), 0s));
  a.take({99, {}}, 0s);
  a.hands.end();
  CHECK_FALSE(a.hands.established());
  CHECK_FALSE(a.hands.challenging());
  CHECK(a.hands.session_tag() == 0);
  CHECK(a.hands.agreed().version == 0);
  CHECK(a.hands.deadline() == never);
  CHECK_FALSE(a.poll(1h));
}

TEST_CASE("a hello that answers a challenge of a handshake that ended opens nothing") {
  end a(1);
  a.begin(0s);
  std::uint64_t shown = a.poll_challenge(0s);
  a.hands.end();
  CHECK_FALSE(a.hands.is_fresh(*answer(55, shown).hello, 0s));
  CHECK_FALSE(a.take(answer(55, shown), 0s));
  CHECK_FALSE(a.take(answer(55, shown, true), 0s));
  // The hello that answers a challenge meanwhile shows another nonce.
  a.take({99, {}}, 0s);
  CHECK(a.poll_hello(0s).nonce != shown);
  CHECK_FALSE(a.take(answer(55, shown), 0s));
  CHECK_FALSE(a.hands.established());
}

TEST_CASE("a session that will carry nothing is proven once") {
  end a(1);
  a.begin(0s);
  REQUIRE(a.take(answer(55, a.poll_challenge(0s)), 0s));
  a.hands.answer_once();
  CHECK(a.hands.deadline() == never);
  CHECK(a.poll_hello(0s).proven);
  CHECK_FALSE(a.poll(1h));
  // And not at all if the peer's hello proved it.
  end b(2);
  b.begin(0s);
  REQUIRE(b.take(answer(55, b.poll_challenge(0s), true), 0s));
  b.hands.answer_once();
  CHECK_FALSE(b.poll(1h));
}

TEST_CASE("each nonce is drawn when it is used first, and none is 0") {
  end a(1);
  a.begin(0s);
  CHECK(a.numbers.drawn == 1);
  std::uint64_t nonce = a.poll_challenge(0s);
  CHECK(nonce == a.numbers.last);
  a.begin(1s);
  CHECK(a.numbers.drawn == 2);
  REQUIRE(a.take(answer(55, a.poll_challenge(1s)), 1s));
  a.poll(1s);
  CHECK(a.numbers.drawn == 2);
  a.take({99, {}}, 1s);
  CHECK(a.numbers.drawn == 2);
  a.poll(1s);
  CHECK(a.numbers.drawn == 3);
  a.take({98, {}}, 1s);
  a.poll(1s);
  CHECK(a.numbers.drawn == 3);
  end zero(2);
  zero.numbers.zero = true;
  zero.begin(0s);
  CHECK(zero.poll_challenge(0s) == 1);
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
    // Frames are at most maximum_timeout and its jitter apart; then the way needs a few ms.
    timestamp limit = way.calm_from + settings().maximum_timeout * 5 / 4 * 2;
    while (way.now < limit && !(agree(way.a, way.b) && way.flight.empty())) way.step();
    REQUIRE(agree(way.a, way.b));
  }
}

TEST_CASE("nothing is sent any more once both sides agree and no frame is lost") {
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
      for (const under_way& u : way.flight) {
        all.push_back(u.what.challenge ^ (u.what.hello ? u.what.hello->nonce : 0));
      }
    }
    return all;
  };
  CHECK(trace(5) == trace(5));
  CHECK(trace(5) != trace(6));
}

TEST_CASE("a handshake that begins again for a disagreement waits, and any other does not") {
  end a(1);
  duration wait = settings().initial_timeout;
  a.hands.begin(10s, true);  // the first one
  CHECK(a.hands.deadline() == 10s);
  a.hands.begin(10s, true);
  CHECK(a.hands.deadline() == 10s + wait);
  CHECK_FALSE(a.poll(10s + wait - 1ns));
  a.hands.begin(10s, true);
  CHECK(a.hands.deadline() == 10s + 2 * wait);
  // The peer gets its answer meanwhile.
  a.hands.handle_challenge(66);
  CHECK(a.poll_hello(10s).echo == 66);
  a.poll_challenge(10s + 2 * wait);
  a.hands.begin(1h, true);
  CHECK(a.hands.deadline() == 1h);
  a.hands.begin(1h);
  CHECK(a.hands.deadline() == 1h);
}

TEST_CASE("a session that the peer did not open while a nonce lives will never be its session") {
  end a(1);
  a.begin(0s);
  std::uint64_t nonce = a.poll_challenge(0s);
  CHECK_FALSE(a.hands.unanswered(1h));
  SECTION("it did not prove it, nor was it heard") {
    REQUIRE(a.take(answer(55, nonce), 10s));
    a.poll_hello(10s);
    CHECK_FALSE(a.hands.unanswered(10s + nonce_lifetime - 1ns));
    CHECK(a.hands.unanswered(10s + nonce_lifetime));
    a.hands.handle_heard();
  }
  SECTION("it proved it") { REQUIRE(a.take(answer(55, nonce, true), 10s)); }
  CHECK_FALSE(a.hands.unanswered(1h));
}
