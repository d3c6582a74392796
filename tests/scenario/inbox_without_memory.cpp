#include "support/catch.hpp"
#include "support/poor_executor.hpp"
#include "support/steps.hpp"

#include <ilm/deliveries/inbox.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;

// Handlers of an inbox that no executor has memory for, now and then: none is lost, and what was
// meant for them comes again.

namespace {

using inbox = ilm::inbox<std::string>;
using received = ilm::received<std::string>;
using reading_messenger = ilm::messenger<backend, network, inbox>;

/// An executor of which the next `refusals` calls find no memory.
struct poor_side {
  explicit poor_side(asio::io_context& c) : executor(c.get_executor(), refusals) {}

  void refuse(int count) { *refusals = count; }
  bool refused_all() const { return *refusals == 0; }

  std::shared_ptr<int> refusals = std::make_shared<int>(0);
  test::poor_executor executor;
};

/// Reads with handlers on a poor executor.
class poor_reader {
 public:
  poor_reader(inbox from, const poor_side& s) : from_(std::move(from)), side_(&s) {}

  void receive() {
    auto done = [this](std::error_code e, received m) {
      ends.push_back(e);
      if (!e) texts.emplace_back(m.text());
    };
    from_.receive(
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(side_->executor, done)));
  }

  asio::cancellation_signal signal;
  std::vector<std::error_code> ends;
  std::vector<std::string> texts;

 private:
  inbox from_;
  const poor_side* side_;
};

/// Messages that the test offers in a messenger's place, and readers, each on a side of its own.
struct two_poor_sides {
  /// Offers a message, and notes how that ends.
  void offer(const std::string& text) {
    asio::co_spawn(sender.executor, deliver({"a", ++count, ilm::bytes(text)}),
                   [this](const std::exception_ptr& e) { offers.push_back(code_of(e)); });
    run();
  }
  void run() {
    context.restart();
    context.poll();
  }

  asio::io_context context;
  poor_side sender{context}, side{context};
  inbox box;
  std::uint64_t count = 0;
  std::vector<std::error_code> offers;  ///< their results, in the order of their ends

 private:
  asio::awaitable<void> deliver(ilm::message<std::string> m) {
    using access = ilm::detail::context_access;
    auto staged = std::make_shared<ilm::runtime::staged_sends>(
        std::weak_ptr<ilm::runtime::engine>(), 1000, 1U);
    auto names = std::make_shared<ilm::runtime::name_table<std::string>>("b");
    auto c = access::make(std::move(names), false, m.from, std::move(staged));
    co_await box(std::move(m), c);
  }
  static std::error_code code_of(const std::exception_ptr& e) {
    try {
      if (e) std::rethrow_exception(e);
    } catch (const std::system_error& failed) {
      return failed.code();
    }
    return {};
  }
};

using codes = std::vector<std::error_code>;
using texts = std::vector<std::string>;

const std::error_code no_memory = std::make_error_code(std::errc::not_enough_memory);
const std::error_code cancelled = asio::error::operation_aborted;

}  // namespace

TEST_CASE(
    "a reader whose handler finds no memory has each message once, in order, at a later try") {
  int refusals = GENERATE(1, 3);
  world w;
  peer a = w.make("a");
  a.start();
  inbox box;
  reading_messenger b(w.context, backend(store()), w.net.join("b"), box);
  store_all(w, a, "b", numbered(5));
  poor_side side(w.context);
  poor_reader reader(box, side);
  for (std::size_t i = 1; i <= 5; ++i) {
    CAPTURE(i);
    side.refuse(refusals);
    reader.receive();
    w.run_for(20s);
    REQUIRE(side.refused_all());
    REQUIRE(reader.texts.size() == i);
  }
  CHECK(reader.texts == numbered(5));
  CHECK(reader.ends == codes(5));
  CHECK(a.disk().size(ilm::queue::outbox) == 1);  // the one that the reader has
}

TEST_CASE_METHOD(two_poor_sides, "a message for a reader without memory goes to the next reader") {
  poor_side rich(context);
  poor_reader poor(box, side), other(box, rich);
  poor.receive();
  other.receive();
  side.refuse(1);
  offer("1");
  CHECK(poor.ends.empty());
  CHECK(other.texts == texts{"1"});
  CHECK(offers.empty());
  offer("2");
  CHECK(poor.texts == texts{"2"});
}

TEST_CASE_METHOD(
    two_poor_sides,
    "a message that no reader has memory for goes back to its messenger, which says so") {
  constexpr int readers = 20'000;
  std::vector<std::unique_ptr<poor_reader>> all;
  for (int i = 0; i < readers; ++i) {
    all.push_back(std::make_unique<poor_reader>(box, side));
    all.back()->receive();
  }
  side.refuse(readers);
  offer("1");
  CHECK(side.refused_all());
  CHECK(offers == codes{no_memory});
  offer("1");
  CHECK(all.front()->texts == texts{"1"});
  CHECK(all.back()->ends.empty());
  box.close();
  run();
  CHECK(all.back()->ends == codes{ilm::error::inbox_closed});
}

TEST_CASE_METHOD(two_poor_sides, "a reader that comes without memory for a message waits for it") {
  offer("1");
  offer("2");
  poor_reader reader(box, side);
  side.refuse(1);
  reader.receive();
  run();
  CHECK(reader.ends.empty());
  CHECK(offers == codes{no_memory});
  offer("1");
  CHECK(reader.texts == texts{"2"});
}

TEST_CASE_METHOD(two_poor_sides,
                 "a consumption that its messenger has no memory for is told later") {
  offer("1");
  poor_reader reader(box, side);
  reader.receive();
  run();
  REQUIRE(reader.texts == texts{"1"});
  sender.refuse(1);
  reader.receive();
  run();
  CHECK(sender.refused_all());
  CHECK(offers.empty());
  offer("2");
  CHECK(offers == codes{{}});
  CHECK(reader.texts == texts{"1", "2"});
}

TEST_CASE_METHOD(two_poor_sides,
                 "a cancelled reader without memory hears of it with the next call") {
  poor_reader reader(box, side), next(box, side);
  reader.receive();
  side.refuse(1);
  reader.signal.emit(asio::cancellation_type::terminal);
  run();
  CHECK(reader.ends.empty());
  next.receive();
  run();
  CHECK(reader.ends == codes{cancelled});
  CHECK(next.ends.empty());
}

TEST_CASE_METHOD(two_poor_sides, "a closed inbox tells readers without memory with the next call") {
  poor_reader first(box, side), second(box, side);
  first.receive();
  second.receive();
  side.refuse(1);
  box.close();
  run();
  CHECK(first.ends.size() + second.ends.size() == 1);
  CHECK(!box.try_receive());
  run();
  CHECK(first.ends == codes{ilm::error::inbox_closed});
  CHECK(second.ends == codes{ilm::error::inbox_closed});
}

TEST_CASE("what an inbox could not tell a context that has ended is not told it") {
  inbox box;
  std::weak_ptr<int> readers, messengers;
  {
    two_poor_sides ending;
    ending.box = box;
    readers = ending.side.refusals;
    messengers = ending.sender.refusals;
    poor_reader reader(ending.box, ending.side);
    ending.offer("1");
    reader.receive();
    ending.run();
    REQUIRE(reader.texts == texts{"1"});
    ending.sender.refuse(1);
    reader.receive();  // consumes the first
    ending.side.refuse(1);
    box.close();
    ending.run();
    REQUIRE(reader.ends.size() == 1);
    REQUIRE(ending.sender.refused_all());
    *readers.lock() = *messengers.lock() = 0;
  }
  CHECK(readers.expired());
  CHECK(messengers.expired());
  CHECK(!box.try_receive());
}
