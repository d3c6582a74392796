#pragma once

// A second decoder of the wire format, written from the tables in include/ilm/protocol/README.md:
// the checker shares no code with the library.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace simulation::wire {

/// A stamp (count and random bits), or a hash.
struct name {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const name&, const name&) = default;
};

/// The running hash of a stream after a message.
name extend(const name& before, std::uint64_t sequence, std::uint64_t salt,
            std::span<const std::byte> contents, std::span<const std::byte> attributes);

/// The tag of the session of two nonces.
std::uint64_t session_of(std::uint64_t a, std::uint64_t b);

struct claim {
  name mark;
  std::uint64_t delivered = 0;
  name delivered_hash;
  name confirmed;
  name seen;
  std::uint64_t received = 0;
  name received_hash;
  std::uint64_t acknowledged = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
};

struct hello {
  std::uint64_t lowest_version = 0;
  std::uint64_t highest_version = 0;
  std::uint64_t understood = 0;
  std::uint64_t required = 0;
  std::uint64_t nonce = 0;
  std::uint64_t echo = 0;
  std::uint64_t proven = 0;
  wire::claim claim;
  std::uint64_t base = 0;
  std::uint64_t origin = 0;
  name stream;
  std::uint64_t first = 0;
  name erased_hash;
  name follows;
  std::uint64_t maximum_message = 0;
  std::string source;
  std::string destination;
};

struct item {
  std::span<const std::byte> contents;
  std::span<const std::byte> attributes;
  std::uint64_t salt = 0;
};

struct data {
  std::uint64_t first = 0;
  name before;
  std::vector<item> items;
};

struct ack {
  wire::claim claim;
  std::uint64_t echo = 0;
  std::uint64_t highest = 0;  ///< of the ranges, or `received`
};

struct frame {
  std::uint64_t version = 0;
  std::uint64_t session = 0;
  std::uint64_t challenge = 0;  ///< its nonce
  std::optional<std::pair<std::uint64_t, std::uint64_t>> versions;
  std::uint64_t number = 0;
  std::optional<wire::hello> hello;
  std::vector<wire::data> records;
  std::optional<wire::ack> ack;
  bool ping = false;
  bool bye = false;
};

/// CRC-32C.
std::uint32_t checksum(std::span<const std::byte> bytes);

/// None for bytes that are no frame, or a damaged one.
std::optional<frame> read(std::span<const std::byte> bytes);

/// A frame as text, for traces.
std::string describe(std::span<const std::byte> bytes);

}  // namespace simulation::wire
