#pragma once

// The files of this folder: README.md says what they are.

#include <ilm/stored.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace golden {

enum class written_by {
  this_version,
  others,  ///< this version reads it, and writes the same otherwise
  nobody,  ///< it is rejected
};

struct golden_frame {
  std::string name;
  std::vector<std::byte> encoded;
  std::string meaning;
  written_by written = written_by::nobody;
};

/// All frames. Throws std::runtime_error where a file is not one.
std::vector<golden_frame> golden_frames();

/// The folder of the frames and stores.
std::filesystem::path folder();
std::string contents_of(const std::filesystem::path& file);

/// Printable bytes as they are, others as \xx.
std::string text(std::span<const std::byte> in);

inline std::string pair(const ilm::stamp& s) {
  return std::to_string(s.count) + '/' + std::to_string(s.random);
}
inline std::string pair(const ilm::stream_hash& h) {
  return std::to_string(h.high) + '/' + std::to_string(h.low);
}

}  // namespace golden
