#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/testing/backend_kit.hpp>

// The example, whole, for its store; its main is nobody's here, and needs no return.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
#define main main_of_own_backend
#include "../../examples/own_backend.cpp"
#undef main
#pragma GCC diagnostic pop

#include <filesystem>

namespace {

/// Journals in a folder that goes with it.
struct journals {
  journals() { std::filesystem::create_directories(folder); }
  journals(const journals&) = delete;
  journals& operator=(const journals&) = delete;
  ~journals() { std::filesystem::remove_all(folder); }

  journal operator()(unsigned n) { return journal(path(n)); }
  /// Handles to the old file go on writing to it.
  void crash(unsigned n) {
    std::string before = path(n);
    ++generations[n];
    if (std::filesystem::exists(before)) std::filesystem::copy_file(before, path(n));
  }
  void damage(unsigned n) {
    std::fstream file(path(n), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(20);
    auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(20);
    file.put(byte);
  }
  void damage(unsigned n, ilm::queue, const std::string&, std::uint64_t) { damage(n); }

  std::string path(unsigned n) {
    return folder / (std::to_string(n) + "." + std::to_string(generations[n]));
  }

  std::filesystem::path folder = std::filesystem::temp_directory_path() /
                                 ("ilm_kits_own_backend." + std::to_string(::getpid()));
  std::map<unsigned, unsigned> generations;
};

}  // namespace

TEST_CASE("the backend that the examples show keeps its contract") {
  asio::io_context context;
  auto summary = ilm::testing::try_backend(context, journals(),
                                           test::fail_if_broken<ilm::testing::backend_clause>);
  CHECK(summary);
}
