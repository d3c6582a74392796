#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/deliveries/inbox.hpp>

#include <asio/bind_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace test;
using ilm::event_kind;
using strings = std::vector<std::string>;

namespace {

struct forgotten {
  std::optional<std::error_code> error;
  ilm::forget_report report;
};

std::shared_ptr<forgotten> forget(peer& of, const std::string& name) {
  auto result = std::make_shared<forgotten>();
  (*of).forget(name, [result](std::error_code failed, ilm::forget_report r) {
    result->error = failed;
    result->report = r;
  });
  return result;
}

/// Of "b", to which there is a message: it waits, for a commit takes a second.
std::shared_ptr<forgotten> forget_behind_a_commit(world& w, peer& a) {
  store_all(w, a, "b", numbered(1));
  a.store_faults().commit_time = 1s;
  send_all(a, "c", {"0"});
  w.run_for(100ms);
  auto f = forget(a, "b");
  w.run_for(100ms);
  REQUIRE_FALSE(f->error);
  return f;
}

std::size_t peers_of(peer& p) { return p.statistics().peers.size(); }

}  // namespace

TEST_CASE("forgetting an absent peer drops its messages, its state and its figures") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  store_all(w, a, "b", numbered(3));
  store_all(w, a, "c", numbered(2));
  auto f = forget(a, "b");
  w.run_for(10ms);
  CHECK(f->error == std::error_code());
  CHECK(f->report.undelivered == 3);
  CHECK(f->report.unread == 0);
  CHECK(a.disk().size(ilm::queue::outbox) == 2);
  CHECK(peers_of(a) == 1);
  CHECK(w.run(a.undelivered("b")).empty());
  REQUIRE(a.count(event_kind::peer_forgotten) == 1);
  CHECK(a.find(event_kind::peer_forgotten)->peer == "b");
  CHECK(a.find(event_kind::peer_forgotten)->outbound == ilm::sequence_range{1, 3});
  CHECK(a.find(event_kind::peer_forgotten)->inbound.empty());
  crash(w, a);
  a.start();
  w.run_for(10ms);
  CHECK(peers_of(a) == 1);
  peer c = w.make("c");
  c.start();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(c.app().texts() == numbered(2));
}

TEST_CASE("forgetting drops what the application has not consumed, and names it") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().check = [](const message&) { throw std::runtime_error("not now"); };
  a.start();
  a.watch();
  b.start();
  store_all(w, b, "a", numbered(4));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 4; }));
  b.crash();
  auto f = forget(a, "b");
  w.run_for(10ms);
  CHECK(f->error == std::error_code());
  CHECK(f->report.unread == 4);
  CHECK(a.disk().size(ilm::queue::inbox) == 0);
  REQUIRE(a.count(event_kind::peer_forgotten) == 1);
  CHECK(a.find(event_kind::peer_forgotten)->inbound == ilm::sequence_range{1, 4});
}

TEST_CASE("forgetting counts unread messages of a former stream, and names those of the present") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().check = [](const message&) { throw std::runtime_error("not now"); };
  a.start();
  a.watch();
  b.start();
  store_all(w, b, "a", numbered(4));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 4; }));
  crash(w, b);
  b.lose_store();
  b.start();
  REQUIRE(w.until([&] { return a.count(event_kind::peer_reset) == 1; }));
  bool sends = GENERATE(false, true);
  if (sends) {
    store_all(w, b, "a", numbered(2));
    REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 6; }));
  }
  auto f = forget(a, "b");
  REQUIRE(w.until([&] { return f->error.has_value(); }));
  CHECK(f->report.unread == (sends ? 6 : 4));
  REQUIRE(w.until([&] { return a.count(event_kind::peer_forgotten) == 1; }));
  CHECK(a.find(event_kind::peer_forgotten)->inbound ==
        (sends ? ilm::sequence_range{1, 2} : ilm::sequence_range()));
}

TEST_CASE("forgetting a peer of whom nothing is known drops nothing, and has no event") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  auto unknown = forget(a, "b"), self = forget(a, "a");
  w.run_for(10ms);
  CHECK(unknown->error == std::error_code());
  CHECK(unknown->report.undelivered == 0);
  CHECK(self->error == std::error_code(ilm::error::send_to_self));
  CHECK(a.events().empty());
}

TEST_CASE("a forgotten peer that comes again is told, and the streams of both go on") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(3));
  store_all(w, b, "a", {"x", "y"});
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  b.crash();
  w.run_for(10ms);
  auto f = forget(a, "b");
  w.run_for(10ms);
  REQUIRE(f->error == std::error_code());
  a.watch();
  w.run_for(10ms);
  a.events().clear();
  b.start();
  b.watch();
  store_all(w, b, "a", {"z"});
  store_all(w, a, "b", {"new"});
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(a.app().texts() == strings{"x", "y", "z"});
  CHECK(b.app().texts() == strings{"0", "1", "2", "new"});
  CHECK(a.count(event_kind::store_lost) == 1);
  CHECK(b.count(event_kind::peer_reset) == 1);
  CHECK(a.count(event_kind::peer_connected) == 1);
  CHECK(b.count(event_kind::peer_connected) == 1);
}

TEST_CASE("messages on their way to one who forgets arrive afterwards") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, b, "a", numbered(3));
  REQUIRE(w.until([&] { return empty(b); }));
  a.crash();
  store_all(w, b, "a", {"3", "4"});
  a.start();
  auto f = forget(a, "b");
  REQUIRE(w.until([&] { return f->error && empty(b); }));
  CHECK(f->error == std::error_code());
  CHECK(a.app().texts() == numbered(5));
}

TEST_CASE("a connected peer that is forgotten is met anew at once") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(3));
  REQUIRE(w.until([&] { return empty(a); }));
  a.watch();
  auto f = forget(a, "b");
  w.run_for(1s);
  CHECK(f->error == std::error_code());
  CHECK(a.count(event_kind::peer_disconnected) == 1);
  CHECK(a.count(event_kind::peer_forgotten) == 1);
  CHECK(a.connected_peers() == strings{"b"});
  store_all(w, a, "b", {"3"});
  store_all(w, b, "a", {"x"});
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(4));
  CHECK(a.app().texts() == strings{"x"});
}

TEST_CASE("what waits for a peer ends when it is forgotten") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(1));
  std::optional<std::error_code> receipt;
  (*a).wait_delivered("b", 1, [&](std::error_code e) { receipt = e; });
  a.store_faults().commit_time = 1s;
  auto with_store = a.send("b", "with the store");
  w.run_for(10ms);
  auto waiting = a.send("b", "next");
  w.run_for(10ms);
  auto f = forget(a, "b"), again = forget(a, "b");
  w.run_for(10ms);
  auto late = a.send("b", "late");
  w.run_for(10ms);
  std::error_code gone = ilm::error::peer_forgotten;
  CHECK(receipt == gone);
  CHECK(waiting->error == gone);
  CHECK(late->error == gone);
  CHECK_FALSE(f->error);
  w.run_for(3s);
  CHECK(with_store->done);
  CHECK(f->error == std::error_code());
  CHECK(again->error == std::error_code());
  CHECK(f->report.undelivered == 2);
  CHECK(a.disk().size(ilm::queue::outbox) == 0);
  a.store_faults().commit_time = 0s;
  CHECK(store_all(w, a, "b", {"anew"})[0]->sequence == 1);
}

TEST_CASE("forgetting cancels a running handler, and waits for it") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().time = 1h;
  a.start();
  a.watch();
  b.start();
  store_all(w, b, "a", numbered(1));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 1; }));
  b.crash();
  w.run_for(10ms);
  auto f = forget(a, "b");
  w.run_for(100ms);
  CHECK(f->error == std::error_code());
  CHECK(f->report.unread == 1);
  CHECK(a.count(event_kind::delivery_failed) == 0);
  CHECK(a.app().consumed.empty());
}

TEST_CASE("forgetting does not wait for the store to know of what was consumed just before") {
  world w;
  peer b = w.make("b");
  ilm::inbox<std::string> box;
  ilm::messenger<backend, network, ilm::inbox<std::string>> a(w.context, backend(store()),
                                                              w.net.join("a"), box);
  b.start();
  store_all(w, b, "a", numbered(1));
  w.run_for(1s);
  b.crash();
  w.run_for(1s);
  REQUIRE(box.try_receive());
  std::vector<std::error_code> ends;
  a.forget("b", [&](std::error_code failed, ilm::forget_report) { ends.push_back(failed); });
  box.consume(asio::bind_executor(w.context, [&](std::error_code e) { ends.push_back(e); }));
  w.run_for(1s);
  REQUIRE(ends.size() == 2);
  CHECK(std::count(ends.begin(), ends.end(), std::error_code()) == 1);
  CHECK(std::count(ends.begin(), ends.end(), ilm::error::peer_forgotten) == 1);
}

TEST_CASE("a wait that begins while its peer is being forgotten ends at once") {
  world w;
  peer a = w.make("a");
  a.start();
  auto f = forget_behind_a_commit(w, a);
  std::optional<std::error_code> ended;
  (*a).wait_delivered("b", 1, [&](std::error_code e) { ended = e; });
  w.run_for(100ms);
  CHECK(ended == make_error_code(ilm::error::peer_forgotten));
  w.run_for(3s);
  CHECK(f->error == std::error_code());
}

TEST_CASE("a store that fails to forget keeps all, and the streams go on") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().time = 10ms;
  a.start();
  a.watch();
  b.start();
  store_all(w, b, "a", numbered(5));
  w.run_for(15ms);
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  a.store_faults().commit_error = full;
  auto f = forget(a, "b");
  w.run_for(100ms);
  REQUIRE(f->error == full);
  CHECK(a.count(event_kind::store_failed) >= 1);
  CHECK(a.statistics().commits_failed > 0);
  a.store_faults().commit_error = {};
  auto s = store_all(w, a, "b", numbered(2));
  CHECK(all_stored(s));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(a.app().texts() == numbered(5));
  CHECK(b.app().texts() == numbered(2));
  CHECK(a.count(event_kind::rolled_back) == 0);
  REQUIRE(a.find(event_kind::store_recovered));
}

TEST_CASE("a peer can be forgotten before the store is open, and not after a shutdown began") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(2));
  crash(w, a);
  a.store_faults().open_time = 1s;
  a.start();
  auto f = forget(a, "b");
  w.run_for(500ms);
  CHECK_FALSE(f->error);
  w.run_for(1s);
  CHECK(f->error == std::error_code());
  CHECK(f->report.undelivered == 2);
  store_all(w, a, "c", numbered(1));
  a.app().time = 0s;
  w.run(a.shutdown(0s));
  auto late = forget(a, "c");
  w.run_for(10ms);
  CHECK(late->error == std::error_code(ilm::error::shut_down));
}

TEST_CASE("a shutdown ends a forgetting that waits, and all is kept") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto s = a.send("b", "0");
  w.run_for(10ms);
  auto f = forget(a, "b");
  w.run_for(10ms);
  CHECK_FALSE(f->error);
  report r = w.run(a.shutdown(5s));
  CHECK(f->error == std::error_code(ilm::error::shut_down));
  CHECK(s->error == std::error_code());
  CHECK(r.delivered + r.undelivered == 1);
}

TEST_CASE("a shutdown leaves a forgetting that the store is at, which ends as the store says") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(2));
  a.store_faults().commit_time = 1s;
  auto f = forget(a, "b");
  w.run_for(500ms);
  REQUIRE_FALSE(f->error);
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  bool fails = GENERATE(false, true);
  if (fails) a.store_faults().commit_error = full;
  w.run(a.shutdown(5s));
  CHECK(f->error == (fails ? full : std::error_code()));
  CHECK(f->report.undelivered == (fails ? 0 : 2));
  CHECK(a.disk().size(ilm::queue::outbox) == (fails ? 2 : 0));
}

TEST_CASE("a forgetting that waits ends with its messenger") {
  world w;
  peer a = w.make("a");
  a.start();
  auto f = forget_behind_a_commit(w, a);
  crash(w, a);
  CHECK(f->error == std::error_code(asio::error::operation_aborted));
  CHECK(a.disk().size(ilm::queue::outbox) == 1);
}

TEST_CASE("a peer whose session has ended is not there any more once it is forgotten") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, b, "a", {"x"});
  REQUIRE(w.until([&] { return empty(b) && empty(a); }));
  b.crash();
  REQUIRE(w.until([&] { return a.connected_peers().empty(); }));
  auto f = forget(a, "b");
  w.run_for(1s);
  CHECK(f->error == std::error_code());
  CHECK(peers_of(a) == 0);
}

namespace {

/// Two peers that send, and forget each other at random moments.
class forgetful_pair {
 public:
  explicit forgetful_pair(unsigned seed) : random_(seed) {
    a.start();
    b.start();
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      if (random_() % 3 != 0) send(a, "b");
      if (random_() % 3 != 0) send(b, "a");
      if (random_() % 10 == 0) forgotten_by_a.push_back(forget(a, "b"));
      if (random_() % 10 == 0) forgotten_by_b.push_back(forget(b, "a"));
      a.app().time = random_() % 4 == 0 ? 3ms : 0ms;
      w.run_for(std::chrono::microseconds(random_() % 3000));
    }
    a.app().time = 0ms;
    REQUIRE(w.until([&] { return empty(a) && empty(b) && ended(); }));
  }

  void send(peer& from, const std::string& to) {
    sends& all = from.name() == "a" ? sent_by_a : sent_by_b;
    all.push_back(from.send(to, from.name() + std::to_string(all.size())));
  }

  /// What is missing was dropped by one of the two, and reported.
  static void check_lost(const sends& all, const std::string& prefix, const strings& consumed,
                         const std::vector<std::shared_ptr<forgotten>>& by_sender,
                         const std::vector<std::shared_ptr<forgotten>>& by_receiver) {
    std::uint64_t lost = 0, dropped = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      auto times = std::count(consumed.begin(), consumed.end(), prefix + std::to_string(i));
      if (all[i]->error) CHECK(times == 0);
      if (!all[i]->error && times == 0) ++lost;
      if (times > 1) CHECK(!by_receiver.empty());
    }
    for (const auto& f : by_sender) dropped += f->report.undelivered;
    for (const auto& f : by_receiver) dropped += f->report.unread;
    CHECK(lost <= dropped);
  }

  world w;
  peer a = w.make("a"), b = w.make("b");
  sends sent_by_a, sent_by_b;
  std::vector<std::shared_ptr<forgotten>> forgotten_by_a, forgotten_by_b;

 private:
  bool ended() const {
    for (const auto* all : {&forgotten_by_a, &forgotten_by_b}) {
      for (const auto& f : *all) {
        if (!f->error) return false;
      }
    }
    return true;
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("peers that forget each other at any moment lose only what was reported, and go on") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    forgetful_pair pair(seed);
    pair.run(60);
    using own = forgetful_pair;
    own::check_lost(pair.sent_by_a, "a", pair.b.app().texts(), pair.forgotten_by_a,
                    pair.forgotten_by_b);
    own::check_lost(pair.sent_by_b, "b", pair.a.app().texts(), pair.forgotten_by_b,
                    pair.forgotten_by_a);
    pair.a.app().consumed.clear();
    pair.b.app().consumed.clear();
    REQUIRE(all_stored(store_all(pair.w, pair.a, "b", numbered(5))));
    REQUIRE(all_stored(store_all(pair.w, pair.b, "a", numbered(5))));
    REQUIRE(pair.w.until([&] { return empty(pair.a) && empty(pair.b); }));
    CHECK(pair.b.app().texts() == numbered(5));
    CHECK(pair.a.app().texts() == numbered(5));
  }
}

TEST_CASE("sends that wait for room go on when a peer is forgotten whose sends took it") {
  world w;
  peer a = w.make("a");
  ilm::options narrow;
  narrow.uncommitted_messages = 3;
  a.start(narrow);
  store_all(w, a, "b", numbered(1));
  a.store_faults().commit_time = 1s;
  a.send("b", "with the store");
  w.run_for(10ms);
  sends ended = send_all(a, "b", {"1", "2"});
  auto waiting = a.send("c", "0");
  w.run_for(10ms);
  REQUIRE(a.statistics().uncommitted_messages == 3);
  auto f = forget(a, "b");
  w.run_for(10ms);
  REQUIRE(all_done(ended));
  auto next = a.try_send("c", "1");
  w.run_for(10ms);
  REQUIRE_FALSE(f->error);
  CHECK(next->error == std::error_code());
  w.run_for(5s);
  CHECK((waiting->done && next->done));
  CHECK(waiting->error == std::error_code());
}

TEST_CASE("a store that failed to forget a peer tells that it has recovered for it") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  store_all(w, a, "b", numbered(1));
  a.store_faults().commit_error = std::make_error_code(std::errc::no_space_on_device);
  auto f = forget(a, "b");
  w.run_for(100ms);
  REQUIRE(f->error);
  REQUIRE(a.count(event_kind::store_failed) == 1);
  CHECK(a.find(event_kind::store_failed)->peer == "b");
  a.store_faults().commit_error = {};
  CHECK(all_stored(store_all(w, a, "b", {"1"})));
  w.run_for(10ms);
  REQUIRE(a.count(event_kind::store_recovered) == 1);
  CHECK(a.find(event_kind::store_recovered)->peer == "b");
}
