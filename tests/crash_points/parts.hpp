#pragma once

// The parts of a messenger under test. Each reports the points that it passes, and has no effect
// once its messenger has crashed, even while that is being destroyed.

#include "checker.hpp"
#include "crash_plan.hpp"
#include "disk.hpp"
#include "support/sleep.hpp"
#include "world.hpp"

#include <ilm/backend.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/delivery_context.hpp>
#include <ilm/network.hpp>
#include <ilm/networks/memory.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace crash_points {

using simulated_clock = ilm::testing::simulated_clock;
using fabric = ilm::memory_fabric<std::string, simulated_clock>;
using message = ilm::message<std::string>;
using delivery_context = ilm::delivery_context<std::string>;
using received = ilm::received<std::string>;
using inbox_type = ilm::inbox<std::string>;

/// The state of a side that outlives its messengers, and the behaviour of its application.
struct machine {
  disk store;
  disk before_last_commit;  ///< for a store that forgets
  std::chrono::nanoseconds store_time{};
  bool full = false;
  bool declines = false;
  std::size_t consumed = 0;
};

/// One messenger, from its start to its crash or its end.
struct instance {
  instance(side s, machine& m, checker& c) : self(s), own(m), checks(c) {}

  side self;
  machine& own;
  checker& checks;
  bool alive = true;
  bool first_message = true;
  bool lied = false;
  bool traced = false;
  sabotage defect = sabotage::none;
  /// Called at each point.
  std::function<void(place, const std::string&)> pass;

  void require() const {
    if (!alive) throw has_crashed();
  }
  void at(place p, const std::string& details = {}) {
    require();
    pass(p, details);
    require();
  }
};

class disk_backend {
 public:
  static constexpr ilm::durability durable_to = ilm::durability::process;

  explicit disk_backend(std::shared_ptr<instance> l) : instance_(std::move(l)) {}

  asio::awaitable<ilm::store_state<std::string>> open() {
    std::shared_ptr<instance> l = instance_;
    l->at(place::before_open);
    co_await pause(*l);
    ilm::store_state<std::string> state;
    const disk& d = l->own.store;
    state.local = d.local;
    state.local_id = d.local_id;
    if (d.has_peer) state.peers.emplace_back(name_of(other(l->self)), d.where);
    l->at(place::after_open);
    co_return state;
  }

  asio::awaitable<void> commit(const batch& change) {
    std::shared_ptr<instance> l = instance_;
    l->at(place::before_commit);
    l->checks.handle_commit_begin(l->self);
    co_await pause(*l);
    machine& m = l->own;
    if (m.full) {
      l->at(place::after_commit, "no room");
      throw std::system_error(std::make_error_code(std::errc::no_space_on_device));
    }
    m.before_last_commit = m.store;
    m.store.apply(change);
    l->checks.handle_commit(l->self, m.before_last_commit, change, m.store);
    l->at(place::after_commit);
  }

  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const std::string&,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    std::shared_ptr<instance> l = instance_;
    l->at(place::before_read);
    co_await pause(*l);
    std::vector<ilm::stored_message> page = l->own.store.page(which, from, limit);
    l->at(place::after_read);
    co_return page;
  }

  asio::awaitable<void> close() {
    std::shared_ptr<instance> l = instance_;
    l->at(place::before_close);
    co_await pause(*l);
    l->at(place::after_close);
  }

 private:
  static asio::awaitable<void> pause(const instance& l) {
    if (l.own.store_time == std::chrono::nanoseconds::zero()) co_return;
    co_await test::sleep_for(l.own.store_time);
    l.require();
  }

  std::shared_ptr<instance> instance_;
};

class watched_network {
 public:
  using clock_type = simulated_clock;
  using inner_type = fabric::network_type;
  using event = ilm::network_event<std::string>;
  static constexpr bool reliable = inner_type::reliable;

  watched_network(std::shared_ptr<instance> l, inner_type inner, bool silent)
      : instance_(std::move(l)), inner_(std::move(inner)), silent_(silent) {}

  std::string local_id() const { return inner_.local_id(); }
  std::size_t maximum_frame_size() const { return inner_.maximum_frame_size(); }

  asio::awaitable<void> send(const std::string& to, std::vector<std::byte> frame);
  asio::awaitable<event> receive();

 private:
  bool hides(const event& e);

  std::shared_ptr<instance> instance_;
  inner_type inner_;
  bool silent_;
  bool up_reported_ = false;
  bool handling_ = false;
};

/// An application gets a message: throws if it declines.
void begin_taking(instance& l, const message& m);
/// It answers, and works on.
void answer(instance& l, const message& m, delivery_context& context);
/// It is done with the message.
void end_taking(instance& l, const message& m);

/// The delivery: an application that takes messages, or declines them.
class consumer {
 public:
  explicit consumer(std::shared_ptr<instance> l) : instance_(std::move(l)) {}

  void operator()(message m) {
    instance& l = *instance_;
    begin_taking(l, m);
    end_taking(l, m);
    l.at(place::after_taking, std::string(m.text()));
  }

 private:
  std::shared_ptr<instance> instance_;
};

/// The same, and answers each.
class answering_consumer {
 public:
  explicit answering_consumer(std::shared_ptr<instance> l) : instance_(std::move(l)) {}

  void operator()(message m, delivery_context& context) {
    instance& l = *instance_;
    begin_taking(l, m);
    answer(l, m, context);
    end_taking(l, m);
    l.at(place::after_taking, std::string(m.text()));
  }

 private:
  std::shared_ptr<instance> instance_;
};

/// The application of a reader: ends when its messenger has crashed.
asio::awaitable<void> read(std::shared_ptr<instance> l, inbox_type from);

}  // namespace crash_points
