#include "support/as_size.hpp"
#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/deliveries/inbox.hpp>
#include <ilm/protocol/random.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;

// Each message that is offered to an inbox ends once, and only one that its messenger still waits
// for is given. The messenger's part is played by the test.

namespace {

using inbox = ilm::inbox<std::string>;
using received = ilm::received<std::string>;

/// A delivery whose end a messenger waits for.
struct delivery {
  asio::cancellation_signal withdrawing;
  std::shared_ptr<ilm::runtime::staged_sends> staged =
      std::make_shared<ilm::runtime::staged_sends>(std::weak_ptr<ilm::runtime::engine>(), 1000, 1U);
  std::vector<std::error_code> ends;  ///< one, in the end

  bool open() const { return ends.empty(); }
  bool consumed() const { return ends == std::vector<std::error_code>{{}}; }
  bool refused() const { return ends == std::vector<std::error_code>{ilm::error::inbox_closed}; }
  void withdraw() { withdrawing.emit(asio::cancellation_type::terminal); }
};

std::error_code code_of(const std::exception_ptr& e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const std::system_error& failed) {
    return failed.code();
  }
  return {};
}

/// Several messengers that share a context, which offer messages whose text is their number.
class messengers {
 public:
  explicit messengers(asio::io_context& c) : context_(&c) {}

  std::shared_ptr<delivery> offer(inbox& to) {
    auto d = std::make_shared<delivery>();
    std::string number = std::to_string(count_++);
    asio::co_spawn(
        *context_, deliver(&to, {"a", count_, ilm::bytes(number)}, d),
        asio::bind_cancellation_slot(d->withdrawing.slot(), [d](const std::exception_ptr& e) {
          d->ends.push_back(code_of(e));
          d->staged->end();
          for (auto& told : d->staged->take_waiting()) told(d->ends.back());
        }));
    context_->restart();
    context_->poll();
    return d;
  }

 private:
  static asio::awaitable<void> deliver(inbox* to, ilm::message<std::string> m,
                                       std::shared_ptr<delivery> d) {
    using access = ilm::detail::context_access;
    auto names = std::make_shared<ilm::runtime::name_table<std::string>>("b");
    auto context = access::make(std::move(names), false, m.from, d->staged);
    co_await (*to)(std::move(m), context);
  }

  asio::io_context* context_;
  std::uint64_t count_ = 0;
};

/// An inbox that one messenger and two readers use.
struct fixture {
  std::shared_ptr<delivery> offer() { return sender.offer(box); }
  void run() {
    context.restart();
    context.poll();
  }
  /// Starts to receive with a handler that runs in `elsewhere`.
  void receive(inbox& from) {
    from.receive(asio::bind_executor(elsewhere, [this](std::error_code e, received m) {
      if (!e) given = std::move(m);
    }));
  }
  std::error_code consume(inbox& from) {
    std::optional<std::error_code> result;
    from.consume(asio::bind_executor(context, [&](std::error_code e) { result = e; }));
    run();
    REQUIRE(result);
    return *result;
  }
  std::error_code consume(inbox& from, const received& m) {
    std::optional<std::error_code> result;
    from.consume(m, asio::bind_executor(context, [&](std::error_code e) { result = e; }));
    run();
    REQUIRE(result);
    return *result;
  }

  asio::io_context context;
  asio::io_context elsewhere;
  inbox box;
  messengers sender{context};
  std::optional<received> given;
};

void throw_with(std::optional<received>& m) {
  try {
    received destroyed = std::move(*m);
    m.reset();
    throw std::runtime_error("no work today");
  } catch (const std::runtime_error&) {
  }
}

}  // namespace

TEST_CASE("a promised message that its messenger withdrew is given to nobody else") {
  fixture f;
  auto first = std::make_unique<inbox>(f.box);
  f.receive(*first);
  auto d = f.offer();
  d->withdraw();
  f.run();
  CHECK(d->ends == std::vector<std::error_code>{asio::error::operation_aborted});
  first.reset();
  CHECK_FALSE(f.box.try_receive());
  CHECK_FALSE(f.box.try_receive());
  f.elsewhere.poll();
  CHECK_FALSE(f.given);
}

TEST_CASE("a promised message may be withdrawn twice") {
  fixture f;
  f.receive(f.box);
  auto d = f.offer();
  d->withdraw();
  d->withdraw();
  f.run();
  CHECK(d->ends.size() == 1);
  f.elsewhere.poll();
  CHECK(f.given);
  CHECK(f.consume(f.box) == ilm::error::message_returned);
}

TEST_CASE("consume of several messages says that one of them comes again") {
  fixture f;
  auto first = f.offer(), second = f.offer();
  std::vector<received> all;
  f.box.receive_some(
      9, asio::bind_executor(f.context, [&](std::error_code, auto given) { all = given; }));
  f.run();
  REQUIRE(all.size() == 2);
  first->withdraw();
  f.run();
  CHECK(f.consume(f.box) == ilm::error::message_returned);
  CHECK(second->consumed());
  CHECK(f.consume(f.box) == std::error_code());
}

TEST_CASE("a reader cannot consume a message that another one has") {
  fixture f;
  inbox other = f.box;
  auto d = f.offer();
  auto m = f.box.try_receive();
  REQUIRE(m);
  CHECK(f.consume(other, *m) == ilm::error::message_returned);
  CHECK(d->open());
  CHECK(f.consume(f.box, *m) == std::error_code());
  CHECK(d->consumed());
}

TEST_CASE("consume says that a message of a reader that is gone comes again") {
  fixture f;
  auto first = std::make_unique<inbox>(f.box);
  auto d = f.offer();
  auto m = first->try_receive();
  bool withdrawn_before = GENERATE(true, false);
  if (withdrawn_before) d->withdraw();
  f.run();
  first.reset();
  if (!withdrawn_before) d->withdraw();
  f.run();
  CHECK(f.consume(f.box) == ilm::error::message_returned);
  CHECK(f.consume(f.box) == std::error_code());
}

TEST_CASE("consume says that a message comes again whose messenger's context has ended") {
  fixture f;
  {
    asio::io_context ending;
    messengers(ending).offer(f.box);
    CHECK(f.box.try_receive());
  }
  CHECK(f.consume(f.box) == ilm::error::message_returned);
  CHECK(f.consume(f.box) == std::error_code());
}

TEST_CASE("a closed inbox refuses a message that is given back") {
  fixture f;
  auto d = f.offer();
  auto m = f.box.try_receive();
  REQUIRE(m);
  f.box.close();
  f.run();
  CHECK(d->open());
  throw_with(m);
  f.run();
  CHECK(d->refused());
  CHECK_FALSE(f.box.try_receive());
}

TEST_CASE("a closed inbox refuses a message whose promised reader goes, or is cancelled") {
  fixture f;
  auto first = std::make_unique<inbox>(f.box);
  asio::cancellation_signal cancelling;
  auto handler = asio::bind_executor(f.elsewhere, [](std::error_code, const received&) {});
  first->receive(asio::bind_cancellation_slot(cancelling.slot(), handler));
  auto d = f.offer();
  f.box.close();
  f.run();
  CHECK(d->open());
  if (GENERATE(true, false)) {
    first.reset();
  } else {
    cancelling.emit(asio::cancellation_type::terminal);
    f.elsewhere.poll();
  }
  f.run();
  CHECK(d->refused());
}

TEST_CASE("a message that a reader has when the inbox is closed can be consumed") {
  fixture f;
  auto d = f.offer();
  CHECK(f.box.try_receive());
  f.box.close();
  CHECK(f.consume(f.box) == std::error_code());
  CHECK(d->consumed());
}

TEST_CASE("an inbox that is closed ends the waits of its readers") {
  fixture f;
  std::optional<std::error_code> ended;
  f.box.receive(
      asio::bind_executor(f.context, [&](std::error_code e, const received&) { ended = e; }));
  f.run();
  CHECK_FALSE(ended);
  f.box.close();
  f.run();
  CHECK(ended == std::optional<std::error_code>(ilm::error::inbox_closed));
}

TEST_CASE("a message that was promised to a reader that is cancelled goes to one that waits") {
  fixture f;
  inbox second = f.box;
  asio::io_context slow;
  asio::cancellation_signal cancelling;
  auto handler = asio::bind_executor(slow, [](std::error_code, const received&) {});
  f.box.receive(asio::bind_cancellation_slot(cancelling.slot(), handler));
  f.receive(second);
  auto d = f.offer();
  cancelling.emit(asio::cancellation_type::terminal);
  slow.poll();
  f.elsewhere.poll();
  REQUIRE(f.given);
  CHECK(f.consume(second) == std::error_code());
  CHECK(d->consumed());
}

TEST_CASE("a message that was promised to a reader that goes is given to one that waits") {
  fixture f;
  auto gone = std::make_unique<inbox>(f.box);
  asio::io_context slow;
  gone->receive(asio::bind_executor(slow, [](std::error_code, const received&) {}));
  f.receive(f.box);
  auto d = f.offer();
  gone.reset();
  f.elsewhere.poll();
  REQUIRE(f.given);
  CHECK(f.consume(f.box) == std::error_code());
  CHECK(d->consumed());
}

TEST_CASE("a message passes over readers whose context has ended") {
  fixture f;
  inbox gone = f.box;
  {
    asio::io_context ending;
    gone.receive(asio::bind_executor(ending, [](std::error_code, const received&) {}));
  }
  f.receive(f.box);
  auto d = f.offer();
  f.elsewhere.poll();
  REQUIRE(f.given);
  CHECK(f.consume(f.box) == std::error_code());
  CHECK(d->consumed());
}

namespace {

/// Some readers, and messengers, that do anything at any time. Knows of each offer whether a reader
/// has it, and so how it ends.
class random_use {
 public:
  explicit random_use(std::uint64_t seed) : random_(seed), readers_(3) {
    for (reader& r : readers_) r.box.emplace(box_);
  }
  random_use(const random_use&) = delete;
  random_use& operator=(const random_use&) = delete;

  void run() {
    for (int step = 0; step < 200; ++step) {
      take_step();
      check();
    }
    ++time_;
    for (record& r : offers_) withdraw(r);
    run_all();
    for (const record& r : offers_) CHECK(r.d->ends.size() == 1);
    for (reader& r : readers_) r.box->try_receive();
  }

 private:
  struct record {
    std::shared_ptr<delivery> d;
    bool withdrawn = false;
    std::uint64_t withdrawn_at = 0;
    bool consumed = false;  ///< its reader said so
  };
  struct reader {
    std::optional<inbox> box;
    std::vector<received> has;
    std::shared_ptr<asio::cancellation_signal> cancelling;
    bool receives = false;
  };

  void take_step() {
    ++time_;
    reader& r = readers_[as_size(random_.below(readers_.size()))];
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
        return offer();
      case 3:
        return run_all();
      case 4:
        context_.restart();
        context_.poll();
        return;
      case 5:
        return try_receive(r);
      case 6:
        return receive(r);
      case 7:
        if (r.cancelling) r.cancelling->emit(asio::cancellation_type::terminal);
        return;
      case 8:
        return consume(r);
      case 9:
        return give_back(r);
      case 10:
        if (!offers_.empty()) withdraw(offers_[as_size(random_.below(offers_.size()))]);
        return;
      default:
        if (random_.below(8) == 0) return replace(r);
        if (random_.below(100) == 0) return close();
    }
  }

  void offer() {
    offers_.push_back({sender_.offer(box_)});
    if (closed_at_ == 0) return;
    run_all();
    CHECK(offers_.back().d->refused());
  }
  void close() {
    box_.close();
    if (closed_at_ == 0) closed_at_ = time_;
  }
  void withdraw(record& r) {
    if (r.d->open() && !r.withdrawn) {
      r.withdrawn = true;
      r.withdrawn_at = time_;
    }
    r.d->withdraw();
  }

  record& record_of(const received& m) { return offers_[std::stoul(std::string(m.text()))]; }

  /// A reader asks: it is done with all that it has, and all that nobody has.
  /// Gives whether one of them comes again.
  bool finish(reader& r) {
    bool lost = false;
    for (std::vector<received>* all : {&r.has, &nobodys_}) {
      for (const received& m : *all) {
        record& of = record_of(m);
        (of.withdrawn ? lost : of.consumed) = true;
      }
      all->clear();
    }
    return lost;
  }

  void take(reader& r, received m, std::uint64_t asked_at) {
    const record& of = record_of(m);
    CHECK_FALSE(of.consumed);
    CHECK(m.context.attempt() >= 1);
    if (of.withdrawn) CHECK(of.withdrawn_at > asked_at);
    if (closed_at_ != 0) CHECK(closed_at_ > asked_at);
    if (!of.withdrawn) CHECK(with_reader_.insert(std::string(m.text())).second);
    r.has.push_back(std::move(m));
  }

  void try_receive(reader& r) {
    if (r.receives) return;
    finish(r);
    if (auto m = r.box->try_receive()) take(r, std::move(*m), time_);
  }

  void receive(reader& r) {
    if (r.receives) return;
    finish(r);
    r.receives = true;
    r.cancelling = std::make_shared<asio::cancellation_signal>();
    auto into = [this, &r, asked_at = time_](std::error_code, std::vector<received> all) {
      r.receives = false;
      for (received& m : all) take(r, std::move(m), asked_at);
    };
    r.box->receive_some(
        1 + as_size(random_.below(3)),
        asio::bind_cancellation_slot(r.cancelling->slot(), asio::bind_executor(elsewhere_, into)));
  }

  void consume(reader& r) {
    if (!r.has.empty() && random_.below(3) == 0) return consume_last(r);
    bool lost = finish(r);
    std::optional<std::error_code> result;
    r.box->consume(asio::bind_executor(context_, [&](std::error_code e) { result = e; }));
    check_result(result, lost);
  }
  void consume_last(reader& r) {
    received m = std::move(r.has.back());
    r.has.pop_back();
    record& of = record_of(m);
    if (!of.withdrawn) of.consumed = true;
    std::optional<std::error_code> result;
    r.box->consume(m, asio::bind_executor(context_, [&](std::error_code e) { result = e; }));
    check_result(result, of.withdrawn);
  }
  void check_result(const std::optional<std::error_code>& result, bool lost) {
    context_.restart();
    context_.poll();
    REQUIRE(result);
    CHECK(*result == (lost ? make_error_code(ilm::error::message_returned) : std::error_code()));
  }

  void give_back(reader& r) {
    if (r.has.empty()) return;
    std::optional<received> last = std::move(r.has.back());
    r.has.pop_back();
    with_reader_.erase(std::string(last->text()));
    throw_with(last);
  }

  void replace(reader& r) {
    run_all();
    std::move(r.has.begin(), r.has.end(), std::back_inserter(nobodys_));
    r.has.clear();
    r.box.emplace(box_);
    run_all();
  }

  void run_all() {
    for (asio::io_context* c : {&context_, &elsewhere_, &context_}) {
      c->restart();
      c->poll();
    }
  }

  /// No end comes twice, or is another than the test knows of.
  void check() {
    for (const record& r : offers_) {
      REQUIRE(r.d->ends.size() <= 1);
      if (r.d->consumed()) REQUIRE(r.consumed);
      if (r.d->refused()) REQUIRE((closed_at_ != 0 && !r.consumed));
      bool aborted = !r.d->open() && r.d->ends[0] == asio::error::operation_aborted;
      if (aborted) REQUIRE((r.withdrawn && !r.consumed));
    }
  }

  ilm::protocol::random_source random_;
  asio::io_context context_;    ///< of the messengers
  asio::io_context elsewhere_;  ///< of the readers
  inbox box_;
  messengers sender_{context_};
  std::vector<record> offers_;
  std::vector<reader> readers_;
  std::vector<received> nobodys_;
  std::set<std::string> with_reader_;
  std::uint64_t time_ = 0;
  std::uint64_t closed_at_ = 0;
};

}  // namespace

TEST_CASE("whatever readers and messengers do, each offer ends once and consume tells the truth") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    random_use(seed).run();
  }
}
