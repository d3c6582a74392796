#pragma once

// A SQLite VFS over the default one that fails on request, and whose power can be cut.

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

/// The disk behind the VFS `name`. Thread-safe. One at a time.
class fault_disk {
 public:
  static constexpr const char* name = "ilm_fault";
  enum class operation { read, write, truncate, sync };

  /// Asked before each operation on a file of a store: what it fails with, or SQLITE_OK. A write
  /// that fails has written half, or nothing.
  std::function<int(operation)> result_of;
  bool writes_half = true;
  bool read_only = false;
  /// Called in place of each sleep of SQLite's, which waits for a lock.
  std::function<void()> instead_of_sleep;

  fault_disk() {
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + base_->szOsFile;
    vfs_.zName = name;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xSleep = sleep;
    vfs_.pNext = nullptr;
    sqlite3_vfs_register(&vfs_, 0);
  }
  fault_disk(const fault_disk&) = delete;
  fault_disk& operator=(const fault_disk&) = delete;
  ~fault_disk() { sqlite3_vfs_unregister(&vfs_); }

  /// From now on it is the VFS of stores that name none.
  void be_default() { sqlite3_vfs_register(&vfs_, 1); }

  std::uint64_t count(operation o) const {
    std::lock_guard lock(mutex_);
    return counts_[static_cast<int>(o)];
  }
  /// SQLITE_SYNC_NORMAL or SQLITE_SYNC_FULL.
  int kind_of_last_sync() const {
    std::lock_guard lock(mutex_);
    return last_sync_ & 0xf;
  }

  /// Copies a store as a power cut now would leave it: what was written and not synced is gone, but
  /// for what `keep` says of each write. Connections to the store may be open.
  void copy_cut(const std::string& from, const std::string& to, const std::function<bool()>& keep) {
    std::lock_guard lock(mutex_);
    for (const char* part : {"", "-wal"}) {
      std::error_code none;
      std::filesystem::copy_file(from + part, to + part, none);
      if (none) continue;
      const std::vector<change>& changes = unsynced_[from + part];
      for (auto at = changes.rbegin(); at != changes.rend(); ++at) {
        if (!keep()) undo(to + part, *at);
      }
    }
  }

  /// What was written and not synced is gone, but for what `keep` says of each write. No connection
  /// may be open.
  void cut_power(const std::function<bool()>& keep) {
    std::lock_guard lock(mutex_);
    for (auto& [path, changes] : unsynced_) {
      for (auto at = changes.rbegin(); at != changes.rend(); ++at) {
        if (!keep()) undo(path, *at);
      }
      changes.clear();
    }
  }

 private:
  /// How a file was before a change.
  struct change {
    sqlite3_int64 size = 0;
    sqlite3_int64 offset = 0;
    std::vector<char> old;
  };

  struct file {
    sqlite3_file base;
    fault_disk* disk;
    std::string* path;  ///< null for what is no part of a store
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static file& of(sqlite3_file* f) { return *reinterpret_cast<file*>(f); }

  int ask(operation o) {
    std::lock_guard lock(mutex_);
    ++counts_[static_cast<int>(o)];
    return result_of ? result_of(o) : SQLITE_OK;
  }

  static void remember(file& f, sqlite3_int64 offset, std::size_t bytes) {
    change c;
    f.real()->pMethods->xFileSize(f.real(), &c.size);
    c.offset = offset;
    sqlite3_int64 there = std::min<sqlite3_int64>(static_cast<sqlite3_int64>(bytes),
                                                  std::max<sqlite3_int64>(c.size - offset, 0));
    c.old.resize(static_cast<std::size_t>(there));
    if (there > 0) {
      f.real()->pMethods->xRead(f.real(), c.old.data(), static_cast<int>(there), offset);
    }
    std::lock_guard lock(f.disk->mutex_);
    f.disk->unsynced_[*f.path].push_back(std::move(c));
  }

  void undo(const std::string& path, const change& c) {
    std::vector<char> memory(static_cast<std::size_t>(base_->szOsFile));
    auto* f = reinterpret_cast<sqlite3_file*>(memory.data());
    // The name needs a second NUL, as SQLite's own names have.
    std::string padded = path + std::string(2, '\0');
    if (base_->xOpen(base_, padded.c_str(), f, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB,
                     nullptr) != SQLITE_OK) {
      return;
    }
    if (!c.old.empty()) {
      f->pMethods->xWrite(f, c.old.data(), static_cast<int>(c.old.size()), c.offset);
    }
    sqlite3_int64 now = 0;
    f->pMethods->xFileSize(f, &now);
    if (now > c.size) f->pMethods->xTruncate(f, c.size);
    f->pMethods->xClose(f);
  }

  // The methods that SQLite calls.

  static int sleep(sqlite3_vfs* v, int microseconds) {
    auto* disk = static_cast<fault_disk*>(v->pAppData);
    if (!disk->instead_of_sleep) return disk->base_->xSleep(disk->base_, microseconds);
    disk->instead_of_sleep();
    return microseconds;
  }

  static int open(sqlite3_vfs* v, const char* path, sqlite3_file* out, int flags, int* got) {
    auto* disk = static_cast<fault_disk*>(v->pAppData);
    file& f = of(out);
    f.base.pMethods = nullptr;
    f.disk = disk;
    f.path = nullptr;
    bool of_store = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0;
    if (of_store && disk->read_only) {
      if ((flags & SQLITE_OPEN_READONLY) == 0 && (flags & SQLITE_OPEN_MAIN_DB) == 0) {
        return SQLITE_CANTOPEN;
      }
      flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    }
    int result = disk->base_->xOpen(disk->base_, path, f.real(), flags, got);
    if (result != SQLITE_OK) return result;
    if (of_store) f.path = new std::string(path);
    f.base.pMethods = methods();
    return SQLITE_OK;
  }
  static int close(sqlite3_file* f) {
    delete of(f).path;
    return of(f).real()->pMethods->xClose(of(f).real());
  }
  static int read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
    if (of(f).path != nullptr) {
      if (int failed = of(f).disk->ask(operation::read)) return failed;
    }
    return of(f).real()->pMethods->xRead(of(f).real(), data, size, at);
  }
  static int write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
    if (of(f).path == nullptr) return of(f).real()->pMethods->xWrite(of(f).real(), data, size, at);
    int failed = of(f).disk->ask(operation::write);
    int written = failed == SQLITE_OK ? size : of(f).disk->writes_half ? size / 2 : 0;
    remember(of(f), at, static_cast<std::size_t>(written));
    int result = of(f).real()->pMethods->xWrite(of(f).real(), data, written, at);
    return failed != SQLITE_OK ? failed : result;
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    if (of(f).path != nullptr) {
      if (int failed = of(f).disk->ask(operation::truncate)) return failed;
      sqlite3_int64 before = 0;
      of(f).real()->pMethods->xFileSize(of(f).real(), &before);
      if (before > size) remember(of(f), size, static_cast<std::size_t>(before - size));
    }
    return of(f).real()->pMethods->xTruncate(of(f).real(), size);
  }
  static int sync(sqlite3_file* f, int flags) {
    if (of(f).path == nullptr) return of(f).real()->pMethods->xSync(of(f).real(), flags);
    if (int failed = of(f).disk->ask(operation::sync)) return failed;
    std::lock_guard lock(of(f).disk->mutex_);
    of(f).disk->last_sync_ = flags;
    of(f).disk->unsynced_[*of(f).path].clear();
    return SQLITE_OK;  // the test ends before the machine does
  }

#define ILM_TEST_PASS_ON(method, parameters, arguments) \
  [] parameters {                                       \
    sqlite3_file* r = of(f).real();                     \
    return r->pMethods->method arguments;               \
  }
  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all = {
        2,
        close,
        read,
        write,
        truncate,
        sync,
        ILM_TEST_PASS_ON(xFileSize, (sqlite3_file * f, sqlite3_int64 * s), (r, s)),
        ILM_TEST_PASS_ON(xLock, (sqlite3_file * f, int l), (r, l)),
        ILM_TEST_PASS_ON(xUnlock, (sqlite3_file * f, int l), (r, l)),
        ILM_TEST_PASS_ON(xCheckReservedLock, (sqlite3_file * f, int* o), (r, o)),
        ILM_TEST_PASS_ON(xFileControl, (sqlite3_file * f, int o, void* a), (r, o, a)),
        ILM_TEST_PASS_ON(xSectorSize, (sqlite3_file * f), (r)),
        ILM_TEST_PASS_ON(xDeviceCharacteristics, (sqlite3_file * f), (r)),
        ILM_TEST_PASS_ON(xShmMap, (sqlite3_file * f, int p, int s, int e, void volatile** o),
                         (r, p, s, e, o)),
        ILM_TEST_PASS_ON(xShmLock, (sqlite3_file * f, int o, int n, int l), (r, o, n, l)),
        ILM_TEST_PASS_ON(xShmBarrier, (sqlite3_file * f), (r)),
        ILM_TEST_PASS_ON(xShmUnmap, (sqlite3_file * f, int d), (r, d)),
        nullptr,
        nullptr};
    return &all;
  }
#undef ILM_TEST_PASS_ON

  sqlite3_vfs* base_;
  sqlite3_vfs vfs_;
  mutable std::mutex mutex_;
  std::uint64_t counts_[4] = {};
  int last_sync_ = 0;
  std::map<std::string, std::vector<change>> unsynced_;
};

}  // namespace test
