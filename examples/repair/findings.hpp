#pragma once

#include "../support/program.hpp"
#include "damaged_tables.hpp"

#include <ilm/backend.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

/// A peer id is bytes to a store: text if it looks like that, otherwise in hexadecimal.
inline std::string readable(const std::string& name) {
  auto shows = [](unsigned char c) { return c >= ' ' && c < 0x7f; };
  if (std::all_of(name.begin(), name.end(), shows)) return name;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "0x";
  for (char c : name) {
    auto value = static_cast<unsigned char>(c);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

/// `to bob`, or the number of a peer whose row is damaged.
inline std::string direction(ilm::queue which, std::uint64_t id, const peer_rows& peers) {
  std::string text = which == ilm::queue::outbox ? "to " : "from ";
  auto known = peers.find(id);
  if (known != peers.end() && known->second.whole) return text + readable(known->second.name);
  return text + "peer " + std::to_string(id) + ", whose row is damaged";
}

/// The damage, in order; of rows, not more than somebody wants to read.
class findings {
 public:
  void add(const std::string& text) { all_.push_back(text); }
  void add_row(const std::string& text) {
    if (++rows_ <= maximum_rows) all_.push_back(text);
  }
  bool empty() const noexcept { return all_.empty(); }
  void print(std::ostream& out) const {
    for (const std::string& text : all_) out << "  " << ilm::printable(text) << '\n';
    if (rows_ > maximum_rows) out << "  and " << rows_ - maximum_rows << " rows more\n";
  }

 private:
  static constexpr std::size_t maximum_rows = 20;
  std::vector<std::string> all_;
  std::size_t rows_ = 0;
};
