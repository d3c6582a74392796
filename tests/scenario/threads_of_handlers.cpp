#include "support/catch.hpp"
#include "support/messenger.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/thread_pool.hpp>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

using namespace test;

namespace {

/// Blocks a thread until it is let go.
class door {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    ++ended_;
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait_begun() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [this] { return begun_ > ended_; });
  }
  std::pair<int, int> counts() {
    std::lock_guard lock(mutex_);
    return {begun_, ended_};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int begun_ = 0;
  int ended_ = 0;
  bool open_ = false;
};

/// A handler that has threads of a pool do its work, which no cancellation reaches.
struct blocking {
  std::shared_ptr<door> work;
  asio::thread_pool* pool;

  asio::awaitable<void> operator()(message) {
    co_await asio::co_spawn(*pool, run(work), asio::use_awaitable);
  }
  static asio::awaitable<void> run(std::shared_ptr<door> d) {
    d->pass();
    co_return;
  }
};

}  // namespace

TEST_CASE("a handler at work on a thread pool ends before a successor begins its message") {
  using real_fabric = ilm::memory_fabric<std::string>;
  using node = ilm::messenger<store, real_fabric::network_type, blocking>;
  auto work = std::make_shared<door>(), no_work = std::make_shared<door>();
  asio::thread_pool pool(2);
  asio::io_context context;
  auto guard = asio::make_work_guard(context);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { context.run(); });
  real_fabric net;
  store disk;
  {
    node a(context, store(), net.join("a"), blocking{no_work, &pool});
    std::optional<node> b;
    b.emplace(context, disk, net.join("b"), blocking{work, &pool});
    std::promise<std::error_code> received;
    a.send_to("b", "x", [&](std::error_code, std::uint64_t sequence) {
      a.wait_delivered("b", sequence, [&](std::error_code e) { received.set_value(e); });
    });
    REQUIRE(work->wait_begun());
    std::promise<report> reported;
    b->shutdown(0s, [&](std::error_code, report r) { reported.set_value(std::move(r)); });
    CHECK(reported.get_future().get().running == 1);
    b.emplace(context, disk, net.join("b"), blocking{work, &pool});
    std::promise<event> told;
    b->next_event([&](std::error_code, event e) { told.set_value(std::move(e)); });
    event refused = told.get_future().get();
    CHECK(refused.kind == ilm::event_kind::store_failed);
    CHECK(refused.error == ilm::error::store_in_use);
    CHECK(work->counts() == std::pair(1, 0));
    work->open();
    CHECK(received.get_future().get() == std::error_code());
    CHECK(work->counts() == std::pair(1, 1));
  }
  guard.reset();
  for (std::thread& t : threads) t.join();
}
