#pragma once

// The checks of frames, read by a decoder of the checkers' own.

#include "simulation/observations.hpp"
#include "simulation/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <tuple>

namespace simulation {

class frame_checker {
 public:
  explicit frame_checker(observations& seen) : seen_(seen) {}

  void handle_frame_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  void handle_frame_arrived(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  /// How many sessions there were, each counted from both sides. Events would not tell: where
  /// sessions flap, one event says later how the last one stood.
  std::size_t sessions() const noexcept { return numbers_.size(); }

 private:
  struct flow {
    std::uint64_t acknowledged = 0;
    std::uint64_t credit = 0;
    std::uint64_t acknowledged_received = 0;
    std::uint64_t acknowledged_delivered = 0;
    std::uint64_t mark = 0;
  };

  void check_number(std::size_t from, std::size_t to, const wire::frame& f);
  void check_ack(std::size_t from, std::size_t to, const wire::frame& f);
  void check_hello(std::size_t from, std::size_t to, const wire::frame& f);
  bool covers(std::size_t from, std::size_t to, const wire::claim& c) const;
  void check_data(std::size_t from, std::size_t to, const wire::frame& f);

  observations& seen_;
  std::map<std::tuple<std::size_t, std::size_t, std::uint64_t>, flow> flows_;  ///< by session
  /// The number of the last frame with data, by session.
  std::map<std::tuple<std::size_t, std::size_t, std::uint64_t>, std::uint64_t> numbers_;
  std::map<pair_name, std::uint64_t> hello_first_;
  std::map<pair_name, std::uint64_t> delivered_seen_;  ///< by acks that arrived
};

}  // namespace simulation
