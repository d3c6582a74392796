#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/delivery_context.hpp>
#include <ilm/runtime/bounds.hpp>

#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;

// A store that does not take the messages of some peers: the others go on.

namespace {

using change = ilm::testing::store_faults::change;

const std::error_code too_large = std::make_error_code(std::errc::file_too_large);

/// Refuses what holds a message that begins with "bad".
std::error_code refuse_bad(const change& c) {
  auto is_bad = [](const ilm::stored_message& m) {
    return m.contents.text().substr(0, 3) == "bad";
  };
  bool bad = std::any_of(c.outbox.begin(), c.outbox.end(), is_bad) ||
             std::any_of(c.inbox.begin(), c.inbox.end(), is_bad);
  return bad ? too_large : std::error_code();
}

/// So many peers, each of which sent its first message to "a".
std::vector<peer> make_senders(world& w, std::size_t count) {
  std::vector<peer> all;
  for (const std::string& name : numbered(count, "p")) all.push_back(w.make(name));
  for (peer& p : all) {
    p.start();
    store_all(w, p, "a", {"0"});
  }
  return all;
}

std::size_t count_of(peer& p, ilm::event_kind kind, const std::string& of) {
  std::size_t n = 0;
  for (const event& e : p.events()) n += e.kind == kind && e.peer == of ? 1U : 0U;
  return n;
}

}  // namespace

TEST_CASE("a message that the store refuses holds its own stream, and no other") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  a.watch();
  store_all(w, b, "a", {"0"});
  store_all(w, c, "a", {"0"});
  REQUIRE(w.until([&] { return empty(b) && empty(c); }));

  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad", "2"});
  w.run_for(1s);
  CHECK(all_stored(store_all(w, a, "c", numbered(100))));
  store_all(w, c, "a", numbered(50));
  REQUIRE(w.until([&] { return empty(c) && empty(a); }));
  CHECK(c.app().texts_from("a") == numbered(100));
  CHECK(a.app().texts_from("c").size() == 51);
  CHECK(a.app().texts_from("b") == numbered(1));
  CHECK(count_of(a, ilm::event_kind::store_failed, "b") == 1);
  CHECK(count_of(a, ilm::event_kind::store_failed, "c") == 0);
  CHECK(a.find(ilm::event_kind::store_failed)->error == too_large);

  a.store_faults().refuse = nullptr;
  REQUIRE(w.until([&] { return empty(b); }));
  CHECK(a.app().texts_from("b") == std::vector<std::string>{"0", "bad", "2"});
  CHECK(count_of(a, ilm::event_kind::store_recovered, "b") == 1);
}

TEST_CASE("a send that the store refuses fails alone") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  a.store_faults().refuse = refuse_bad;
  sends to_c = send_all(a, "c", numbered(50));
  sends to_b = send_all(a, "b", {"bad"});
  sends more = send_all(a, "c", {"50", "51"});
  REQUIRE(w.until([&] { return all_done(to_b) && all_done(to_c) && all_done(more); }));
  CHECK(to_b[0]->error == too_large);
  CHECK(all_stored(to_c));
  CHECK(all_stored(more));
  // Nothing of it stays: the next one is not held up.
  CHECK(all_stored(store_all(w, a, "b", {"0"})));
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(1));
  CHECK(c.app().texts() == numbered(52));
}

TEST_CASE("among forty peers, the store refuses five, and the others notice nothing") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  std::vector<peer> others = make_senders(w, 40);
  REQUIRE(w.until([&] { return a.app().consumed.size() == 40; }));
  std::set<std::string> refused{"p0", "p7", "p8", "p23", "p39"};
  a.store_faults().refuse = [&](const change& c) {
    return refused.count(c.peer) != 0 && !c.inbox.empty() ? too_large : std::error_code();
  };
  for (peer& p : others) send_all(p, "a", {"1", "2"});
  auto rest_is_done = [&] {
    for (peer& p : others) {
      if (refused.count(p.name()) == 0 && !empty(p)) return false;
    }
    return true;
  };
  REQUIRE(w.until(rest_is_done));
  for (peer& p : others) {
    bool held = refused.count(p.name()) != 0;
    CHECK(a.app().texts_from(p.name()) == numbered(held ? 1 : 3));
    CHECK(count_of(a, ilm::event_kind::store_failed, p.name()) == (held ? 1U : 0U));
    // A peer that is held back can still be sent to, if the store takes that.
    a.send(p.name(), "hello");
  }
  a.store_faults().refuse = nullptr;
  REQUIRE(w.until([&] { return empty(a) && a.app().consumed.size() == 120; }));
  for (peer& p : others) CHECK(a.app().texts_from(p.name()) == numbered(3));
  for (const std::string& name : refused) {
    CHECK(count_of(a, ilm::event_kind::store_recovered, name) == 1);
  }
}

namespace {

/// "a", and others to which its store said yes once.
struct refused_crowd {
  explicit refused_crowd(std::size_t count) : a(w.make("a")) {
    a.start();
    a.watch();
    others = make_senders(w, count);
    REQUIRE(w.until([&] { return a.app().consumed.size() == count; }));
  }
  /// From now on the store refuses messages from these, each for an error of its own.
  void refuse(std::set<std::string> those) {
    refused = std::move(those);
    a.store_faults().refuse = [this](const change& c) {
      if (refused.count(c.peer) == 0 || c.inbox.empty()) return std::error_code();
      ++tries[c.peer];
      return error_of(c.peer);
    };
  }
  static std::error_code error_of(const std::string& name) {
    return {1000 + std::stoi(name.substr(1)), std::generic_category()};
  }
  bool is_refused(const peer& p) const { return refused.count(p.name()) != 0; }
  void send_from_all(const std::string& text) {
    for (peer& p : others) send_all(p, "a", {text});
  }
  /// Each is refused while the store takes messages to another.
  void hold_one_by_one(const std::string& other) {
    for (peer& p : others) {
      p.send("a", "1");
      w.run_for(1ms);
      store_all(w, a, other, {"hello"});
    }
    REQUIRE(w.until([&] { return rest_is_done(); }, 10s));
  }
  bool rest_is_done() {
    return std::all_of(others.begin(), others.end(),
                       [&](peer& p) { return is_refused(p) || empty(p); });
  }
  void check_events() {
    for (peer& p : others) {
      std::size_t named = 0;
      for (const event& e : a.events()) {
        if (e.kind != ilm::event_kind::store_failed || e.peer != p.name()) continue;
        CHECK(e.error == error_of(p.name()));
        ++named;
      }
      CHECK(named == (is_refused(p) ? 1U : 0U));
    }
  }

  world w;
  peer a;
  std::vector<peer> others;
  std::set<std::string> refused;
  std::map<std::string, int> tries;  ///< how often the store refused it, alone or not
};

/// The names of those of `count` peers that are refused.
template <class Function>
std::set<std::string> refused_of(std::size_t count, Function is_refused) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_refused(i)) names.insert("p" + std::to_string(i));
  }
  return names;
}

}  // namespace

TEST_CASE("whatever share of the peers the store refuses, the others go on, and it names each") {
  auto check = [](std::size_t count, auto is_refused) {
    refused_crowd t(count);
    t.refuse(refused_of(count, is_refused));
    t.send_from_all("1");
    REQUIRE(t.w.until([&] { return t.rest_is_done(); }, 10s));
    t.w.run_for(5s);
    t.check_events();
    t.a.store_faults().refuse = nullptr;
    REQUIRE(t.w.until([&] { return t.a.app().consumed.size() == 2 * count; }));
    for (peer& p : t.others) CHECK(t.a.app().texts_from(p.name()) == numbered(2));
  };
  check(40, [](std::size_t i) { return i % 5 == 0; });
  check(16, [](std::size_t i) { return i != 11; });
  check(41, [](std::size_t i) { return i != 40; });
}

TEST_CASE("a peer's sends are stored soon although the store refuses all others") {
  refused_crowd t(41);
  t.refuse(refused_of(41, [](std::size_t i) { return i != 20; }));
  t.send_from_all("1");
  std::size_t failed = 0;
  for (int i = 0; i < 100; ++i) {
    if (!all_stored(store_all(t.w, t.a, "p20", {"hello"}))) ++failed;
  }
  CHECK(failed <= 4);
  REQUIRE(t.w.until([&] { return t.rest_is_done(); }));
  CHECK(t.others[20].app().consumed.size() == 100 - failed);
}

TEST_CASE("what was not tried is put back, and its sends do not fail with another's error") {
  refused_crowd t(41);
  t.refuse(refused_of(41, [](std::size_t i) { return i % 4 != 0; }));
  t.send_from_all("1");
  sends all;
  for (peer& p : t.others) {
    if (!t.is_refused(p)) all.push_back(t.a.send(p.name(), "hello"));
  }
  REQUIRE(t.w.until([&] { return all_done(all); }, 10s));
  CHECK(all_stored(all));
}

TEST_CASE("each peer that is held back is tried again and again, however many there are") {
  refused_crowd t(45);
  t.refuse(refused_of(45, [](std::size_t i) { return i >= 15; }));
  t.send_from_all("1");
  REQUIRE(t.w.until([&] { return t.rest_is_done(); }, 10s));
  t.w.run_for(10s);
  t.check_events();
  t.tries.clear();
  t.w.run_for(20s);
  // Each two seconds by now: none more often, and none less.
  for (const std::string& name : t.refused) {
    CHECK(t.tries[name] >= 9);
    CHECK(t.tries[name] <= 11);
  }
}

TEST_CASE("those that are held back in a slow store do not hold up the others") {
  refused_crowd t(41);
  t.refuse(refused_of(41, [](std::size_t i) { return i != 20; }));
  t.hold_one_by_one("p20");
  t.w.run_for(10s);
  t.a.store_faults().commit_time = 100ms;  // There is more to try than the store has time for.
  t.w.run_for(10s);
  t.tries.clear();
  for (int i = 0; i < 50; ++i) {
    sends one = send_all(t.a, "p20", {"hello"});
    REQUIRE(t.w.until([&] { return all_done(one); }, 300ms));
    CHECK(all_stored(one));
  }
  t.w.run_for(5s);
  for (const std::string& name : t.refused) CHECK(t.tries[name] >= 2);
}

TEST_CASE("in a slow store the search for what it refuses does not hold up others") {
  refused_crowd t(41);
  peer b = t.w.make("b");
  b.start();
  store_all(t.w, t.a, "b", {"0"});
  t.w.run_for(5s);
  t.refuse(refused_of(41, [](std::size_t i) { return i % 5 == 0; }));
  t.a.store_faults().commit_time = 100ms;
  t.send_from_all("1");
  t.w.run_for(1s);
  int sent = 0;
  for (; !t.rest_is_done(); ++sent) {
    sends one = send_all(t.a, "b", {"hello"});
    REQUIRE(t.w.until([&] { return all_done(one); }, 2300ms));
    CHECK(all_stored(one));
  }
  CHECK(sent > 1);
}

TEST_CASE("a shutdown stores what the store takes, however much it refuses") {
  refused_crowd t(41);
  t.refuse(refused_of(41, [](std::size_t i) { return i % 4 != 0; }));
  t.a.store_faults().commit_time = 10ms;
  t.send_from_all("1");
  t.w.run_for(5ms);
  t.w.run(t.a.shutdown(0s));
  for (peer& p : t.others) {
    std::uint64_t next = t.is_refused(p) ? 2 : 3;
    CHECK(cursors_of(t.w, t.a.disk(), p.name()).inbox.next == next);
  }
}

TEST_CASE("a store that takes nothing is said to fail once, whoever has messages") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  std::vector<peer> others = make_senders(w, 30);
  REQUIRE(w.until([&] { return empty(a); }));
  a.store_faults().commit_error = too_large;
  for (peer& p : others) send_all(p, "a", {"1"});
  std::uint64_t before = a.store_faults().commits;
  w.run_for(1min);
  CHECK(a.count(ilm::event_kind::store_failed) == 1);
  CHECK_FALSE(a.find(ilm::event_kind::store_failed)->peer);
  CHECK(a.store_faults().commits - before < 1000);
  a.store_faults().commit_error = {};
  REQUIRE(w.until([&] { return empty(a); }));
  w.run_for(1min);
  for (peer& p : others) CHECK(a.app().texts_from(p.name()) == numbered(2));
  CHECK(a.count(ilm::event_kind::store_recovered) == 1);
}

TEST_CASE("a store that refuses each second change is told some times, then summed up") {
  // Of one peer, or of the whole store where there is no other change.
  for (bool others : {true, false}) {
    world w;
    peer a = w.make("a"), b = w.make("b"), c = w.make("c");
    for (peer* p : {&a, &b, &c}) p->start();
    a.watch();
    a.store_faults().refuse = refuse_bad;
    for (int i = 0; i < 500; ++i) {
      if (others) send_all(a, "c", {"0"});
      CHECK_FALSE(all_stored(store_all(w, a, "b", {"bad"})));
      CHECK(all_stored(store_all(w, a, "b", {"0"})));
      w.run_for(10ms);
    }
    std::optional<std::string> of;
    if (others) of = "b";
    std::size_t lines = 0;
    for (const event& e : a.events()) {
      bool state =
          e.kind == ilm::event_kind::store_failed || e.kind == ilm::event_kind::store_recovered;
      if (!state) continue;
      CHECK(e.peer == of);
      ++lines;
    }
    CHECK(lines >= ilm::runtime::state_changes_at_once);
    CHECK(lines < 25);
    w.run_for(1min);
    std::size_t failed = a.count(ilm::event_kind::store_failed);
    std::size_t recovered = a.count(ilm::event_kind::store_recovered);
    CHECK(failed + recovered == 1000);
    CHECK(a.events().back().kind == ilm::event_kind::store_recovered);
  }
}

TEST_CASE("what is held back is tried with growing patience, and a send tries it at once") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  store_all(w, b, "a", {"0"});
  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad"});
  store_all(w, a, "c", {"0"});
  w.run_for(1s);
  std::uint64_t before = a.store_faults().commits;
  w.run_for(1min);
  CHECK(a.store_faults().commits - before < 60);
  CHECK(a.store_faults().commits - before > 5);
  sends tried = send_all(a, "b", {"1"});
  REQUIRE(w.until([&] { return all_done(tried); }, 100ms));
  CHECK(tried[0]->error == too_large);
  a.store_faults().refuse = nullptr;
  CHECK(all_stored(store_all(w, a, "b", {"1"})));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }, 1s));
}

namespace {

/// The store of `a` refuses a message of b, whose session then ends, until the next try is half a
/// minute away; c has had a message.
void hold_back_for_long(world& w, peer& a, peer& b, peer& c) {
  for (peer* p : {&a, &b, &c}) p->start();
  store_all(w, b, "a", {"0"});
  REQUIRE(w.until([&] { return empty(b); }));
  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad"});
  w.run_for(1s);
  store_all(w, a, "c", {"0"});
  w.net.disconnect("a", "b");
  w.run_for(5min);
}

}  // namespace

TEST_CASE("what is held back is tried when its time comes, though nothing else happens") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  hold_back_for_long(w, a, b, c);
  b.crash();
  c.crash();
  w.run_for(1s);
  a.store_faults().refuse = nullptr;
  CHECK(w.until([&] { return a.app().texts_from("b").size() == 2; }, 2min));
}

TEST_CASE("what is held back is tried by itself, beside the others") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  hold_back_for_long(w, a, b, c);
  std::uint64_t before = a.store_faults().commits;
  sends to_b = send_all(a, "b", {"1"}), to_c = send_all(a, "c", {"1"});
  REQUIRE(w.until([&] { return all_done(to_b) && all_done(to_c); }, 0s));
  CHECK(a.store_faults().commits - before == 2);
  CHECK(all_stored(to_c));
}

TEST_CASE("a change of a peer that the store did not refuse does not wait for one that it did") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  store_all(w, b, "a", {"0"});
  store_all(w, c, "a", {"0"});
  REQUIRE(w.until([&] { return empty(b) && empty(c); }));
  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad"});
  w.run_for(5min);  // Its next try is half a minute away.
  store_all(w, c, "a", {"1"});
  REQUIRE(w.until([&] { return empty(c); }, 500ms));
  CHECK(a.app().texts_from("c") == numbered(2));
}

TEST_CASE("a shutdown stores what the store takes") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  store_all(w, b, "a", {"0"});
  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad"});
  REQUIRE(all_stored(store_all(w, a, "c", {"0"})));
  a.app().check = [&](const message&) { throw std::runtime_error("later"); };
  store_all(w, c, "a", {"0"});
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 1; }));
  a.app().check = nullptr;
  w.run_for(10s);
  report r = w.run(a.shutdown(1s));
  CHECK(r.unread == 0);
  CHECK(cursors_of(w, a.disk(), "c").inbox.first == 2);
  a.crash();
  w.run_for(0s);
  a.store_faults().refuse = nullptr;
  a.start();
  REQUIRE(w.until([&] { return empty(b) && empty(a); }));
  CHECK(a.app().texts_from("b") == std::vector<std::string>{"0", "bad"});
  CHECK(a.app().texts_from("c") == numbered(1));
}

TEST_CASE("a shutdown tries once more what is held back") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  hold_back_for_long(w, a, b, c);
  store_all(w, a, "c", {"1"});
  w.run_for(1s);
  REQUIRE(a.disk().size(ilm::queue::inbox) == 0);
  a.store_faults().refuse = nullptr;
  report r = w.run(a.shutdown(0s));
  CHECK(r.unread == 1);
  CHECK(a.disk().size(ilm::queue::inbox) == 1);
}

TEST_CASE("a peer that is held back can be forgotten, and the store works again") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  store_all(w, b, "a", {"0"});
  a.store_faults().refuse = refuse_bad;
  store_all(w, b, "a", {"bad"});
  store_all(w, a, "c", {"0"});
  w.run_for(1s);
  auto forget = [](messenger& m) -> asio::awaitable<ilm::forget_report> {
    co_return co_await m.forget("b");
  };
  w.net.disconnect("a", "b");
  w.run(forget(*a));
  CHECK(a.disk().copy().size(ilm::queue::inbox) == 0);
  CHECK(all_stored(store_all(w, a, "c", {"1"})));
  CHECK(all_stored(store_all(w, a, "b", {"0"})));
}

// Messages sent with the consumption of another.

namespace {

using context_type = ilm::delivery_context<std::string>;
using work = std::function<void(const message&, context_type&)>;
using relay_messenger = ilm::messenger<backend, network, work>;

/// A relay "r" between "a" and those that the messages name.
struct relay {
  relay() : a(w.make("a")), b(w.make("b")), c(w.make("c")) {
    for (peer* p : {&a, &b, &c}) p->start();
    start();
  }
  void start() {
    r.emplace(w.context, backend(disk, faults), w.net.join("r"),
              [](const message& m, context_type& context) {
                std::string text(m.text());
                context.send_to(text.substr(0, 1), text.substr(1));
              });
  }

  world w;
  peer a, b, c;
  store disk;
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  std::optional<relay_messenger> r;
};

}  // namespace

TEST_CASE("a message and the consumption that it was sent with are refused together") {
  relay t;
  store_all(t.w, t.a, "r", {"b0", "c0"});
  REQUIRE(t.w.until([&] { return empty(t.a) && t.disk.size(ilm::queue::outbox) == 0; }));
  t.faults->refuse = refuse_bad;
  store_all(t.w, t.a, "r", {"bbad", "c1"});
  store_all(t.w, t.b, "r", {"c2"});
  t.w.run_for(1min);
  // The consumption of the message to b is not stored, and those behind it wait.
  CHECK(cursors_of(t.w, t.disk, "a").inbox.first == 3);
  CHECK(cursors_of(t.w, t.disk, "b").outbox.next == 2);
  CHECK(t.c.app().texts() == numbered(1));

  // A peer that has nothing to do with them goes on.
  store_all(t.w, t.c, "r", {"a0"});
  t.w.run_for(1s);
  t.faults->refuse = nullptr;
  REQUIRE(t.w.until([&] { return empty(t.a) && empty(t.b) && empty(t.c); }));
  t.w.run_for(10s);
  CHECK(t.b.app().texts() == std::vector<std::string>{"0", "bad"});
  std::vector<std::string> at_c = t.c.app().texts();
  std::sort(at_c.begin(), at_c.end());
  CHECK(at_c == numbered(3));
}

TEST_CASE("a peer is forgotten although the commit with a delivery's message to it fails") {
  relay t;
  store_all(t.w, t.a, "r", {"b0"});
  REQUIRE(t.w.until([&] { return t.b.app().consumed.size() == 1; }));
  t.faults->commit_time = 20ms;
  send_all(t.a, "r", {"b1"});
  bool with_store = false, done = false, refused = false;
  t.faults->watch = [&](auto, bool after) {
    with_store = with_store || (!after && t.r->statistics().uncommitted_messages == 1);
  };
  REQUIRE(t.w.until([&] { return with_store; }));
  t.faults->watch = nullptr;
  t.r->forget("b", [&](std::error_code failed, const ilm::forget_report&) {
    CHECK_FALSE(failed);
    done = true;
  });
  t.w.run_for(15ms);
  CHECK_FALSE(done);
  t.faults->refuse = [&](const change& c) {
    bool refuses = c.peer == "b" && !c.outbox.empty();
    refused = refused || refuses;
    return refuses ? too_large : std::error_code();
  };
  REQUIRE(t.w.until([&] { return done; }, 10s));
  CHECK(refused);
  t.faults->refuse = nullptr;
  store_all(t.w, t.a, "r", {"b2"});
  REQUIRE(t.w.until([&] { return empty(t.a) && t.b.app().texts().back() == "2"; }));
}

TEST_CASE("a crash while changes are held back loses and repeats nothing") {
  relay t;
  store_all(t.w, t.a, "r", {"b0"});
  t.faults->refuse = refuse_bad;
  store_all(t.w, t.a, "r", {"bbad", "b2"});
  store_all(t.w, t.c, "r", {"b9"});
  t.w.run_for(10s);
  t.r.reset();
  t.w.run_for(0s);
  t.faults->refuse = nullptr;
  t.start();
  REQUIRE(t.w.until([&] { return empty(t.a) && empty(t.c); }));
  t.w.run_for(10s);
  std::vector<std::string> at_b = t.b.app().texts();
  CHECK(std::count(at_b.begin(), at_b.end(), "9") == 1);
  std::erase(at_b, "9");
  CHECK(at_b == std::vector<std::string>{"0", "bad", "2"});
}

namespace {

/// Takes its time over each message, and passes it on.
struct slow_relay {
  asio::awaitable<void> operator()(message m, context_type& context) {
    std::string text(m.text());
    co_await sleep_for(10s);
    context.send_to(text.substr(0, 1), text.substr(1));
  }
};

}  // namespace

TEST_CASE("a delivery sends nothing if its peer was held back meanwhile, and comes again") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  auto faults = std::make_shared<ilm::testing::store_faults>();
  ilm::messenger<backend, network, slow_relay> r(w.context, backend(store(), faults),
                                                 w.net.join("r"), slow_relay());
  std::vector<std::error_code> failures;
  r.on_event([&](const event& e) {
    if (e.kind == ilm::event_kind::delivery_failed) failures.push_back(e.error);
  });
  faults->refuse = refuse_bad;
  store_all(w, a, "r", {"b0"});
  w.run_for(1s);
  store_all(w, a, "r", {"bad"});
  // The store takes another's.
  store_all(w, c, "r", {"b1"});
  w.run_for(20s);
  CHECK(failures == std::vector<std::error_code>{too_large});
  CHECK(b.app().texts() == std::vector<std::string>{"1"});
  faults->refuse = nullptr;
  REQUIRE(w.until([&] { return empty(a) && b.app().texts().size() == 3; }));
  CHECK(b.app().texts() == std::vector<std::string>{"1", "0", "ad"});
}

namespace {

/// Takes a message in two seconds, or a little more for "b", and ignores its cancellation.
struct deaf {
  asio::awaitable<void> operator()(message m) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await sleep_for(m.from == "b" ? 2050ms : 2000ms);
  }
};
using deaf_messenger = ilm::messenger<backend, network, deaf>;

}  // namespace

TEST_CASE("the last commit after a shutdown has what the store refused just before") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store disk;
  auto faults = std::make_shared<ilm::testing::store_faults>();
  deaf_messenger r(w.context, backend(disk, faults), w.net.join("r"), deaf());
  w.run_for(1s);
  for (peer* p : {&a, &b}) p->send("r", "0");
  w.run_for(1s);
  auto end = [](deaf_messenger& m) -> asio::awaitable<report> {
    co_return co_await m.shutdown(0s);
  };
  REQUIRE(w.run(end(r)).running == 2);
  // What the second call consumed waits while the commit of the first one fails.
  faults->commit_time = 100ms;
  faults->commit_error = too_large;
  int commits = 0;
  faults->watch = [&](auto operation, bool after) {
    bool begins = operation == ilm::testing::store_faults::operation::commit && !after;
    if (begins && ++commits == 2) faults->commit_error = {};
  };
  w.run_for(10s);
  CHECK(commits == 2);
  CHECK(disk.size(ilm::queue::inbox) == 0);
}
