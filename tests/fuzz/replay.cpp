// Runs files through a fuzzer's entry point, without libFuzzer and with any compiler: each past
// finding is a test of its own that way. Arguments are files, and directories of files.

#include "fuzz/input.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <vector>

namespace {

using path = std::filesystem::path;

void replay(const path& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<char> held{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  // As large as the input to the byte, so that a sanitizer sees who reads beyond it.
  auto exact = std::make_unique<std::uint8_t[]>(held.size());
  std::copy(held.begin(), held.end(), exact.get());
  // Before it runs: if it ends the process, this line says which one it was.
  std::cout << file.filename().string() << std::endl;
  LLVMFuzzerTestOneInput(exact.get(), held.size());
}

std::vector<path> files_of(const path& place) {
  if (!std::filesystem::is_directory(place)) return {place};
  std::vector<path> files;
  for (const auto& entry : std::filesystem::directory_iterator(place)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t replayed = 0;
  for (int i = 1; i < count; ++i) {
    for (const path& file : files_of(arguments[i])) {
      replay(file);
      ++replayed;
    }
  }
  std::cout << replayed << " inputs\n";
  return replayed != 0 ? 0 : 1;
}
