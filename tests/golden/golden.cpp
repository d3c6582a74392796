#include "golden/golden.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace golden {

namespace {

golden_frame read(const std::filesystem::path& file) {
  std::istringstream in(contents_of(file));
  golden_frame g;
  g.name = file.filename().string();
  std::string line;
  while (std::getline(in, line) && !line.empty()) {
    if (line == "# Written so by this version.") g.written = written_by::this_version;
    if (line.starts_with("# Read, ")) g.written = written_by::others;
    std::istringstream numbers(line.substr(0, line.find('#')));
    for (std::string byte; numbers >> byte;) {
      g.encoded.push_back(static_cast<std::byte>(std::stoi(byte, nullptr, 16)));
    }
  }
  g.meaning.assign(std::istreambuf_iterator<char>(in), {});
  if (g.encoded.empty() || g.meaning.empty()) throw std::runtime_error(g.name + " is no frame");
  return g;
}

}  // namespace

std::filesystem::path folder() { return ILM_GOLDEN_FOLDER; }

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("there is no " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<golden_frame> golden_frames() {
  std::vector<golden_frame> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() == ".frame") all.push_back(read(entry.path()));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

std::string text(std::span<const std::byte> in) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (std::byte b : in) {
    auto value = std::to_integer<unsigned char>(b);
    if (value > 32 && value < 127 && value != '\\') {
      out += static_cast<char>(value);
    } else {
      out += '\\';
      out += digits[value >> 4];
      out += digits[value & 15];
    }
  }
  return out;
}

}  // namespace golden
