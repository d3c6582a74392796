#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace torture {

/// The end of the pipe to the driver, and the exit codes of a peer besides 0.
inline constexpr int report_descriptor = 3;
inline constexpr int exit_failed = 2;
inline constexpr int exit_orphan = 3;

/// Peers are "a", "b" and so on; in journals they go by number.
inline std::uint8_t number_of(std::string_view name) {
  return static_cast<std::uint8_t>(name.at(0) - 'a');
}

struct peer_address {
  peer_address(std::string peer_name, std::string peer_host)
      : name(std::move(peer_name)), number(number_of(name)), address(std::move(peer_host)) {}

  std::string name;
  std::uint8_t number;
  std::string address;
};

/// The command line of a peer: DIRECTORY NAME LEVEL PROCESS GENERATION SEED SABOTAGE ROLE FAR_END
/// NAME=ADDRESS...
///
/// ROLE is "peer", or in a chain "end" (with the name of the far end), "handler" or "inbox".
struct peer_arguments {
  explicit peer_arguments(const std::vector<std::string>& words) {
    if (words.size() < 10) {
      throw std::invalid_argument("this is a part of ilm_torture, which starts it; see there");
    }
    directory = words[0];
    name = words[1];
    number = number_of(name);
    level = words[2];
    process_number = static_cast<std::uint32_t>(to_number(words[3]));
    generation = static_cast<std::uint16_t>(to_number(words[4]));
    seed = to_number(words[5]);
    sabotage = words[6];
    role = words[7];
    far_end = words[8];
    for (std::size_t i = 9; i < words.size(); ++i) {
      peers.emplace_back(words[i].substr(0, 1), words[i].substr(2));
    }
  }

  static std::uint64_t to_number(const std::string& word) {
    std::uint64_t value = 0;
    auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (failed != std::errc() || end != word.data() + word.size()) {
      throw std::invalid_argument("not a number: " + word);
    }
    return value;
  }

  /// The peer whose messages come from this neighbour, and to whom messages go by it.
  std::uint8_t partner_by(const peer_address& neighbour) const {
    return role == "end" ? number_of(far_end) : neighbour.number;
  }

  std::filesystem::path file(const char* kind) const { return directory / (name + "." + kind); }

  std::filesystem::path directory;
  std::string name;
  std::uint8_t number = 0;
  std::string level;
  std::uint32_t process_number = 0;
  std::uint16_t generation = 0;
  std::uint64_t seed = 0;
  std::string sabotage;
  std::string role;
  std::string far_end;
  std::vector<peer_address> peers;
};

}  // namespace torture
