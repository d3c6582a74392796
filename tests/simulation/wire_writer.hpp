#pragma once

// An encoder of frames, written from the tables in include/ilm/protocol/README.md as the decoder
// is: for those who send frames in the name of a peer.

#include "simulation/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace simulation::wire {

using bytes = std::vector<std::byte>;

/// The header of a frame of a session.
struct header {
  std::uint64_t version = 1;
  std::uint64_t session = 0;
  std::uint64_t number = 0;
};

enum class plain : std::uint8_t { ping = 4, bye = 5 };

bytes write_challenge(std::uint64_t nonce);
bytes write_hello(const hello& h);
bytes write_versions(std::uint64_t lowest, std::uint64_t highest);
/// An ack without ranges.
bytes write_ack(const header& in, const ack& a);
/// One message.
bytes write_data(const header& in, std::uint64_t sequence, const name& before, std::uint64_t salt,
                 std::span<const std::byte> contents);
bytes write(const header& in, plain record);

}  // namespace simulation::wire
