#pragma once

// A second decoder of the wire format, written from the tables in include/ilm/protocol/README.md:
// the checker shares no code with the library.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace simulation::wire {

struct name {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const name&, const name&) = default;
};

/// The tag of an incarnation: the exclusive or of its four 32-bit words.
std::uint32_t tag_of(const name& incarnation);

struct hello {
  std::uint64_t lowest_version = 0;
  std::uint64_t highest_version = 0;
  std::uint64_t understood = 0;
  std::uint64_t required = 0;
  name local;
  name peer;
  std::uint64_t first = 0;
  std::uint64_t next = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
};

struct item {
  std::span<const std::byte> contents;
  std::span<const std::byte> attributes;
};

struct data {
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;
  std::vector<item> items;
};

struct ack {
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
  std::uint64_t echo = 0;
  std::uint64_t highest = 0;  ///< of the ranges, or `received`
};

struct frame {
  std::uint32_t source_tag = 0;
  std::uint32_t destination_tag = 0;
  std::uint32_t session_tag = 0;
  std::uint64_t number = 0;
  std::optional<wire::hello> hello;
  std::vector<wire::data> records;
  std::optional<wire::ack> ack;
  bool ping = false;
  bool bye = false;
};

/// None for bytes that are no frame, or a damaged one.
std::optional<frame> read(std::span<const std::byte> bytes);

/// A frame as text, for traces.
std::string describe(std::span<const std::byte> bytes);

}  // namespace simulation::wire
