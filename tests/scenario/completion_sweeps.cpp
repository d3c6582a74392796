#include "support/catch.hpp"
#include "support/poor_executor.hpp"

#include <ilm/detail/completion_sweep.hpp>
#include <ilm/detail/waiting_handler.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

using ilm::detail::completion_sweep;

namespace {

/// A context, whose executor may find no memory, and the number of handlers posted to it.
struct poor_place {
  asio::io_context context;
  std::shared_ptr<int> refusals = std::make_shared<int>(0);

  asio::any_io_executor executor() { return test::poor_executor(context.get_executor(), refusals); }
  /// Runs all that is posted. Gives the number of turns.
  std::size_t run() {
    context.restart();
    return context.poll();
  }
};

struct numbered_handler final : ilm::detail::waiting_handler {
  numbered_handler(poor_place& p, std::vector<int>& log, int value)
      : waiting_handler(p.executor()), ran(&log), number(value) {}

  void run(std::shared_ptr<waiting_handler>) override {
    ran->push_back(number);
    if (number < 0) throw std::runtime_error("handler");
  }

  std::vector<int>* ran;
  int number;
};

struct swept {
  poor_place first, second;
  std::vector<int> ran;
  completion_sweep sweep;

  std::weak_ptr<numbered_handler> add(poor_place& p, int number) {
    auto made = std::make_shared<numbered_handler>(p, ran, number);
    sweep.make_room(*made);
    sweep.add(made);
    return made;
  }
};

}  // namespace

TEST_CASE_METHOD(swept, "completions of one executor run in one turn, in order") {
  for (int i : {1, 2, 3}) add(first, i);
  CHECK(first.run() == 0);
  sweep.post();
  CHECK(ran.empty());
  CHECK(first.run() == 1);
  CHECK(ran == std::vector{1, 2, 3});
  sweep.post();
  CHECK(first.run() == 0);
}

TEST_CASE_METHOD(swept, "a completion of another executor does not run with those before it") {
  add(first, 1);
  add(first, 2);
  add(second, 3);
  add(first, 4);
  sweep.post();
  CHECK(second.run() == 1);
  CHECK(ran == std::vector{3});
  CHECK(first.run() == 2);
  CHECK(ran == std::vector{3, 1, 2, 4});
}

TEST_CASE_METHOD(swept, "a turn has no more completions than its limit") {
  int count = 2 * static_cast<int>(completion_sweep::limit) + 1;
  for (int i = 0; i < count; ++i) add(first, i);
  sweep.post();
  CHECK(first.run() == 3);
  REQUIRE(ran.size() == static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) CHECK(ran[static_cast<std::size_t>(i)] == i);
}

TEST_CASE_METHOD(swept, "a completion that throws does not take those behind it with it") {
  for (int i : {1, -2, 3, -4, 5}) add(first, i);
  sweep.post();
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  CHECK(ran == std::vector{1, -2});
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  first.run();
  CHECK(ran == std::vector{1, -2, 3, -4, 5});
}

TEST_CASE_METHOD(swept, "the last completion of a turn may throw, also of a full one") {
  int count = GENERATE(2, static_cast<int>(completion_sweep::limit));
  for (int i = 1; i < count; ++i) add(first, i);
  add(first, -1);
  sweep.post();
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  CHECK(first.run() == 0);
  CHECK(ran.size() == static_cast<std::size_t>(count));
}

TEST_CASE_METHOD(swept, "completions that cannot be posted stay for a later attempt") {
  int count = GENERATE(1, 3);
  for (int i = 0; i < count; ++i) add(first, i);
  *first.refusals = 1;
  CHECK_THROWS_AS(sweep.post(), std::bad_alloc);
  sweep.post();
  first.run();
  CHECK(ran.size() == static_cast<std::size_t>(count));
}

TEST_CASE_METHOD(swept, "completions that nobody will run are destroyed") {
  std::weak_ptr<numbered_handler> joined;
  {
    poor_place third;
    std::weak_ptr<numbered_handler> posted = add(third, 1), alone = add(second, 2);
    joined = add(second, 3);
    sweep.abandon();
    CHECK(joined.expired());
    CHECK(alone.expired());
    CHECK_FALSE(posted.expired());
    joined = posted;
  }
  CHECK(joined.expired());
  CHECK(ran.empty());
}
