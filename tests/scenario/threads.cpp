#include "support/catch.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/memory.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// Members may be called from any thread, in real time: for ThreadSanitizer more than for us.

namespace {

using namespace std::chrono_literals;
using peer_id = std::string;
using message = ilm::message<peer_id>;

/// Counts what comes from each peer and thread, checks its order, and wakes a waiting thread.
class results {
 public:
  void take(const message& m) {
    std::lock_guard lock(mutex_);
    std::string text(m.text());
    auto cut = text.find(':');
    int number = std::stoi(text.substr(cut + 1));
    if (number != next_[m.from + text.substr(0, cut)]++) ordered_ = false;
    ++count_;
    changed_.notify_all();
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 60s, [&] { return count_ >= count; });
  }
  bool ordered() const {
    std::lock_guard lock(mutex_);
    return ordered_;
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, int> next_;
  std::size_t count_ = 0;
  bool ordered_ = true;
};

struct taker {
  std::shared_ptr<results> book;
  void operator()(const message& m) const { book->take(m); }
};

using store = ilm::memory_backend<peer_id>;
using fabric = ilm::memory_fabric<peer_id>;
using node = ilm::messenger<store, fabric::network_type, taker>;

/// A context that several threads run until it goes away.
class crew {
 public:
  explicit crew(int size) : work_(asio::make_work_guard(context)) {
    for (int i = 0; i < size; ++i) threads_.emplace_back([this] { context.run(); });
  }
  ~crew() { finish(); }
  void finish() {
    work_.reset();
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  asio::io_context context;

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

constexpr int senders = 4;
constexpr int each = 250;

/// Sends from several threads at once; in order within each.
void send_from_threads(node& from, const peer_id& to, std::atomic<int>& stored) {
  std::vector<std::thread> threads;
  for (int t = 0; t < senders; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        std::string text = std::to_string(t);
        text += ':';
        text += std::to_string(i);
        from.send_to(to, text, [&](std::error_code failed, std::uint64_t) {
          if (!failed) ++stored;
        });
        if (i % 50 == 0) static_cast<void>(from.statistics());
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace

TEST_CASE("several threads send through messengers that several threads run") {
  auto results_a = std::make_shared<results>(), results_b = std::make_shared<results>();
  std::atomic<int> stored_a = 0, stored_b = 0;
  fabric net;
  ilm::faults rules;
  rules.loss = 0.01;
  rules.reordering = 0.05;
  rules.reordering_delay = 1ms;
  net.set_faults(rules);
  crew workers(4);
  std::promise<ilm::shutdown_report<peer_id>> report_a, report_b;
  {
    node a(workers.context, store(), net.join("a"), taker{results_a});
    node b(workers.context, store(), net.join("b"), taker{results_b});
    std::thread other([&] { send_from_threads(b, "a", stored_b); });
    send_from_threads(a, "b", stored_a);
    other.join();
    REQUIRE(results_a->wait_for(senders * each));
    REQUIRE(results_b->wait_for(senders * each));
    a.shutdown(10s, [&](std::error_code, auto r) { report_a.set_value(std::move(r)); });
    b.shutdown(10s, [&](std::error_code, auto r) { report_b.set_value(std::move(r)); });
    auto left_a = report_a.get_future().get();
    auto left_b = report_b.get_future().get();
    CHECK(left_a.delivered + left_a.undelivered == senders * each);
    CHECK(left_b.delivered + left_b.undelivered == senders * each);
  }
  workers.finish();
  CHECK(stored_a == senders * each);
  CHECK(stored_b == senders * each);
  CHECK(results_a->ordered());
  CHECK(results_b->ordered());
  CHECK(results_a->count() == senders * each);
  CHECK(results_b->count() == senders * each);
}

TEST_CASE("messengers are destroyed and made anew amid traffic from several threads") {
  auto book = std::make_shared<results>();
  fabric net;
  store disk;
  crew workers(3);
  node b(workers.context, store(), net.join("b"), taker{book});
  std::atomic<int> stored = 0;
  int next = 0;
  for (int round = 0; round < 10; ++round) {
    node a(workers.context, disk, net.join("a"), taker{std::make_shared<results>()});
    for (int i = 0; i < 20; ++i) {
      std::string text = "0:";
      text += std::to_string(next++);
      // The predecessor may still be about to leave the store: try until it has.
      for (;;) {
        auto done = std::make_shared<std::promise<std::error_code>>();
        std::future<std::error_code> result = done->get_future();
        a.send_to("b", text, [done](std::error_code e, std::uint64_t) { done->set_value(e); });
        std::error_code failed = result.get();
        if (!failed) break;
        REQUIRE(failed == ilm::error::store_in_use);
        std::this_thread::yield();
      }
      ++stored;
    }
  }
  node a(workers.context, disk, net.join("a"), taker{std::make_shared<results>()});
  CHECK(book->wait_for(static_cast<std::size_t>(stored)));
  CHECK(book->ordered());
  CHECK(book->count() == 200);
}
