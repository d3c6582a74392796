#pragma once

// A reliable network in memory with one flaw, chosen at run time, and a factory of such. It lives
// in simulated time.

#include <ilm/networks/memory.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

enum class bad_line {
  // Not bad, but allowed.
  none,
  waits_when_full,
  throws_for_absent,
  // local_id and maximum_frame_size.
  one_name_for_all,
  name_changes,
  small_maximum,
  maximum_differs,
  maximum_changes,
  // Frames.
  drops_all,
  send_throws,
  wrong_from,
  wrong_destination,
  to_everybody,
  cuts_long_frames,
  cuts_at_zero,
  loses_last_byte,
  flips_a_bit,
  merges_frames,
  splits_frames,
  drops_the_largest,
  cuts_the_largest,
  drops_tiny_frames,
  shared_buffer,
  echo,
  invents_frames,
  loses_one_in_fifty,
  loses_one_in_three_thousand,
  swaps_neighbours,
  repeats_one_in_fifty,
  loses_half_the_sizes,
  wrong_from_in_a_thousand,
  small_overtake_large,
  loses_beyond_a_thousand,
  keeps_a_hundred,
  absent_blocks,
  absent_ends_it,
  slow_one_blocks_all,
  polls,
  foreign_send,
  foreign_receive,
  receive_ignores_cancellation,
  send_ignores_cancellation,
  // Sessions.
  no_up,
  receive_throws,
  up_under_another_name,
  up_for_one_side_only,
  frame_before_up,
  up_twice,
  up_of_itself,
  down_twice,
  no_down,
  no_down_when_cut,
  frame_after_down,
  name_stays_taken,
  no_successor,
  old_frames,
  moved_from_leaves,
  no_second_session,
  repeats_the_last_after_up,
  end_hangs,
  end_throws_once,
};

class flawed_network {
 public:
  using clock = ilm::testing::simulated_clock;
  using fabric = ilm::memory_fabric<std::string, clock, true>;
  using inner = fabric::network_type;
  using event = ilm::network_event<std::string>;
  using frame_type = std::vector<std::byte>;
  static constexpr bool reliable = true;

  /// Shared by the networks of one factory.
  struct hub {
    fabric lines{1, 4096};
    asio::io_context* context = nullptr;
    bad_line flaw{};
    frame_type buffer;
    std::map<std::string, std::deque<frame_type>> left;
    std::map<std::string, int> instances;  ///< how many of each name are there
    std::map<std::string, int> made;
    /// Frames not received yet, by sender and receiver.
    std::map<std::pair<std::string, std::string>, unsigned> under_way;
  };

  flawed_network(std::shared_ptr<hub> h, const std::string& name);
  flawed_network(flawed_network&& other) noexcept;
  ~flawed_network();

  std::string local_id() const;
  std::size_t maximum_frame_size() const;
  asio::awaitable<void> send(const std::string& to, frame_type frame);
  asio::awaitable<event> receive();

 private:
  bool is(bad_line f) const noexcept { return hub_->flaw == f; }
  bool loses(const std::string& to, const frame_type& frame);
  bool holds_back(const std::string& to, frame_type& frame);
  void spoil(frame_type& frame) const;
  std::string misdirect(const std::string& to) const;
  bool full(const std::string& to) const;
  asio::awaitable<void> wait_for_room(const std::string& to);
  asio::awaitable<void> dispatch(std::string to, frame_type frame);
  asio::awaitable<void> deliver(std::string to, frame_type frame);
  asio::awaitable<event> next();
  asio::awaitable<event> next_uncancellable();
  std::optional<event> spoil_event(event& e);
  std::optional<event> spoil_up(event& e);
  std::optional<event> spoil_down(event& e);
  void spoil_frame(event& e);

  std::shared_ptr<hub> hub_;
  std::shared_ptr<inner> net_;
  std::string name_;
  bool moved_ = false;
  unsigned sent_ = 0;
  bool ended_ = false;
  bool ticking_ = false;
  std::optional<frame_type> held_;
  std::string held_for_;
  std::deque<event> pending_events_;
  std::map<std::string, unsigned> received_, ups_;
  std::map<std::string, frame_type> newest_;
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
