#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace torture {

/// The options of the program.
struct driver_options {
  std::uint64_t kills = 40;
  std::uint64_t rollbacks = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t seed = 0;
  std::chrono::minutes limit{0};
  std::chrono::seconds patience{90};
  std::string level = "os";
  std::size_t peers = 0;  ///< after `parse` at least 2
  std::string chain;      ///< the kind of its relays; empty: each peer sends to each
  std::filesystem::path keep;
  std::filesystem::path peer_program;
  std::string sabotage = "none";
  bool help = false;

  /// Throws std::invalid_argument with a text for the user.
  static driver_options parse(const std::vector<std::string>& words);
  std::string replay_command() const;

  /// Whether two peers have a session.
  bool are_neighbours(std::size_t a, std::size_t b) const noexcept {
    return a != b && (chain.empty() || a + 1 == b || b + 1 == a);
  }
  bool is_relay(std::size_t peer) const noexcept {
    return !chain.empty() && peer != 0 && peer + 1 != peers;
  }
};

extern const std::string_view usage;

}  // namespace torture
