#pragma once

// The checks of events as they come: each has a cause.

#include "simulation/observations.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <system_error>
#include <vector>

namespace simulation {

class event_checker {
 public:
  explicit event_checker(observations& seen) : seen_(seen) {}

  void handle_event(std::size_t at, std::size_t about, const event_type& e);
  /// An event without a peer.
  void handle_own_event(std::size_t at, const event_type& e);
  void corruption_begins() { corruption_ = true; }
  /// A process of this build started.
  void handle_build(std::size_t at, const ilm::options& o);
  /// A frame arrived that somebody sent in the name of `about`.
  void handle_guess(std::size_t at, std::size_t about, std::span<const std::byte> bytes);

 private:
  void handle_session(std::size_t at, std::size_t about);
  void handle_rejected(std::size_t at, std::size_t about, const event_type& e);
  bool may_reject(std::size_t at, std::size_t about, std::error_code e) const;
  bool may_be_incompatible(std::size_t at, std::size_t about);

  observations& seen_;
  bool corruption_ = false;
  bool builds_differ_ = false;
  std::vector<std::vector<ilm::options>> builds_;  ///< of each peer
  std::map<pair_name, std::uint64_t> guesses_;     ///< each of which may be rejected once
  std::map<pair_name, std::uint64_t> guessed_versions_;
};

}  // namespace simulation
