#include "support/catch.hpp"

#include <ilm/detail/completion_sweep.hpp>

#include <deque>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using ilm::detail::completion_sweep;

namespace {

/// Runs what was posted when it is told to.
struct turns {
  struct turn {
    std::shared_ptr<completion_sweep> many;
    std::shared_ptr<completion_sweep::item> one;
  };
  std::deque<turn> posted;
  bool without_memory = false;

  void run() {
    while (!posted.empty()) {
      turn next = std::move(posted.front());
      posted.pop_front();
      if (next.many) {
        (*next.many)();
      } else {
        next.one->run(next.one);
      }
    }
  }
};

struct handler final : completion_sweep::item {
  handler(turns& t, std::vector<int>& log, int value) : on(&t), ran(&log), number(value) {}

  bool goes_with(const item& other) const noexcept override { return other.executor() == on; }
  void post(const std::shared_ptr<completion_sweep>& all) override {
    if (on->without_memory) throw std::bad_alloc();
    on->posted.push_back({all, nullptr});
  }
  void post_alone(const std::shared_ptr<item>& self) override {
    if (on->without_memory) throw std::bad_alloc();
    on->posted.push_back({nullptr, self});
  }
  void run(std::shared_ptr<item>) override {
    ran->push_back(number);
    if (number < 0) throw std::runtime_error("handler");
  }
  const void* executor() const noexcept override { return on; }
  const void* executor_type() const noexcept override { return nullptr; }

  turns* on;
  std::vector<int>* ran;
  int number;
};

struct fixture {
  turns first, second;
  std::vector<int> ran;
  completion_sweep sweep;

  std::weak_ptr<handler> add(turns& t, int number) {
    auto made = std::make_shared<handler>(t, ran, number);
    sweep.make_room(*made);
    sweep.add(made);
    return made;
  }
};

}  // namespace

TEST_CASE_METHOD(fixture, "completions of one executor run in one turn, in order") {
  for (int i : {1, 2, 3}) add(first, i);
  CHECK(first.posted.empty());
  sweep.post();
  CHECK(first.posted.size() == 1);
  CHECK(ran.empty());
  first.run();
  CHECK(ran == std::vector{1, 2, 3});
  sweep.post();
  CHECK(first.posted.empty());
}

TEST_CASE_METHOD(fixture, "a completion of another executor does not run with those before it") {
  add(first, 1);
  add(first, 2);
  add(second, 3);
  add(first, 4);
  sweep.post();
  CHECK(first.posted.size() == 2);
  CHECK(second.posted.size() == 1);
  second.run();
  CHECK(ran == std::vector{3});
  first.run();
  CHECK(ran == std::vector{3, 1, 2, 4});
}

TEST_CASE_METHOD(fixture, "a turn has no more completions than its limit") {
  int count = 2 * static_cast<int>(completion_sweep::limit) + 1;
  for (int i = 0; i < count; ++i) add(first, i);
  sweep.post();
  CHECK(first.posted.size() == 3);
  first.run();
  REQUIRE(ran.size() == static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) CHECK(ran[static_cast<std::size_t>(i)] == i);
}

TEST_CASE_METHOD(fixture, "a completion that throws does not take those behind it with it") {
  for (int i : {1, -2, 3, -4, 5}) add(first, i);
  sweep.post();
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  CHECK(ran == std::vector{1, -2});
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  first.run();
  CHECK(ran == std::vector{1, -2, 3, -4, 5});
}

TEST_CASE_METHOD(fixture, "the last completion of a turn may throw, also of a full one") {
  int count = GENERATE(2, static_cast<int>(completion_sweep::limit));
  for (int i = 1; i < count; ++i) add(first, i);
  add(first, -1);
  sweep.post();
  CHECK_THROWS_AS(first.run(), std::runtime_error);
  CHECK(first.posted.empty());
  CHECK(ran.size() == static_cast<std::size_t>(count));
}

TEST_CASE_METHOD(fixture, "completions that cannot be posted stay for a later attempt") {
  int count = GENERATE(1, 3);
  for (int i = 0; i < count; ++i) add(first, i);
  first.without_memory = true;
  CHECK_THROWS_AS(sweep.post(), std::bad_alloc);
  first.without_memory = false;
  sweep.post();
  first.run();
  CHECK(ran.size() == static_cast<std::size_t>(count));
}

TEST_CASE_METHOD(fixture, "completions that nobody will run are destroyed") {
  std::weak_ptr<handler> abandoned = add(first, 1), posted = add(second, 2), joined;
  joined = add(second, 3);
  sweep.abandon();
  CHECK(joined.expired());
  CHECK(posted.expired());
  first.posted.clear();
  CHECK(abandoned.expired());
  first.run();
  CHECK(ran.empty());
}
