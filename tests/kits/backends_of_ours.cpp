#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/testing/backend_kit.hpp>
#include <ilm/testing/faulty_backend.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <array>
#include <chrono>
#include <map>

using namespace test;
using ilm::testing::backend_clause;
using ilm::testing::try_backend;

// The backends that need nothing but memory.

namespace {

using simulated = ilm::testing::simulated_clock;
using uuid = std::array<unsigned char, 16>;

template <class PeerId>
void try_memory() {
  asio::io_context context;
  std::map<unsigned, ilm::memory_backend<PeerId>> stores;
  auto factory = [&](unsigned n) { return stores[n]; };
  CHECK(try_backend<PeerId>(context, factory, fail_if_broken<backend_clause>));
}

/// Stores that take their time, fail, and crash when told.
template <class Clock>
struct faulty_stores {
  using inner = ilm::memory_backend<std::string>;

  ilm::testing::faulty_backend<std::string, inner, Clock> operator()(unsigned n) {
    auto f = faults(n);
    f->commit_time = f->read_time = pause;
    return ilm::testing::faulty_backend<std::string, inner, Clock>(stores[n], f);
  }

  void fail_commits(unsigned n, bool on) { faults(n)->commit_error = error(on); }
  void fail_reads(unsigned n, bool on) { faults(n)->read_error = error(on); }
  void fail_opens(unsigned n, bool on) { faults(n)->open_error = error(on); }
  void crash(unsigned n) { stores[n] = stores[n].copy(); }

  static std::error_code error(bool on) {
    return on ? std::make_error_code(std::errc::io_error) : std::error_code();
  }
  std::shared_ptr<ilm::testing::store_faults> faults(unsigned n) {
    auto& f = all_faults[n];
    if (!f) f = std::make_shared<ilm::testing::store_faults>();
    return f;
  }

  std::map<unsigned, inner> stores;
  std::map<unsigned, std::shared_ptr<ilm::testing::store_faults>> all_faults;
  std::chrono::nanoseconds pause{};
};

}  // namespace

TEST_CASE("memory_backend keeps its contract with any type of peer id") {
  try_memory<std::string>();
  try_memory<std::uint16_t>();
  try_memory<uuid>();
}

TEST_CASE("faulty_backend keeps the contract of a backend while it fails") {
  asio::io_context context;
  faulty_stores<std::chrono::steady_clock> factory;
  CHECK(try_backend(context, factory, fail_if_broken<backend_clause>));
}

TEST_CASE("simulated_store keeps its contract, also in a crash") {
  struct disks {
    ilm::testing::simulated_store<std::string> operator()(unsigned n) {
      return ilm::testing::simulated_store<std::string>(all[n]);
    }
    void crash(unsigned n) { all[n].crash(); }
    void damage(unsigned n, ilm::queue which, const std::string& peer, std::uint64_t index) {
      all[n].flip(which, peer, index);
    }
    std::map<unsigned, ilm::testing::simulated_disk<std::string>> all;
  };
  asio::io_context context;
  disks factory;
  CHECK(try_backend(context, factory, fail_if_broken<backend_clause>));
}

TEST_CASE("the kit tries a slow backend in simulated time") {
  simulated::reset();
  asio::io_context context;
  {
    faulty_stores<simulated> factory;
    factory.pause = std::chrono::seconds(1);
    CHECK(try_backend<std::string, simulated>(context, factory, fail_if_broken<backend_clause>));
  }
  simulated::reset();
}

TEST_CASE("the kit reports each clause once, and names the missing members of the factory") {
  asio::io_context context;
  std::map<unsigned, ilm::memory_backend<std::string>> stores;
  std::map<backend_clause, int> reports;
  std::size_t skipped = 0;
  auto count = [&](const ilm::testing::kit_report<backend_clause>& r) {
    ++reports[r.clause];
    CHECK_FALSE(r.text.empty());
    CHECK(r.outcome != ilm::testing::kit_outcome::broken);
    if (r.outcome != ilm::testing::kit_outcome::skipped) return;
    ++skipped;
    CHECK_THAT(r.found, ContainsSubstring("the factory has no"));
  };
  auto factory = [&](unsigned n) { return stores[n]; };
  auto summary = try_backend(context, factory, count);
  CHECK(summary);
  CHECK(summary.skipped == skipped);
  CHECK(skipped == 10);
  CHECK(reports.size() == summary.kept + summary.skipped);
  CHECK(reports.size() == static_cast<std::size_t>(backend_clause::damaged_store) + 1);
  for (auto [clause, times] : reports) CHECK(times == 1);
}
