#pragma once

// The checks of sends and deliveries: each message exactly once, unchanged and in order.

#include "simulation/observations.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace simulation {

class message_checker {
 public:
  explicit message_checker(observations& seen) : seen_(seen) {}

  /// An application sends: returns the message's number.
  std::size_t handle_send(std::size_t from, std::size_t to, std::size_t size);
  /// Sends, by receiver and number, of which the store has all or none.
  void handle_batch(std::size_t from, std::vector<std::pair<std::size_t, std::size_t>> sends) {
    seen_.batches.emplace_back(from, std::move(sends));
  }
  void handle_sent(std::size_t from, std::size_t to, std::size_t number, fate f,
                   std::uint64_t sequence);
  void handle_consumed(std::size_t at, std::size_t from, const ilm::message<std::string>& m);
  void handle_receipt(std::size_t from, std::size_t to, std::size_t number);

 private:
  void note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r);

  observations& seen_;
};

}  // namespace simulation
