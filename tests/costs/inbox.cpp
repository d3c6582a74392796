#include "costs/steps.hpp"
#include "support/catch.hpp"

#include <ilm/deliveries/inbox.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

using namespace test;

namespace {

using inbox = ilm::inbox<std::string>;
using offers = ilm::detail::offers<std::string>;

/// The steps of one of 100 calls of `each`, beside `count` messages that wait, or that reader 2
/// has.
double steps_beside(std::size_t count, bool taken,
                    const std::function<void(offers&, std::uint64_t)>& each) {
  asio::io_context context;
  using access = ilm::detail::context_access;
  auto names = std::make_shared<ilm::runtime::name_table<std::string>>("b");
  auto staged =
      std::make_shared<ilm::runtime::staged_sends>(std::weak_ptr<ilm::runtime::engine>(), 1000, 1U);
  offers all;
  std::uint64_t id = 0;
  auto add = [&] {
    ++id;
    offers::handler done([](std::error_code) {}, context.get_executor());
    ilm::message<std::string> m("a", id, ilm::bytes("x"));
    auto delivery = access::make(names, false, std::string("a"), staged);
    offers::endings ended;
    all.add(id, m, delivery, done, nullptr, ended);
  };
  for (std::size_t i = 0; i < count; ++i) add();
  if (taken) all.promise(2, count);
  double took = steps_of([&] {
    for (int i = 0; i < 100; ++i) {
      add();
      each(all, id);
    }
  });
  return took / 100;
}

void check_costs_alike(const std::function<void(offers&, std::uint64_t)>& each) {
  bool taken = GENERATE(false, true);
  double few = steps_beside(10, taken, each), many = steps_beside(40'000, taken, each);
  CAPTURE(few, many);
  CHECK(many < 3 * few);  // by the logarithm
}

/// The steps with which one of `count` readers comes, and is cancelled or ends.
double steps_of_a_reader(std::size_t count, bool cancelled) {
  asio::io_context context;
  inbox first;
  std::deque<inbox> readers;
  std::deque<asio::cancellation_signal> signals;
  std::size_t ended = 0;
  double took = steps_of([&] {
    for (std::size_t i = 0; i < count; ++i) {
      auto done = [&](std::error_code e, const auto&) { ended += e ? 1 : 0; };
      readers.emplace_back(first).receive(asio::bind_cancellation_slot(
          signals.emplace_back().slot(), asio::bind_executor(context.get_executor(), done)));
    }
    // The last ones that came go first.
    for (auto s = signals.rbegin(); cancelled && s != signals.rend(); ++s) {
      s->emit(asio::cancellation_type::terminal);
    }
    while (!readers.empty()) readers.pop_back();
  });
  context.run();
  CHECK(ended == count);
  return took / static_cast<double>(count);
}

}  // namespace

TEST_CASE(
    "a message that is received and consumed costs about the same beside 10 others and 40,000") {
  check_costs_alike([](offers& all, std::uint64_t) {
    offers::endings ended;
    REQUIRE(all.give_waiting(1, {}, ended));
    all.consume_all(1, ended);
    ended.post();
  });
}

TEST_CASE("a message that is given back costs about the same beside 10 others and 40,000") {
  check_costs_alike([](offers& all, std::uint64_t) {
    offers::endings ended;
    std::uint64_t ticket = all.promise(1, 1).front();
    REQUIRE(all.give(1, ticket, {}));
    all.release_given(ticket, ended);
  });
}

TEST_CASE(
    "a message that its messenger withdraws costs about the same beside 10 others and 40,000") {
  check_costs_alike([](offers& all, std::uint64_t newest) {
    offers::handler withdrawn = all.withdraw(newest);
    REQUIRE(withdrawn);
    withdrawn(asio::error::operation_aborted);
  });
}

TEST_CASE("a reader that is gone costs about the same beside 10 messages of others and 40,000") {
  check_costs_alike([](offers& all, std::uint64_t) {
    offers::endings ended;
    REQUIRE(all.give_waiting(1, {}, ended));
    all.release_reader(1, ended);
    all.consume_all(3, ended);
    ended.post();
  });
}

TEST_CASE("a reader that waits costs about the same with 10 others and with 40,000") {
  bool cancelled = GENERATE(true, false);
  double few = steps_of_a_reader(10, cancelled), many = steps_of_a_reader(40'000, cancelled);
  CAPTURE(few, many);
  CHECK(many < 3 * few);  // by the logarithm
}
