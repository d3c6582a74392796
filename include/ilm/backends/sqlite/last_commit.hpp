#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/files.hpp>
#include <ilm/backends/sqlite/rows.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace ilm::inline v0::detail {

#ifdef __linux__

/// The newest commit, in a small file beside the store. It is written around each commit, and never
/// synced. So a store that went back because its log was damaged, cut or removed, or another one
/// was put there, is found when it is opened: exactly, as long as the machine does not go down (the
/// file has the boot's number), and after that, where commits were synced, by its cursors alone. It
/// says nothing about another file (it has the identity of the store's).
///
/// | bytes | contents |
/// |---|---|
/// | 8     | "ILMlast1" |
/// | 40    | the boot: the kernel's random number for it, as text, and zeros |
/// | 16    | the store's file: number, time of birth |
/// | 8     | the durability of the store: 1 `os`, 2 `media` |
/// | 8     | 1 if a commit failed and may turn out to be stored, else 0 |
/// | 32    | the mark of the store after the last commit; and after the one under way, or the same
/// | | 8     | CRC-32C of these |
class last_commit {
 public:
  last_commit() = default;
  /// Reads the file, if it is there. Throws std::system_error with the file's name.
  last_commit(const std::string& path, const file_identity& store, durability level)
      : path_(path), store_(store), level_(level) {
    open(O_RDWR);
    boot_ = boot_of_machine();
    found_ = read();
    level_in_store_ = knows_store() ? found_->level : number_of(level);
  }

  /// Whether the file is there: then there was a store beside it.
  bool exists() const noexcept { return bool(file_); }
  /// Whether it knows this one.
  bool knows_store() const noexcept {
    return found_ && found_->number == store_.number && found_->born == store_.born &&
           store_.born != 0;
  }
  /// Whether a crash of the machine may have left any part of the last writes to the log. `shared`:
  /// others write to it, too.
  bool may_have_lost_any(bool shared) const noexcept {
    if (knows_store()) return !same_boot() && (shared || is_at_os());
    // The crash may have taken the record as well.
    return shared || (exists() && !found_ && level_ == durability::os);
  }

  /// Whether it knows the store after its last commit exactly.
  bool knows_exactly() const noexcept { return knows_store() && same_boot(); }
  /// Whether a store with this mark has the last commit, and nothing of a later one that failed.
  bool is_exactly(const store_mark& m) const noexcept {
    return knows_exactly() && (m == found_->now || m == found_->next);
  }
  /// Whether a store with this mark may have the last commit.
  bool is_in(const store_mark& m) const noexcept {
    if (!knows_store() || (!same_boot() && is_at_os())) return true;
    // Where a peer is forgotten the store after the commit has less.
    bool reaches = m.progress >= std::min(found_->now.progress, found_->next.progress);
    if (!same_boot() || found_->in_doubt) return reaches;
    return m == found_->now || m == found_->next;
  }

  /// Where it is made, its owner is that of another file, as SQLite does for its files.
  void own_as(int other) noexcept { owned_as_ = other; }

  /// The store is known to be so.
  void start_from(const store_mark& m) noexcept { now_ = m; }
  /// Before a commit. Throws std::system_error with the file's name.
  void begin(const store_mark& next) {
    bool made = !file_ || file_identity::of(path_) != self_;
    if (made) make();
    if (!write(now_, next)) throw_about(path_, sqlite_code_of(errno));
    // Once, so that a crash of the machine leaves it, if an older one; and where progress is lost,
    // for an older one would ask for more than the store has.
    bool shrinks = next.progress < now_.progress;
    if (made || shrinks) static_cast<void>(fsync(file_.get()));
  }
  /// After it.
  void complete(const store_mark& next) noexcept {
    now_ = next;
    // Only now is all that came before as durable as this level says.
    level_in_store_ = number_of(level_);
    // If this fails, the store may be as it was before or after the commit.
    write(next, next);
  }
  /// A commit failed, and may turn out to be stored; or no more.
  void set_doubt(bool in_doubt) noexcept { in_doubt_ = in_doubt; }

 private:
  using boot_number = std::array<std::byte, 40>;
  static constexpr std::size_t encoded_size = 120;
  using encoded = std::array<std::byte, encoded_size>;
  static constexpr std::uint64_t magic = 0x494c4d6c61737431;

  struct record {
    boot_number boot{};
    std::uint64_t number = 0;
    std::uint64_t born = 0;
    std::uint64_t level = 0;
    bool in_doubt = false;
    store_mark now;
    store_mark next;
  };

  static std::uint64_t number_of(durability level) noexcept {
    return static_cast<std::uint64_t>(level);
  }
  bool is_at_os() const noexcept { return found_->level == number_of(durability::os); }
  bool same_boot() const noexcept { return found_->boot == boot_ && boot_ != boot_number{}; }

  static boot_number boot_of_machine() {
    boot_number boot{};
    own_descriptor source("/proc/sys/kernel/random/boot_id", O_RDONLY);
    if (source) source.read(0, std::span(boot).first(36));
    return boot;
  }

  void open(int flags) {
    file_ = own_descriptor(path_, flags);
    if (!file_ && errno != ENOENT) throw_about(path_, sqlite_code_of(errno));
    if (file_) self_ = file_identity::of(file_.get());
  }
  void make() {
    open(O_RDWR | O_CREAT);
    if (!file_) throw_about(path_, SQLITE_CANTOPEN);
    struct stat s {};
    if (geteuid() != 0 || fstat(owned_as_, &s) != 0) return;
    // If it fails, root's next program can use it still.
    static_cast<void>(fchown(file_.get(), s.st_uid, s.st_gid) == 0);
  }

  static std::uint64_t number_at(std::span<const std::byte> from, std::size_t at) noexcept {
    return from_big_endian(from.subspan(at, 8));
  }
  static store_mark mark_at(std::span<const std::byte> from, std::size_t at) noexcept {
    store_mark m;
    m.rows = number_at(from, at);
    m.progress = number_at(from, at + 8);
    return m;
  }

  std::optional<record> read() const {
    encoded all{};
    bool whole = file_ && file_.read(0, all) == all.size() && number_at(all, 0) == magic &&
                 number_at(all, 112) == crc32c(std::span<const std::byte>(all).first(112));
    if (!whole) return std::nullopt;
    record r;
    std::copy_n(all.begin() + 8, r.boot.size(), r.boot.begin());
    r.number = number_at(all, 48);
    r.born = number_at(all, 56);
    r.level = number_at(all, 64);
    r.in_doubt = number_at(all, 72) != 0;
    r.now = mark_at(all, 80);
    r.next = mark_at(all, 96);
    return r;
  }

  bool write(const store_mark& now, const store_mark& next) const noexcept {
    encoded all{};
    auto put = [&](std::size_t at, std::uint64_t value) {
      std::array<std::byte, 8> number = big_endian(value);
      std::copy(number.begin(), number.end(), all.begin() + static_cast<std::ptrdiff_t>(at));
    };
    put(0, magic);
    std::copy(boot_.begin(), boot_.end(), all.begin() + 8);
    put(48, store_.number);
    put(56, store_.born);
    put(64, level_in_store_);
    put(72, in_doubt_ ? 1 : 0);
    put(80, now.rows);
    put(88, now.progress);
    put(96, next.rows);
    put(104, next.progress);
    put(112, crc32c(std::span<const std::byte>(all).first(112)));
    return file_.write(0, all);
  }

  std::string path_;
  own_descriptor file_;
  std::optional<file_identity> self_;
  file_identity store_;
  int owned_as_ = -1;
  durability level_ = durability::os;
  boot_number boot_{};
  std::optional<record> found_;
  store_mark now_;
  std::uint64_t level_in_store_ = 0;
  bool in_doubt_ = false;
};

#endif

}  // namespace ilm::inline v0::detail
