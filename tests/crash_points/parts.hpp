#pragma once

// The parts that a messenger under test is made of. Each tells the stage where it is, and does
// nothing any more when its messenger has crashed, whatever that still does while it is destroyed.

#include "disk.hpp"
#include "judge.hpp"
#include "stage.hpp"
#include "words.hpp"

#include <ilm/backend.hpp>
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

/// What a side keeps when its messenger crashes, and what its application does.
struct machine {
  disk store;
  disk before_last_commit;  ///< for a store that forgets
  std::chrono::nanoseconds store_time{};
  bool full = false;
  bool turns_down = false;
  std::size_t taken = 0;
};

/// One messenger, from its start to its crash or its end.
struct life {
  life(side s, machine& m, judge& j) : who(s), own(m), court(j) {}

  side who;
  machine& own;
  judge& court;
  bool alive = true;
  bool first_message = true;
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

  explicit disk_backend(std::shared_ptr<life> l) : life_(std::move(l)) {}

  asio::awaitable<ilm::store_state<std::string>> open() {
    std::shared_ptr<life> l = life_;
    l->at(place::before_open);
    co_await pause(*l);
    ilm::store_state<std::string> state;
    const disk& d = l->own.store;
    state.local = d.local;
    if (d.met) state.peers.emplace_back(name_of(other(l->who)), d.where);
    l->at(place::after_open);
    co_return state;
  }

  asio::awaitable<void> commit(const batch& change) {
    std::shared_ptr<life> l = life_;
    l->at(place::before_commit);
    l->court.committing(l->who);
    co_await pause(*l);
    machine& m = l->own;
    if (m.full) {
      l->at(place::after_commit, "no room");
      throw std::system_error(std::make_error_code(std::errc::no_space_on_device));
    }
    m.before_last_commit = m.store;
    m.store.apply(change);
    l->court.committed(l->who, m.store);
    l->at(place::after_commit);
  }

  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::box which, const std::string&,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    std::shared_ptr<life> l = life_;
    l->at(place::before_read);
    co_await pause(*l);
    std::vector<ilm::stored_message> page = l->own.store.page(which, from, limit);
    l->at(place::after_read);
    co_return page;
  }

  asio::awaitable<void> close() {
    std::shared_ptr<life> l = life_;
    l->at(place::before_close);
    co_await pause(*l);
    l->at(place::after_close);
  }

 private:
  static asio::awaitable<void> pause(const life& l) {
    if (l.own.store_time == std::chrono::nanoseconds::zero()) co_return;
    ilm::testing::simulated_timer timer(co_await asio::this_coro::executor, l.own.store_time);
    co_await timer.async_wait(asio::use_awaitable);
    l.require();
  }

  std::shared_ptr<life> life_;
};

class watched_network {
 public:
  using clock_type = simulated_clock;
  using inner_type = fabric::network_type;
  using event = ilm::network_event<std::string>;
  static constexpr bool reliable = inner_type::reliable;

  watched_network(std::shared_ptr<life> l, inner_type inner, bool untold)
      : life_(std::move(l)), inner_(std::move(inner)), untold_(untold) {}

  std::string local_id() const { return inner_.local_id(); }
  std::size_t maximum_frame_size() const { return inner_.maximum_frame_size(); }

  asio::awaitable<void> send(const std::string& to, std::vector<std::byte> frame);
  asio::awaitable<event> receive();

 private:
  bool hides(const event& e);

  std::shared_ptr<life> life_;
  inner_type inner_;
  bool untold_;
  bool up_told_ = false;
  bool handling_ = false;
};

/// The delivery: an application that takes what comes, or turns it down.
class taker {
 public:
  explicit taker(std::shared_ptr<life> l) : life_(std::move(l)) {}

  void operator()(message m) {
    life& l = *life_;
    l.at(place::before_taking, std::string(m.text()));
    if (l.own.turns_down) {
      l.court.not_taken(l.who, m);
      throw std::runtime_error("not now");
    }
    bool first = std::exchange(l.first_message, false);
    if (!first || l.defect != sabotage::dropping) l.court.taken(l.who, m, l.own.store);
    if (first && l.defect == sabotage::repeating) l.court.taken(l.who, m, l.own.store);
    ++l.own.taken;
    l.at(place::after_taking, std::string(m.text()));
  }

 private:
  std::shared_ptr<life> life_;
};

}  // namespace crash_points
