#pragma once

// A second decoder of frames, written from the tables in include/ilm/protocol/README.md without
// code of the library: an error of the library's encoder must not hide in its decoder.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace crash_points {

struct frame {
  struct cursors {
    std::uint64_t received = 0;
    std::uint64_t delivered = 0;
  };

  bool hello = false;
  bool ping = false;
  bool bye = false;
  /// The cursors of a hello or an ack.
  std::optional<cursors> claim;
  /// Messages with their sequences.
  std::vector<std::pair<std::uint64_t, std::string>> messages;

  /// Throws std::runtime_error if it is not as documented.
  static frame read(std::span<const std::byte> bytes);

  std::string text() const;
};

/// Makes the ack in a frame without checksum claim one message more. False if there is none.
bool inflate_ack(std::vector<std::byte>& bytes);

}  // namespace crash_points
