#pragma once

// The checks of sends and deliveries: each message exactly once, unchanged and in order.

#include "simulation/observations.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace simulation {

class message_checker {
 public:
  explicit message_checker(observations& seen) : seen_(seen) {}

  /// An application sends: returns the message's number.
  std::size_t handle_send(std::size_t from, std::size_t to, std::size_t size);
  void handle_sent(std::size_t from, std::size_t to, std::size_t number, fate f,
                   std::uint64_t sequence);
  void handle_consumed(std::size_t at, std::size_t from, const ilm::message<std::string>& m);
  void handle_receipt(std::size_t from, std::size_t to, std::size_t number);

 private:
  void note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r);

  observations& seen_;
};

}  // namespace simulation
