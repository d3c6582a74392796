#include "support/catch.hpp"
#include "support/sleep.hpp"
#include "support/trap.hpp"

#include <ilm/ilm.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ilm::event_kind;
using test::trap;
using test::trapped_id;

// A whole little history, again and again, with an exception at its first step, at its second, and
// so on. Nothing may be lost, done twice, or end without a word.

#ifdef ILM_TEST_TRAPS_MEMORY
// Every allocation of the program is a step, where a test asks for that.
void* operator new(std::size_t size) {
  trap::step_of_memory(size);
  if (void* p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

namespace {

using clock_type = ilm::testing::simulated_clock;
using fabric = ilm::memory_fabric<trapped_id, clock_type>;
using disk = ilm::memory_backend<trapped_id>;
using message = ilm::message<trapped_id>;
using event = ilm::event<trapped_id>;

/// A store that may throw before and after each of its operations.
class trapped_store {
 public:
  static constexpr ilm::durability durable_to = disk::durable_to;

  explicit trapped_store(disk inner) : inner_(std::move(inner)) {}

  asio::awaitable<ilm::store_state<trapped_id>> open() {
    trap::step(trap::kind::store);
    co_return co_await inner_.open();
  }
  asio::awaitable<void> commit(const ilm::batch<trapped_id>& change) {
    trap::step(trap::kind::store);
    co_await inner_.commit(change);
  }
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const trapped_id& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    trap::step(trap::kind::store);
    auto page = co_await inner_.read(which, peer, from, limit);
    trap::step(trap::kind::store);
    co_return page;
  }
  asio::awaitable<void> close() {
    trap::step(trap::kind::store);
    co_await inner_.close();
  }

 private:
  disk inner_;
};

/// A network that may throw before and after each of its operations.
class trapped_network {
 public:
  using clock_type = ::clock_type;
  static constexpr bool reliable = false;

  explicit trapped_network(fabric::network_type inner) : inner_(std::move(inner)) {}

  trapped_id local_id() const { return inner_.local_id(); }
  std::size_t maximum_frame_size() const { return inner_.maximum_frame_size(); }
  asio::awaitable<void> send(const trapped_id& to, std::vector<std::byte> frame) {
    trap::step(trap::kind::network);
    co_await inner_.send(to, std::move(frame));
    trap::step(trap::kind::network);
  }
  asio::awaitable<ilm::network_event<trapped_id>> receive() {
    trap::step(trap::kind::network);
    co_return co_await inner_.receive();
  }

 private:
  fabric::network_type inner_;
};

/// The records of one side, over its lives.
struct side {
  explicit side(const char* text) : name(text) {}

  std::string name;
  disk store;
  std::vector<std::string> consumed;
  std::vector<std::string> confirmed;  ///< sent, and said to be stored
  std::set<event_kind> told;
  std::size_t asked = 0;     ///< requests
  std::size_t answered = 0;  ///< of them
};

/// Takes messages, and answers those that are no answers in the same commit.
class application {
 public:
  explicit application(side& s) : side_(&s) {}

  asio::awaitable<void> operator()(message m, ilm::delivery_context<trapped_id>& context) {
    trap::step(trap::kind::handler);
    std::string text(m.text());
    if (text.find("re:") == std::string::npos) context.send_to(m.from, "re:" + text);
    co_await test::sleep_for(1ms);
    trap::step(trap::kind::handler);
    trap::pause own;
    side_->consumed.push_back(text);
  }

 private:
  side* side_;
};

/// Leaves out the allocations of Asio for executors of any type. It makes them where nothing may
/// throw, so that they end the process, whatever a library does.
void spare_executors(asio::io_context& context) {
  trap::measure([&] {
    asio::any_io_executor executor = context.get_executor();
    static_cast<void>(asio::query(executor, asio::execution::blocking));
  });
  trap::measure([&] {
    auto strand = asio::make_strand(asio::any_io_executor(context.get_executor()));
    static_cast<void>(asio::any_io_executor(strand));
  });
  trap::measure([&] {
    auto strand = asio::make_strand(asio::any_io_executor(context.get_executor()));
    ilm::runtime::delivery_executor executor(strand, nullptr);
    static_cast<void>(asio::any_io_executor(executor));
  });
}

using messenger = ilm::messenger<trapped_store, trapped_network, application>;

/// Two messengers and their network.
class history {
 public:
  history() { clock_type::reset(); }
  ~history() {
    trap::clear();
    clock_type::reset();
  }
  history(const history&) = delete;
  history& operator=(const history&) = delete;

  /// Both sides send, meet again, and shut down, with the trap set.
  void play(trap::kind kind, std::uint64_t number) {
    net_ = std::make_unique<fabric>();
    spare_executors(context_);
    // Asio does not survive a strand that finds no memory.
    if (kind == trap::kind::memory) start();
    trap::set(kind, number);
    if (kind != trap::kind::memory) start();
    for (const char* text : {"1", "2", "3"}) send(alice, "bob", text);
    send(bob, "alice", "4");
    ask(alice, [&](messenger& m, auto done) { m.connected(trapped_id("bob"), done); });
    ask(alice, [&](messenger& m, auto done) { m.wait_delivered(trapped_id("bob"), 2, done); });
    run_for(1s);
    look(alice);
    net([&] { net_->disconnect(trapped_id("alice"), trapped_id("bob")); });
    run_for(1s);
    send(alice, "bob", "5");
    run_for(1s);
    net([&] { net_->connect(trapped_id("alice"), trapped_id("bob")); });
    send(bob, "alice", "6");
    ask(bob, [&](messenger& m, auto done) {
      m.undelivered(trapped_id("alice"),
                    [done](std::error_code e, ilm::sequence_range) mutable { done(e); });
    });
    run_for(60s);
    stands_still = alice.consumed.size() != 6 || bob.consumed.size() != 6;
    for (side* s : {&alice, &bob}) {
      ask(*s, [&](messenger& m, auto done) {
        m.shutdown(
            1s, [done](std::error_code e, ilm::shutdown_report<trapped_id>) mutable { done(e); });
      });
    }
    run_for(60s);
    trap::pause own;
    trap_sprang = trap::sprang();
    trap::clear();
    running_.clear();
    run_for(0s);
  }

  /// Sound messengers go on with the stores.
  void go_on() {
    trap::pause own;
    net_ = std::make_unique<fabric>(2);
    start();
    run_for(60s);
    for (side* s : {&alice, &bob}) {
      ask(*s, [&](messenger& m, auto done) {
        m.shutdown(
            1s, [done](std::error_code e, ilm::shutdown_report<trapped_id>) mutable { done(e); });
      });
    }
    run_for(60s);
    running_.clear();
    run_for(0s);
  }

  side alice{"alice"};
  side bob{"bob"};
  bool stands_still = false;
  bool trap_sprang = false;

 private:
  void start() {
    for (side* s : {&alice, &bob}) {
      try {
        auto made = std::make_unique<messenger>(context_, trapped_store(s->store),
                                                trapped_network(net_->join(s->name.c_str())),
                                                application(*s));
        trap::pause own;
        running_[s] = std::move(made);
      } catch (const std::exception&) {
        trap::pause own;
        s->told.insert(event_kind::messenger_failed);
        continue;
      }
      watch(*s, 0);
    }
  }

  /// Reads the events; a reading that fails is tried again.
  void watch(side& s, int failures) {
    if (!running_.contains(&s) || failures == 3) return;
    try {
      running_[&s]->next_event([this, &s, failures](std::error_code failed, event e) {
        {
          trap::pause own;
          if (!failed) s.told.insert(e.kind);
        }
        watch(s, failed ? failures + 1 : failures);
      });
    } catch (const std::exception&) {
      watch(s, failures + 1);
    }
  }

  /// `request(messenger, done)` begins a request, or throws.
  template <class Request>
  void ask(side& s, Request request) {
    if (!running_.contains(&s)) return;
    ++s.asked;
    try {
      request(*running_[&s], [&s](std::error_code) { ++s.answered; });
    } catch (const std::exception&) {
      ++s.answered;
    }
  }

  void send(side& from, const char* to, const char* text) {
    ask(from, [&](messenger& m, auto done) {
      m.send_to(trapped_id(to), std::string(text),
                [&from, text, done](std::error_code failed, std::uint64_t) mutable {
                  trap::pause own;
                  if (!failed) from.confirmed.push_back(text);
                  done(failed);
                });
    });
  }

  void look(side& s) {
    if (!running_.contains(&s)) return;
    try {
      static_cast<void>(running_[&s]->statistics());
      static_cast<void>(running_[&s]->connected_peers());
    } catch (const std::exception&) {
      // For the caller alone.
    }
  }

  /// What the network itself is told is no matter of the messengers.
  template <class Function>
  void net(Function change) {
    trap::pause own;
    change();
  }

  void run_for(std::chrono::nanoseconds span) { clock_type::run_for(context_, span); }

  asio::io_context context_;
  std::unique_ptr<fabric> net_;
  std::map<side*, std::unique_ptr<messenger>> running_;
};

std::size_t count(const std::vector<std::string>& all, const std::string& one) {
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), one));
}

bool told_any(const side& s, std::initializer_list<event_kind> kinds) {
  return std::any_of(kinds.begin(), kinds.end(), [&](event_kind k) { return s.told.contains(k); });
}

/// Whether the messages of one side were consumed by the other, in order, and once where nothing
/// told that a message may come again.
void check_stream(const side& from, const side& to) {
  bool may_repeat = told_any(to, {event_kind::messenger_failed, event_kind::delivery_failed});
  for (const std::string& text : from.confirmed) {
    INFO("message " << text);
    CHECK(count(to.consumed, text) >= 1);
    CHECK(count(from.consumed, "re:" + text) >= 1);
  }
  for (std::string text :
       {"1", "2", "3", "4", "5", "6", "re:1", "re:2", "re:3", "re:4", "re:5", "re:6"}) {
    INFO("message " << text);
    if (!may_repeat) CHECK(count(to.consumed, text) <= 1);
  }
  std::vector<std::string> firsts;
  for (const std::string& text : to.consumed) {
    if (text.size() == 1 && count(firsts, text) == 0) firsts.push_back(text);
  }
  CHECK(std::is_sorted(firsts.begin(), firsts.end()));
}

/// Plays the history with an exception at the step `number`. False if it has fewer steps.
bool survives(trap::kind kind, std::uint64_t number) {
  history h;
  INFO("step " << number);
  REQUIRE_NOTHROW(h.play(kind, number));
  CHECK(h.alice.asked == h.alice.answered);
  CHECK(h.bob.asked == h.bob.answered);
  if (h.stands_still) {
    bool told = false;
    for (const side* s : {&h.alice, &h.bob}) {
      told = told || told_any(*s, {event_kind::messenger_failed, event_kind::network_ended,
                                   event_kind::frame_rejected, event_kind::network_problem,
                                   event_kind::store_failed, event_kind::delivery_failed});
    }
    bool refused = h.alice.confirmed.size() + h.bob.confirmed.size() < 6;
    CHECK((told || refused));
  }
  REQUIRE_NOTHROW(h.go_on());
  check_stream(h.alice, h.bob);
  check_stream(h.bob, h.alice);
  return h.trap_sprang;
}

void sweep(trap::kind kind, std::uint64_t stride = 1) {
  std::uint64_t number = 1;
  while (survives(kind, number)) number += stride;
  CHECK(number > stride);
}

}  // namespace

TEST_CASE("a peer id whose copy throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::copy);
}

TEST_CASE("a peer id whose comparison throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::comparison, 5);
}

TEST_CASE("a codec of peer ids that throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::codec);
}

TEST_CASE("a handler that throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::handler);
}

TEST_CASE("a store that throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::store);
}

TEST_CASE("a network that throws at any step loses, repeats and silences nothing") {
  sweep(trap::kind::network);
}

#ifdef ILM_TEST_TRAPS_MEMORY
TEST_CASE("memory that runs out at any step loses, repeats and silences nothing") {
  sweep(trap::kind::memory, 7);
}
#endif

// The two that are long, without leaving out any step.

TEST_CASE("an event that cannot be given to its reader is there for the next one") {
  clock_type::reset();
  asio::io_context context;
  fabric net;
  side alice{"alice"}, bob{"bob"};
  messenger a(context, trapped_store(alice.store), trapped_network(net.join("alice")),
              application(alice));
  messenger b(context, trapped_store(bob.store), trapped_network(net.join("bob")),
              application(bob));
  clock_type::run_for(context, 1s);
  std::size_t failures = 0;
  std::optional<event_kind> given;
  for (std::uint64_t number = 1; !given && number < 10; ++number) {
    trap::set(trap::kind::copy, number);
    a.next_event([&](std::error_code failed, const event& e) {
      failed ? void(++failures) : void(given = e.kind);
    });
    clock_type::run_for(context, 0s);
    trap::clear();
  }
  CHECK(failures > 0);
  CHECK(given == event_kind::peer_connected);
  clock_type::reset();
}

TEST_CASE("every comparison of a peer id may throw", "[.every_step]") {
  sweep(trap::kind::comparison);
}

#ifdef ILM_TEST_TRAPS_MEMORY
TEST_CASE("every allocation may throw", "[.every_step]") { sweep(trap::kind::memory); }
#endif
