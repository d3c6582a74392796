#pragma once

// A reliable network in memory with one flaw, chosen at run time, and a factory of such.

#include <ilm/networks/memory.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

enum class bad_line {
  none,
  one_name_for_all,
  small_maximum,
  maximum_differs,
  no_up,
  up_under_another_name,
  up_for_one_side_only,
  drops_all,
  wrong_from,
  wrong_destination,
  to_everybody,
  cuts_long_frames,
  cuts_at_zero,
  loses_last_byte,
  flips_a_bit,
  drops_the_largest,
  drops_tiny_frames,
  shared_buffer,
  frame_before_up,
  up_twice,
  down_twice,
  up_of_itself,
  echo,
  invents_frames,
  loses_one_in_fifty,
  swaps_neighbours,
  repeats_one_in_fifty,
  loses_beyond_a_thousand,
  absent_blocks,
  absent_ends_it,
  slow_one_blocks_all,
  polls,
  foreign_send,
  foreign_receive,
  deaf_to_cancellation,
  send_deaf_to_cancellation,
  no_down,
  frame_after_down,
  no_successor,
  old_frames,
  moved_from_leaves,
  no_second_session,
  end_hangs,
  end_throws_once,
};

class flawed_network {
 public:
  using fabric = ilm::memory_fabric<std::string, std::chrono::steady_clock, true>;
  using inner = fabric::network_type;
  using event = ilm::network_event<std::string>;
  using frame_type = std::vector<std::byte>;
  static constexpr bool reliable = true;

  /// What the networks of one factory share.
  struct hub {
    fabric lines{1, 4096};
    asio::io_context* context = nullptr;
    bad_line flaw{};
    frame_type buffer;
    std::map<std::string, std::deque<frame_type>> left;
    std::map<std::string, int> lives;  ///< how many of each name are there
    std::map<std::string, int> made;
  };

  flawed_network(std::shared_ptr<hub> h, const std::string& name)
      : hub_(std::move(h)), net_(hub_->lines.join(name)), net_id_(name) {
    ++hub_->lives[name];
    ++hub_->made[name];
  }
  ~flawed_network() {
    if (!moved_) --hub_->lives[net_id_];
  }
  flawed_network(flawed_network&& other) noexcept
      : hub_(other.hub_), net_(std::move(other.net_)), net_id_(other.net_id_) {
    other.moved_ = true;
    if (is(bad_line::moved_from_leaves)) hub_->lines.end(net_.local_id());
  }

  std::string local_id() const {
    return is(bad_line::one_name_for_all) ? "everybody" : net_.local_id();
  }
  std::size_t maximum_frame_size() const {
    if (is(bad_line::small_maximum)) return 512;
    bool odd = net_.local_id().back() % 2 != 0;
    return is(bad_line::maximum_differs) && odd ? 2048 : 4096;
  }
  asio::awaitable<void> send(const std::string& to, frame_type frame);
  asio::awaitable<event> receive();

 private:
  bool is(bad_line f) const noexcept { return hub_->flaw == f; }
  asio::awaitable<void> deliver(std::string to, frame_type frame);
  asio::awaitable<event> next();
  std::optional<event> judge(event& e);

  std::shared_ptr<hub> hub_;
  inner net_;
  std::string net_id_;
  bool moved_ = false;
  unsigned sent_ = 0, waiting_ = 0;
  bool ended_ = false;
  std::optional<frame_type> held_;
  std::string held_for_;
  std::deque<event> news_;
  std::map<std::string, unsigned> received_, ups_;
};

struct flawed_networks {
  flawed_networks(asio::io_context& c, bad_line f) {
    hub->context = &c;
    hub->flaw = f;
  }
  flawed_network operator()(unsigned place) { return {hub, "peer " + std::to_string(place)}; }
  void cut(flawed_network& a, flawed_network& b) {
    hub->lines.disconnect(a.local_id(), b.local_id());
  }
  void restore(flawed_network& a, flawed_network& b) {
    if (hub->flaw != bad_line::no_second_session) hub->lines.connect(a.local_id(), b.local_id());
  }
  void end(flawed_network& n) { hub->lines.end(n.local_id()); }

  std::shared_ptr<flawed_network::hub> hub = std::make_shared<flawed_network::hub>();
};

}  // namespace test
