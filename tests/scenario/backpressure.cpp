#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

using namespace test;

// Sends that wait for the store are bounded, and can be withdrawn.

namespace {

ilm::options narrow() {
  ilm::options o;
  o.uncommitted_messages = 5;
  return o;
}

auto keep(const std::shared_ptr<sent>& result) {
  return [result](std::error_code error, std::uint64_t sequence) {
    result->done = true;
    result->error = error;
    result->sequence = sequence;
  };
}

}  // namespace

TEST_CASE("a send waits while too much waits for the store, and keeps its place") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start(narrow());
  b.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto sent = send_all(a, "b", numbered(12));
  w.run_for(50ms);
  CHECK(a.statistics().uncommitted_messages == 5);
  CHECK_FALSE(sent[0]->done);
  w.run_for(2s);
  CHECK(all_stored(sent));
  for (std::size_t i = 0; i < sent.size(); ++i) CHECK(sent[i]->sequence == i + 1);
  CHECK(a.statistics().uncommitted_messages == 0);
  CHECK(b.app().texts() == numbered(12));
}

TEST_CASE("try_send_to fails with would_block where send_to waits") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start(narrow());
  b.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto waiting = send_all(a, "b", numbered(5));
  auto refused = a.try_send("b", "no");
  w.run_for(10ms);
  REQUIRE(refused->done);
  CHECK(refused->error == ilm::error::would_block);
  CHECK(refused->error == std::errc::resource_unavailable_try_again);
  w.run_for(1s);
  CHECK(all_stored(waiting));
  auto accepted = a.try_send("b", "5");
  w.run_for(1s);
  CHECK(accepted->done);
  CHECK_FALSE(accepted->error);
  CHECK(b.app().texts() == numbered(6));
}

TEST_CASE("the bytes that wait for the store are bounded too") {
  world w;
  peer a = w.make("a");
  ilm::options o;
  o.maximum_message_size = 1000;
  o.uncommitted_bytes = 2500;
  a.start(o);
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto sent = send_all(a, "b", std::vector<std::string>(5, std::string(1000, 'x')));
  w.run_for(50ms);
  CHECK(a.statistics().uncommitted_bytes == 2000);
  w.run_for(1s);
  CHECK(all_stored(sent));
}

TEST_CASE("a full outbox refuses sends, and accepts them when there is room: full is not dead") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options limited;
  limited.outbox_limit = 10;
  a.start(limited);
  auto sent = store_all(w, a, "b", numbered(12));
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(sent[i]->error == (i < 10 ? std::error_code() : ilm::error::outbox_full));
  }
  CHECK(sent[10]->error == std::errc::no_buffer_space);
  CHECK(all_stored(store_all(w, a, "c", {"another peer has room"})));
  b.start();
  REQUIRE(w.until([&] { return b.app().consumed.size() == 10; }));
  w.run_for(1s);
  CHECK(all_stored(store_all(w, a, "b", {"10"})));
  w.run_for(1s);
  CHECK(b.app().texts() == numbered(11));
}

TEST_CASE("cancelling a send that waits withdraws it, and it alone") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start(narrow());
  b.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto first = send_all(a, "b", numbered(6));
  asio::cancellation_signal signal;
  auto cancelled = std::make_shared<sent>();
  (*a).send_to("b", std::string("withdrawn"),
               asio::bind_cancellation_slot(signal.slot(), keep(cancelled)));
  auto last = a.send("b", "6");
  w.run_for(10ms);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(10ms);
  CHECK(cancelled->done);
  CHECK(cancelled->error == asio::error::operation_aborted);
  CHECK_FALSE(last->done);
  w.run_for(5s);
  CHECK(all_stored(first));
  CHECK(last->sequence == 7);
  CHECK(b.app().texts() == numbered(7));
}

TEST_CASE("cancelling a send that is with the store leaves the store's answer") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  asio::cancellation_signal signal;
  auto stored = std::make_shared<sent>();
  (*a).send_to("b", std::string("0"), asio::bind_cancellation_slot(signal.slot(), keep(stored)));
  w.run_for(10ms);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(10ms);
  CHECK_FALSE(stored->done);
  w.run_for(1s);
  CHECK_FALSE(stored->error);
  CHECK(stored->sequence == 1);
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("cancelling next_event ends the wait and loses no event") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  w.run_for(10ms);
  asio::cancellation_signal signal;
  std::error_code ended;
  (*a).next_event(asio::bind_cancellation_slot(
      signal.slot(), [&](std::error_code failed, const event&) { ended = failed; }));
  w.run_for(10ms);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(10ms);
  CHECK(ended == asio::error::operation_aborted);
  b.start();
  w.run_for(1s);
  a.watch();
  w.run_for(10ms);
  CHECK(a.count(ilm::event_kind::peer_connected) == 1);
}

TEST_CASE("cancelling a wait for a receipt ends the wait and nothing else") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  store_all(w, a, "b", numbered(1));
  asio::cancellation_signal signal;
  std::error_code ended;
  bool other = false;
  (*a).wait_delivered(
      "b", 1,
      asio::bind_cancellation_slot(signal.slot(), [&](std::error_code failed) { ended = failed; }));
  (*a).wait_delivered("b", 1, [&](std::error_code failed) { other = !failed; });
  w.run_for(10ms);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(10ms);
  CHECK(ended == asio::error::operation_aborted);
  CHECK_FALSE(other);
  b.start();
  w.run_for(1s);
  CHECK(other);
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("sends that wait when the messenger is destroyed fail") {
  world w;
  peer a = w.make("a");
  a.start(narrow());
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  auto sent = send_all(a, "b", numbered(20));
  w.run_for(10ms);
  a.crash();
  w.run_for(1ms);
  for (const auto& s : sent) {
    CHECK(s->done);
    CHECK(s->error == asio::error::operation_aborted);
  }
}
