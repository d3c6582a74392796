#include "support/catch.hpp"

#include <ilm/detail/asio.hpp>
#include <ilm/detail/worker.hpp>

#include <asio/execution.hpp>
#include <asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace {

using ilm::detail::worker;

/// The exception that the caller of the work gets; null if it gets none.
template <class Work>
std::exception_ptr thrown_by(Work work) {
  asio::io_context context;
  worker thread(context.get_executor());
  std::exception_ptr thrown;
  asio::co_spawn(context, thread.run(context.get_executor(), std::move(work)),
                 [&](std::exception_ptr e, auto...) { thrown = std::move(e); });
  context.run();
  return thrown;
}

/// An executor that takes some calls for which there is no memory.
class scarce_executor {
 public:
  using inner = asio::strand<asio::any_io_executor>;

  scarce_executor(inner i, std::shared_ptr<std::atomic<int>> refusals)
      : inner_(std::move(i)), refusals_(std::move(refusals)) {}

  template <class Property>
  requires asio::can_require<const inner&, Property>::value scarce_executor
  require(const Property& p)
  const { return {asio::require(inner_, p), refusals_}; }
  template <class Property>
  requires asio::can_prefer<const inner&, Property>::value scarce_executor prefer(const Property& p)
  const { return {asio::prefer(inner_, p), refusals_}; }
  template <class Property>
  requires asio::can_query<const inner&, Property>::value auto query(const Property& p) const
      -> decltype(asio::query(std::declval<const inner&>(), p)) {
    return asio::query(inner_, p);
  }

  template <class Function>
  void execute(Function&& f) const {
    if (refusals_->fetch_sub(1) > 0) throw std::bad_alloc();
    inner_.execute(std::forward<Function>(f));
  }

  friend bool operator==(const scarce_executor& a, const scarce_executor& b) noexcept {
    return a.inner_ == b.inner_;
  }

 private:
  inner inner_;
  std::shared_ptr<std::atomic<int>> refusals_;
};

}  // namespace

TEST_CASE("a worker that has no memory to tell a result tells it when it has") {
  asio::io_context context;
  auto refusals = std::make_shared<std::atomic<int>>(0);
  asio::any_io_executor scarce =
      scarce_executor(asio::make_strand(asio::any_io_executor(context.get_executor())), refusals);
  worker thread(context.get_executor());
  std::string told;
  asio::co_spawn(scarce,
                 thread.run(scarce,
                            [refusals] {
                              *refusals = 2;
                              return std::string("a result that is too long for a small string");
                            }),
                 [&](const std::exception_ptr&, std::string result) { told = std::move(result); });
  context.run();
  CHECK(told == "a result that is too long for a small string");
  CHECK(*refusals <= 0);
}

TEST_CASE("a worker whose idle work throws goes on with the next job") {
  asio::io_context context;
  worker thread(context.get_executor(), []() -> bool { throw std::runtime_error("not now"); });
  for (int round = 1; round <= 3; ++round) {
    int told = 0;
    asio::co_spawn(context, thread.run(context.get_executor(), [round] { return round; }),
                   [&](const std::exception_ptr&, int result) { told = result; });
    context.restart();
    context.run();
    CHECK(told == round);
  }
}

TEST_CASE("the idle work of a worker goes on until it has no more, and again after each job") {
  asio::io_context context;
  std::atomic<int> left = 0, turns = 0;
  worker thread(context.get_executor(), [&] {
    ++turns;
    return left.fetch_sub(1) > 1;
  });
  auto wait_for = [&](int wanted) {
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (turns < wanted && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return turns.load();
  };
  for (int round = 0; round < 2; ++round) {
    turns = 0;
    asio::co_spawn(context, thread.run(context.get_executor(), [&] { left = 5; }), asio::detached);
    context.restart();
    context.run();
    CHECK(wait_for(5) == 5);
  }
}

TEST_CASE("the caller of a worker gets the exception that the work threw, as it was") {
  std::exception_ptr locked =
      thrown_by([]() -> int { throw std::runtime_error("table is locked"); });
  CHECK_THROWS_WITH(std::rethrow_exception(locked), "table is locked");
  std::exception_ptr from_void = thrown_by([] { throw std::runtime_error("no result"); });
  CHECK_THROWS_WITH(std::rethrow_exception(from_void), "no result");
  std::exception_ptr number = thrown_by([]() -> int { throw 42; });
  CHECK_THROWS_AS(std::rethrow_exception(number), int);
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  try {
    std::rethrow_exception(thrown_by([&]() -> int { throw std::system_error(full, "orders"); }));
  } catch (const std::system_error& e) {
    CHECK(e.code() == full);
    CHECK(e.what() == "orders: " + full.message());
  }
  CHECK_FALSE(thrown_by([] { return 42; }));
  CHECK_FALSE(thrown_by([] {}));
}
