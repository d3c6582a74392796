#include "support/catch.hpp"
#include "support/fault_vfs.hpp"
#include "support/kits.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/testing/backend_kit.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

using namespace test;
using ilm::testing::backend_clause;
using ilm::testing::try_backend;

namespace {

/// Stores in files, on a disk that fails and loses its power when told.
template <ilm::durability Level>
class sqlite_stores {
 public:
  ilm::sqlite_backend<std::string, Level> operator()(unsigned n) {
    ilm::sqlite_options o;
    o.vfs = fault_disk::name;
    return ilm::sqlite_backend<std::string, Level>(file(n), o);
  }

  void fail_commits(unsigned, bool on) {
    disk_.result_of = [on](operation o) { return on && o == operation::write ? SQLITE_FULL : 0; };
  }
  void fail_opens(unsigned, bool on) {
    disk_.result_of = [on](operation o) {
      return on && o == operation::read ? SQLITE_IOERR_READ : 0;
    };
  }

  /// At `media` a cut of the power, at `os` the end of the process.
  void crash(unsigned n) {
    disk_.result_of = nullptr;
    std::string old = file(n);
    ++generations_[n];
    bool keeps_all = Level == ilm::durability::os;
    disk_.copy_cut(old, file(n), [&] { return keeps_all || random_() % 2 == 0; });
  }
  void crash_at(unsigned, unsigned step) {
    auto at = std::make_shared<unsigned>(0);
    disk_.result_of = [at, step](operation o) {
      return o != operation::read && (*at)++ >= step ? SQLITE_IOERR_WRITE : SQLITE_OK;
    };
  }

  void damage(unsigned n, ilm::queue which, const std::string&, std::uint64_t index) {
    std::string table = which == ilm::queue::outbox ? "ilm_outbox" : "ilm_inbox";
    outsider(file(n), "UPDATE " + table +
                          " SET contents = zeroblob(length(contents)) WHERE key % (1 << 40) = " +
                          std::to_string(index));
  }
  void damage(unsigned n) {
    std::fstream f(file(n), std::ios::in | std::ios::out | std::ios::binary);
    f.write(std::string(4096, '\0').data(), 4096);
  }

 private:
  using operation = fault_disk::operation;

  std::string file(unsigned n) {
    return (directory_ / (std::to_string(n) + "." + std::to_string(generations_[n]) + ".db"))
        .string();
  }

  temporary_directory directory_;
  fault_disk disk_;
  std::map<unsigned, unsigned> generations_;
  std::mt19937 random_{1};
};

}  // namespace

TEST_CASE("sqlite_backend keeps its contract at `os`, also when the process ends") {
  asio::io_context context;
  sqlite_stores<ilm::durability::os> factory;
  auto summary = try_backend(context, factory, fail_if_broken<backend_clause>);
  CHECK(summary);
  CHECK(summary.skipped == 1);  // SQLite reads from its cache what a disk cannot give
}

TEST_CASE("sqlite_backend keeps its contract at `media`, also when the power is cut") {
  asio::io_context context;
  sqlite_stores<ilm::durability::media> factory;
  CHECK(try_backend(context, factory, fail_if_broken<backend_clause>));
}
