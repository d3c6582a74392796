#pragma once

// A small world for scenario tests: peers with names, on one fabric, in simulated time.

#include "support/sleep.hpp"

#include <ilm/ilm.hpp>
#include <ilm/testing/faulty_backend.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

using namespace std::chrono_literals;

using clock = ilm::testing::simulated_clock;
using fabric = ilm::memory_fabric<std::string, clock>;
using network = ilm::memory_network<std::string, clock>;
using store = ilm::memory_backend<std::string>;
using backend = ilm::testing::faulty_backend<std::string, store, clock>;
using message = ilm::message<std::string>;
using event = ilm::event<std::string>;
using report = ilm::shutdown_report<std::string>;

/// The application of a peer: keeps the messages that it consumes, and fails or delays on request.
struct application {
  std::vector<message> consumed;
  /// Called with each message before it is consumed; a throw means "not consumed".
  std::function<void(const message&)> check;
  /// How long it takes over each message.
  std::chrono::nanoseconds time{};

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const message& m : consumed) all.emplace_back(m.text());
    return all;
  }
  std::vector<std::string> texts_from(const std::string& peer) const {
    std::vector<std::string> all;
    for (const message& m : consumed) {
      if (m.from == peer) all.emplace_back(m.text());
    }
    return all;
  }
};

/// A delivery for tests in which nobody looks at the messages.
struct ignore {
  void operator()(const message&) const {}
};

/// The delivery that stands between a messenger and an application.
class handler {
 public:
  explicit handler(std::shared_ptr<application> app) : app_(std::move(app)) {}

  asio::awaitable<void> operator()(message m) {
    std::shared_ptr<application> app = app_;
    co_await sleep_for(app->time);
    if (app->check) app->check(m);
    app->consumed.push_back(std::move(m));
  }

 private:
  std::shared_ptr<application> app_;
};

/// The messenger under test. Complete in support/messenger.hpp, which few tests need.
using messenger = ilm::messenger<backend, network, handler>;

/// The result of a send.
struct sent {
  bool done = false;
  std::error_code error;
  std::uint64_t sequence = 0;
};

/// A peer: its store and application outlive its messenger, which can crash and start again.
/// Defined in world.cpp, so that the messenger is compiled once.
class peer {
 public:
  peer(asio::io_context& context, fabric& net, std::string name);
  peer(peer&&) noexcept;
  ~peer();

  const std::string& name() const { return name_; }
  application& app() { return *app_; }
  ilm::testing::store_faults& store_faults() { return *faults_; }
  store& disk() { return disk_; }

  void start(ilm::options o = {});
  void crash();
  void restart(ilm::options o = {}) { start(std::move(o)); }
  bool running() const { return messenger_ != nullptr; }
  messenger& operator*() { return *messenger_; }

  /// Forgets all that was stored. The messenger must not run.
  void lose_store() { disk_ = store(); }
  /// Puts an older copy of the store in its place. The messenger must not run.
  void put_back(const store& older) { disk_ = older.copy(); }

  /// Sends; the result fills in when the send completes.
  std::shared_ptr<sent> send(const std::string& to, const std::string& text);
  std::shared_ptr<sent> try_send(const std::string& to, const std::string& text);

  // What the messenger's members of these names do.
  asio::awaitable<std::uint64_t> send_to(std::string to, std::string text);
  asio::awaitable<void> wait_delivered(std::string to, std::uint64_t sequence);
  asio::awaitable<ilm::sequence_range> undelivered(std::string to);
  asio::awaitable<report> shutdown(std::chrono::nanoseconds timeout);
  ilm::messenger_statistics<std::string> statistics() const;
  /// The statistics about one peer; all zero if there are none.
  ilm::peer_statistics<std::string> statistics_of(const std::string& of) const;
  std::vector<std::string> connected_peers() const;

  /// Keeps every event of the messenger that runs now in `events`.
  void watch();
  std::vector<event>& events() { return *events_; }
  /// Those that were summed up, too.
  std::size_t count(ilm::event_kind kind) const;
  const event* find(ilm::event_kind kind) const;

 private:
  asio::io_context& context_;
  fabric& fabric_;
  std::string name_;
  store disk_;
  std::shared_ptr<ilm::testing::store_faults> faults_ =
      std::make_shared<ilm::testing::store_faults>();
  std::shared_ptr<application> app_ = std::make_shared<application>();
  std::shared_ptr<std::vector<event>> events_ = std::make_shared<std::vector<event>>();
  std::unique_ptr<messenger> messenger_;
};

/// The context, the fabric, and time. Declare it first and peers after it.
class world {
 public:
  explicit world(std::uint64_t seed = 1, std::size_t frame_size = 1 << 20) : net(seed, frame_size) {
    clock::reset();
  }
  ~world() { clock::reset(); }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  peer make(const std::string& name) { return peer(context, net, name); }

  /// Runs until `done()` or until nothing more happens within `limit` of simulated time.
  template <class Predicate>
  bool until(Predicate done, std::chrono::nanoseconds limit = 60s) {
    return clock::run_until(context, std::move(done), limit);
  }
  void run_for(std::chrono::nanoseconds span) { clock::run_for(context, span); }

  /// Runs a coroutine to its end; throws what it throws, or std::runtime_error if it does not end.
  template <class T>
  T run(asio::awaitable<T> work, std::chrono::nanoseconds limit = 60s) {
    std::optional<T> result;
    std::exception_ptr failed;
    asio::co_spawn(context, std::move(work), [&](std::exception_ptr e, T value) {
      failed = e;
      if (!e) result = std::move(value);
    });
    bool ended = until([&] { return result || failed; }, limit);
    if (failed) std::rethrow_exception(failed);
    if (!ended) throw std::runtime_error("the coroutine did not end in time");
    return std::move(*result);
  }
  void run(asio::awaitable<void> work, std::chrono::nanoseconds limit = 60s) {
    bool done = false;
    std::exception_ptr failed;
    asio::co_spawn(context, std::move(work), [&](std::exception_ptr e) {
      failed = e;
      done = true;
    });
    bool ended = until([&] { return done; }, limit);
    if (failed) std::rethrow_exception(failed);
    if (!ended) throw std::runtime_error("the coroutine did not end in time");
  }

  asio::io_context context;
  fabric net;
};

/// "0", "1", ... "n-1", each with `prefix` before it.
inline std::vector<std::string> numbered(std::size_t n, const std::string& prefix = "") {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(prefix + std::to_string(i));
  return all;
}

}  // namespace test
