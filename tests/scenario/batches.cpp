#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

// Several messages that are sent together: the store has all of them or none.

namespace test::batches {
namespace {

using change = ilm::testing::store_faults::change;
using batch = std::vector<std::pair<std::string, std::string>>;
using numbers = std::vector<std::uint64_t>;
using strings = std::vector<std::string>;

struct outcome {
  bool done = false;
  std::error_code error;
  numbers sequences;
};

auto keep(const std::shared_ptr<outcome>& result) {
  return [result](std::error_code error, numbers sequences) {
    REQUIRE_FALSE(result->done);
    result->done = true;
    result->error = error;
    result->sequences = std::move(sequences);
  };
}

std::shared_ptr<outcome> send_batch(peer& from, const batch& messages) {
  auto result = std::make_shared<outcome>();
  (*from).send_batch(messages, keep(result));
  return result;
}

/// Sends one after another, until the last has ended.
std::error_code outcome_of(world& w, peer& from, const batch& messages) {
  auto result = send_batch(from, messages);
  REQUIRE(w.until([&] { return result->done; }));
  CHECK(result->sequences.size() == (result->error ? 0 : messages.size()));
  return result->error;
}

const std::error_code too_large = std::make_error_code(std::errc::file_too_large);

struct scene {
  explicit scene(const ilm::options& o = {}) {
    a.start(o);
    b.start();
    c.start();
    a.watch();
    w.run_for(10ms);
  }

  /// Nothing of a batch that failed is anywhere, and the next one is as the first.
  void expect_none() {
    CHECK(outcome_of(w, a, {{"b", "next"}, {"c", "next"}}) == std::error_code());
    REQUIRE(w.until([&] { return empty(a); }));
    CHECK(b.app().texts() == strings{"next"});
    CHECK(c.app().texts() == strings{"next"});
    CHECK(a.statistics().uncommitted_messages == 0);
    CHECK(a.statistics().uncommitted_bytes == 0);
  }

  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
};

}  // namespace

TEST_CASE_METHOD(scene, "a batch to several peers is one commit, with the sequences in its order") {
  std::uint64_t commits = a.statistics().commits;
  auto alone = a.send("b", "0");
  auto result = send_batch(a, {{"b", "1"}, {"c", "0"}, {"b", "2"}, {"c", "1"}});
  auto behind = a.send("b", "3");
  REQUIRE(w.until([&] { return result->done && alone->done && behind->done; }));
  CHECK_FALSE(result->error);
  CHECK(result->sequences == numbers{2, 1, 3, 2});
  CHECK(behind->sequence == 4);
  CHECK(a.statistics().commits == commits + 1);
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(4));
  CHECK(c.app().texts() == numbered(2));
}

TEST_CASE_METHOD(scene, "an empty batch completes at once, with no sequence and no commit") {
  std::uint64_t commits = a.statistics().commits;
  CHECK(outcome_of(w, a, {}) == std::error_code());
  CHECK(a.statistics().commits == commits);
}

TEST_CASE_METHOD(scene, "a message of a batch may have attributes") {
  ilm::send_options with;
  with.headers = {{"k", "v"}};
  std::vector<std::tuple<std::string, const char*, ilm::send_options>> messages;
  messages.emplace_back("b", "1", with);
  messages.emplace_back("c", "2", ilm::send_options());
  auto result = std::make_shared<outcome>();
  (*a).send_batch(messages, keep(result));
  REQUIRE(w.until([&] { return result->done && empty(a); }));
  REQUIRE(b.app().consumed.size() == 1);
  CHECK(b.app().consumed[0].attributes.header_text("k") == "v");
  CHECK(c.app().texts() == strings{"2"});
}

TEST_CASE_METHOD(scene, "a batch with a message that cannot be sent is not sent") {
  batch bad{{"b", "1"}, {"c", "2"}};
  std::error_code why;
  SECTION("to this side") {
    bad.emplace_back("a", "3");
    why = ilm::error::send_to_self;
  }
  SECTION("to an id that no peer has") {
    bad.emplace_back(std::string(256, 'x'), "3");
    why = ilm::error::invalid_peer_id;
  }
  SECTION("that is too large") {
    bad.emplace_back("b", std::string(ilm::options().maximum_message_size + 1, 'x'));
    why = ilm::error::message_too_large;
  }
  CHECK(outcome_of(w, a, bad) == why);
  expect_none();
}

TEST_CASE("a batch that an outbox has no room for is not sent to anybody") {
  ilm::options o;
  o.outbox_limit = 3;
  scene s(o);
  // d is absent.
  batch full{{"c", "1"}, {"d", "1"}, {"d", "2"}, {"d", "3"}, {"d", "4"}};
  CHECK(outcome_of(s.w, s.a, full) == ilm::error::outbox_full);
  full.pop_back();
  full.erase(full.begin());
  CHECK(outcome_of(s.w, s.a, full) == std::error_code());
  CHECK(outcome_of(s.w, s.a, {{"c", "1"}, {"d", "4"}}) == ilm::error::outbox_full);
  CHECK(outcome_of(s.w, s.a, {{"d", "4"}, {"never met", "1"}}) == ilm::error::outbox_full);
  CHECK(s.a.statistics_of("never met").accepted == 0);
  CHECK(s.a.statistics().peers.size() == 3);
  CHECK(s.w.run(s.a.undelivered("d")) == ilm::sequence_range{1, 3});
  CHECK(s.w.run(s.a.undelivered("c")).empty());
}

TEST_CASE_METHOD(scene, "a batch of which the store refuses one change is not stored") {
  a.store_faults().refuse = [](const change& k) {
    return k.peer == "b" && !k.outbox.empty() ? too_large : std::error_code();
  };
  auto result = send_batch(a, {{"c", "1"}, {"b", "1"}, {"d", "1"}});
  auto other = a.send("d", "2");
  REQUIRE(w.until([&] { return result->done && other->done; }));
  CHECK(result->error == too_large);
  // It went with the batch, as all that was sent to these peers at that moment.
  CHECK(other->error == too_large);
  a.store_faults().refuse = nullptr;
  expect_none();
}

TEST_CASE_METHOD(scene, "a batch beside a peer whose changes the store refuses fails at once") {
  a.store_faults().refuse = [](const change& k) {
    return k.peer == "b" ? too_large : std::error_code();
  };
  store_all(w, b, "a", {"held"});
  REQUIRE(w.until([&] { return a.count(ilm::event_kind::store_failed) > 0; }));
  strings expected;
  SECTION("as the first of it, which shows whose it is") {}
  SECTION("where others go on") {
    CHECK(all_stored(store_all(w, a, "c", {"0"})));
    expected = {"0"};
  }
  auto result = send_batch(a, {{"c", "no"}, {"b", "no"}});
  REQUIRE(w.until([&] { return result->done; }));
  CHECK(result->error == too_large);
  CHECK(all_stored(store_all(w, a, "c", {"1"})));
  expected.push_back("1");
  std::uint64_t commits = a.store_faults().commits;
  CHECK(outcome_of(w, a, {{"c", "no"}, {"b", "no"}}) == too_large);
  CHECK(a.store_faults().commits == commits);
  // By itself it goes as other sends to the peer do.
  CHECK(outcome_of(w, a, {{"b", "1"}, {"b", "2"}}) == too_large);
  CHECK(std::none_of(a.events().begin(), a.events().end(), [](const event& e) {
    return e.kind == ilm::event_kind::store_failed && e.peer == "c";
  }));
  a.store_faults().refuse = nullptr;
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts().empty());
  CHECK(c.app().texts() == expected);
}

TEST_CASE_METHOD(scene, "a batch that waits for the end of a commit fails with a peer in it") {
  a.store_faults().commit_time = 100ms;
  a.store_faults().refuse = [](const change& k) {
    return k.peer == "b" && !k.outbox.empty() ? too_large : std::error_code();
  };
  auto first = a.send("b", "0");
  w.run_for(10ms);
  auto result = send_batch(a, {{"c", "1"}, {"b", "1"}});
  REQUIRE(w.until([&] { return first->done && result->done; }));
  CHECK(first->error == too_large);
  CHECK(result->error == too_large);
  a.store_faults() = {};
  expect_none();
}

TEST_CASE_METHOD(scene, "a batch that begins with a peer just being forgotten is not sent") {
  store_all(w, a, "d", {"0"});
  a.store_faults().commit_time = 100ms;
  (*a).forget("d", [](std::error_code, const ilm::forget_report&) {});
  w.run_for(10ms);
  auto result = send_batch(a, {{"d", "1"}, {"never met", "1"}});
  w.run_for(1ms);
  REQUIRE(result->done);
  CHECK(result->error == ilm::error::peer_forgotten);
  a.store_faults().commit_time = {};
  expect_none();
}

TEST_CASE_METHOD(scene,
                 "batches that keep coming do not tie a peer to one that the store refuses") {
  a.store_faults().commit_time = 1ms;
  a.store_faults().refuse = [](const change& k) {
    return k.peer == "b" ? too_large : std::error_code();
  };
  store_all(w, b, "a", {"held"});
  bool over = false;
  std::size_t refused = 0;
  std::function<void()> again = [&] {
    (*a).send_batch(batch{{"c", "no"}, {"b", "no"}}, [&](std::error_code e, const numbers&) {
      if (e) ++refused;
      if (!over && refused < 10000) again();
    });
  };
  again();
  again();
  w.run_for(5ms);
  auto other = a.send("c", "1");
  store_all(w, c, "a", {"2"});
  CHECK(w.until([&] { return other->done && a.app().texts_from("c") == strings{"2"}; }, 1s));
  w.run_for(1s);
  CHECK(all_stored(store_all(w, a, "c", {"3"})));
  over = true;
  w.run_for(1s);
  CHECK(refused > 0);
  a.store_faults() = {};
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(c.app().texts().back() == "3");
  CHECK(b.app().texts().empty());
}

TEST_CASE("very many batches fail together, and messages of one batch before its last") {
  ilm::options o;
  o.uncommitted_messages = 20000;
  scene s(o);
  s.a.store_faults().commit_time = 10ms;
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  s.a.store_faults().commit_error = full;
  std::vector<std::shared_ptr<outcome>> all;
  auto ended = [&] {
    return std::all_of(all.begin(), all.end(), [](const auto& r) { return r->done; });
  };
  for (int i = 0; i < 5000; ++i) all.push_back(send_batch(s.a, {{"b", "1"}, {"b", "2"}}));
  all.push_back(send_batch(s.a, batch(5000, {"c", "1"})));
  REQUIRE(s.w.until(ended));
  for (const auto& r : all) CHECK(r->error == full);
  s.a.store_faults() = {};
  s.expect_none();
}

TEST_CASE("a batch waits until there is room for all of it, and is withdrawn as a whole") {
  ilm::options o;
  o.uncommitted_messages = 5;
  scene s(o);
  s.a.store_faults().commit_time = 100ms;
  auto before = send_all(s.a, "b", numbered(3));
  auto withdrawn = std::make_shared<outcome>();
  asio::cancellation_signal stop;
  (*s.a).send_batch(batch{{"b", "no"}, {"c", "no"}, {"c", "no"}},
                    asio::bind_cancellation_slot(stop.slot(), keep(withdrawn)));
  auto behind = send_batch(s.a, {{"b", "3"}, {"c", "0"}, {"c", "1"}, {"c", "2"}, {"b", "4"}});
  s.w.run_for(50ms);
  CHECK_FALSE(withdrawn->done);
  stop.emit(asio::cancellation_type::terminal);
  s.w.run_for(1ms);
  REQUIRE(withdrawn->done);
  CHECK(withdrawn->error == asio::error::operation_aborted);
  CHECK_FALSE(behind->done);
  REQUIRE(s.w.until([&] { return behind->done && empty(s.a); }));
  CHECK(behind->sequences == numbers{4, 1, 2, 3, 5});
  CHECK(s.b.app().texts() == numbered(5));
  CHECK(s.c.app().texts() == numbered(3));
}

TEST_CASE("a batch that could never have room fails, and says so") {
  ilm::options o;
  o.maximum_message_size = 1000;
  o.uncommitted_messages = 3;
  o.uncommitted_bytes = 2000;
  scene s(o);
  CHECK(outcome_of(s.w, s.a, {{"b", ""}, {"b", ""}, {"c", ""}, {"c", ""}}) ==
        ilm::error::batch_too_large);
  batch large(2, {"b", std::string(1000, 'x')});
  large.emplace_back("c", "x");
  CHECK(outcome_of(s.w, s.a, large) == ilm::error::batch_too_large);
  large.pop_back();
  CHECK(outcome_of(s.w, s.a, large) == std::error_code());
}

TEST_CASE_METHOD(scene, "a batch is not sent to others where one of its peers is forgotten") {
  a.store_faults().commit_time = 100ms;
  auto first = a.send("b", "0");
  w.run_for(10ms);
  // Behind the commit that is under way.
  auto result = send_batch(a, {{"c", "1"}, {"d", "1"}, {"c", "2"}});
  bool forgotten = false;
  (*a).forget("d", [&](std::error_code failed, const ilm::forget_report& r) {
    forgotten = !failed && r.undelivered == 0;
  });
  w.run_for(10ms);
  CHECK(result->done);
  CHECK(result->error == ilm::error::peer_forgotten);
  REQUIRE(w.until([&] { return first->done && forgotten && empty(a); }));
  CHECK(c.app().texts().empty());
  CHECK(outcome_of(w, a, {{"c", "next"}, {"d", "next"}}) == std::error_code());
}

TEST_CASE("a crash leaves all of a batch in the store or nothing") {
  std::set<std::size_t> left;
  for (auto at = 1ms; at < 120ms; at += 3ms) {
    scene s;
    s.a.store_faults().commit_time = 20ms;
    // Of absent peers, so that all stays.
    auto first = send_batch(s.a, {{"d", "1"}, {"e", "1"}, {"d", "2"}});
    s.w.run_for(5ms);
    auto second = send_batch(s.a, {{"f", "1"}, {"d", "3"}});
    s.w.run_for(at);
    crash(s.w, s.a);
    std::size_t stored = s.a.disk().size(ilm::queue::outbox);
    left.insert(stored);
    if (first->done && !first->error) CHECK(stored >= 3);
    if (second->done && !second->error) CHECK(stored == 5);
  }
  CHECK(left == std::set<std::size_t>{0, 3, 5});
}

TEST_CASE_METHOD(scene, "a batch after a shutdown fails, and one that waits for it is counted") {
  a.store_faults().commit_time = 100ms;
  auto before = send_batch(a, {{"b", "1"}, {"d", "1"}});
  w.run_for(10ms);
  auto report = w.run((*a).shutdown(1s));
  CHECK(before->done);
  CHECK_FALSE(before->error);
  CHECK(report.delivered == 1);
  CHECK(report.undelivered == 1);
  CHECK(outcome_of(w, a, {{"b", "2"}, {"c", "2"}}) == ilm::error::shut_down);
}

}  // namespace test::batches
