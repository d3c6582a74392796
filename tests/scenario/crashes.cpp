#include "support/catch.hpp"
#include "support/steps.hpp"

#include <algorithm>
#include <functional>
#include <iterator>

using namespace test;
using operation = ilm::testing::store_faults::operation;

// Two peers send to each other; one of them crashes at its k-th operation on the store, before or
// after the operation had its effect. For every k there is.

namespace {

/// What must hold of the messages from one peer at the application of the other.
class ledger {
 public:
  void add(const std::string& text, std::shared_ptr<sent> s) {
    texts_.push_back(text);
    sends_.push_back(std::move(s));
  }

  /// Everything stored arrives, in order and once, except that the crash may have taken the
  /// application back to the first message that it took and that was not recorded.
  void check(const std::vector<std::string>& taken, std::uint64_t recorded) const {
    std::vector<std::size_t> order;
    for (const std::string& t : taken) {
      auto at = std::find(texts_.begin(), texts_.end(), t);
      REQUIRE(at != texts_.end());
      order.push_back(static_cast<std::size_t>(at - texts_.begin()));
    }
    auto repeats = std::adjacent_find(order.begin(), order.end(), std::greater_equal<>());
    if (repeats != order.end()) {
      REQUIRE(recorded < order.size());
      auto first = order.begin() + static_cast<std::ptrdiff_t>(recorded);
      CHECK(*std::next(repeats) == *first);
      order.erase(first, std::next(repeats));
    }
    CHECK(std::adjacent_find(order.begin(), order.end(), std::greater_equal<>()) == order.end());
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      INFO("message " << texts_[i]);
      bool stored = sends_[i]->done && !sends_[i]->error;
      if (stored) CHECK(std::binary_search(order.begin(), order.end(), i));
    }
  }

 private:
  std::vector<std::string> texts_;
  sends sends_;
};

struct crash_at {
  bool sender;
  bool after;
  int operation;
};

/// True if the crash happened.
bool survives(crash_at when, bool slow_store) {
  world w;
  peer a = w.make("a"), b = w.make("b");
  peer& victim = when.sender ? a : b;
  if (slow_store) {
    a.store_faults().commit_time = 2ms;
    b.store_faults().commit_time = 3ms;
  }
  int operations = 0;
  bool crashed = false;
  victim.store_faults().watch = [&](operation, bool after) {
    if (crashed || after != when.after || ++operations != when.operation) return;
    crashed = true;
    victim.crash();
    // Nothing of the operation, or nothing after it.
    throw std::system_error(std::make_error_code(std::errc::interrupted));
  };
  ledger to_b, to_a;
  auto say = [&](const std::string& text) {
    if (a.running()) to_b.add(text, a.send("b", text));
    if (b.running()) to_a.add(text, b.send("a", text));
  };
  std::uint64_t recorded = 0;
  auto restart = [&] {
    w.run_for(10ms);
    recorded = cursors_of(w, victim.disk(), when.sender ? "b" : "a").delivered();
    victim.start();
  };
  auto down = [&] { return crashed && !victim.running(); };
  a.start();
  b.start();
  for (int i = 0; i < 12; ++i) {
    say(std::to_string(i));
    if (i % 3 == 0) w.run_for(7ms);
    if (down()) restart();
  }
  bool finished = false;
  for (const char* last : {"last", "very last"}) {
    say(last);
    w.until([&] {
      finished = !a.app().taken.empty() && a.app().taken.back().text() == last &&
                 !b.app().taken.empty() && b.app().taken.back().text() == last && empty(a) &&
                 empty(b);
      return finished || down();
    });
    if (finished) break;
    if (down()) restart();
  }
  CHECK(finished);
  // The side that did not crash has recorded all that it took.
  to_b.check(b.app().texts(), when.sender ? b.app().taken.size() : recorded);
  to_a.check(a.app().texts(), when.sender ? recorded : a.app().taken.size());
  return crashed;
}

void survives_at_every_operation(bool sender, bool slow_store) {
  for (bool after : {false, true}) {
    int k = 1;
    for (;; ++k) {
      INFO("operation " << k << (after ? " after" : " before"));
      if (!survives(crash_at{sender, after, k}, slow_store)) break;
      REQUIRE(k < 1000);
    }
    CHECK(k > 5);
  }
}

}  // namespace

TEST_CASE("a crash of one side between any two backend operations loses nothing") {
  survives_at_every_operation(true, false);
}
TEST_CASE("a crash of the other side between any two backend operations loses nothing") {
  survives_at_every_operation(false, false);
}
TEST_CASE("a crash of one side amid slow backend operations loses nothing") {
  survives_at_every_operation(true, true);
}
TEST_CASE("a crash of the other side amid slow backend operations loses nothing") {
  survives_at_every_operation(false, true);
}

TEST_CASE("a crash after the application took a message repeats that one alone, if any") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  bool crashed = false;
  b.app().check = [&](const message& m) {
    if (m.text() == "5" && !std::exchange(crashed, true)) b.crash();
  };
  send_all(a, "b", numbered(10));
  w.run_for(1s);
  CHECK_FALSE(b.running());
  std::uint64_t recorded = cursors_of(w, b.disk(), "a").delivered();
  std::size_t taken = b.app().taken.size();
  REQUIRE(recorded <= taken);
  b.start();
  REQUIRE(w.until([&] { return empty(a); }));
  std::vector<std::string> expected = numbered(taken);
  for (std::size_t i = recorded; i < 10; ++i) expected.push_back(std::to_string(i));
  CHECK(b.app().texts() == expected);
}

TEST_CASE("destroying a messenger ends it at once, and the store is free for the next") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().time = 10ms;
  store_all(w, a, "b", numbered(20));
  w.run_for(55ms);
  std::size_t taken = b.app().taken.size();
  REQUIRE(taken > 2);
  REQUIRE(taken < 10);
  crash(w, b);
  CHECK_NOTHROW(w.run(open_store(b.disk())));
  w.run_for(1min);
  CHECK(b.app().taken.size() <= taken + 1);
  CHECK(a.connected_peers().empty());
}

TEST_CASE("a messenger that was destroyed does not receive beside its successor") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  for (int i = 0; i < 50; ++i) {
    store_all(w, a, "b", {std::to_string(i)});
    if (i % 5 == 4) {
      w.run_for(50ms);
      b.restart();
    }
  }
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(50));
}

TEST_CASE("a send that was with the store when the messenger went is stored or not, never half") {
  for (auto wait : {0ms, 1ms, 2ms, 3ms, 5ms}) {
    world w;
    peer a = w.make("a"), b = w.make("b");
    a.store_faults().commit_time = 2ms;
    a.start();
    b.start();
    w.run_for(10ms);
    auto sent = send_all(a, "b", numbered(5));
    w.run_for(wait);
    crash(w, a);
    w.run_for(10ms);
    CHECK(all_done(sent));
    std::size_t stored = a.disk().size(ilm::box::outbox) + b.app().taken.size();
    for (const auto& s : sent) {
      if (s->error) {
        CHECK(s->error == asio::error::operation_aborted);
      } else {
        CHECK(stored > 0);
      }
    }
    a.start();
    w.run_for(1s);
    CHECK(empty(a));
    if (!sent[0]->error || !b.app().taken.empty()) CHECK(b.app().texts() == numbered(5));
  }
}
