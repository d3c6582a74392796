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
/// synced, so it outlives the process, but says nothing after the machine went down (it has the
/// boot's number), nor about another file (it has the file's identity). So a store that went back
/// without a crash of the machine, because its log was damaged, cut or removed, is found when it is
/// opened.
///
/// | bytes | contents |
/// |---|---|
/// | 8     | "ILMlast1" |
/// | 40    | the boot: the kernel's random number for it, as text, and zeros |
/// | 16    | the store's file: number, time of birth |
/// | 8     | the durability of the store: 1 `os`, 2 `media` |
/// | 32    | the row after the last commit; and after the one under way, or the same |
/// | 8     | CRC-32C of these |
class last_commit {
 public:
  last_commit() = default;
  /// Opens the file, or makes it, and reads it. Throws std::system_error with the file's name.
  last_commit(const std::string& path, const file_identity& store, durability level)
      : path_(path), file_(path, O_RDWR | O_CREAT), store_(store), level_(level) {
    if (!file_) throw_about(path, sqlite_code_of(errno));
    boot_ = boot_of_machine();
    found_ = read();
  }

  /// Whether the file knows the store.
  bool knows_store() const noexcept { return bool(found_); }
  /// Whether a crash of the machine may have left any part of what was written last.
  bool may_have_lost_any() const noexcept {
    return found_ && found_->boot != boot_ && found_->level == number_of(durability::os);
  }

  /// Whether a store with these rows has the last commit. `checksum_of(id)` is none if there is no
  /// such row.
  template <class ChecksumOf>
  bool is_in(const ChecksumOf& checksum_of) const {
    if (!found_ || found_->boot != boot_ || boot_ == boot_number{}) return true;
    auto has = [&](const row_mark& m) { return checksum_of(m.id) == m.checksum; };
    return has(found_->now) || has(found_->next);
  }

  /// The store is known to be so.
  void start_from(const row_mark& m) noexcept { now_ = m; }
  /// Before a commit. Throws std::system_error with the file's name.
  void begin(const row_mark& next) {
    if (!write(now_.value_or(next), next)) throw_about(path_, sqlite_code_of(errno));
  }
  /// After it.
  void complete(const row_mark& next) noexcept {
    now_ = next;
    // If this fails, the store may be as it was before or after the commit.
    write(next, next);
  }

 private:
  using boot_number = std::array<std::byte, 40>;
  static constexpr std::size_t encoded_size = 112;
  using encoded = std::array<std::byte, encoded_size>;
  static constexpr std::uint64_t magic = 0x494c4d6c61737431;

  struct record {
    boot_number boot{};
    std::uint64_t level = 0;
    row_mark now;
    row_mark next;
  };

  static std::uint64_t number_of(durability level) noexcept {
    return static_cast<std::uint64_t>(level);
  }

  static boot_number boot_of_machine() {
    boot_number boot{};
    own_descriptor source("/proc/sys/kernel/random/boot_id", O_RDONLY);
    if (source) source.read(0, std::span(boot).first(36));
    return boot;
  }

  std::optional<record> read() const {
    encoded all{};
    if (file_.read(0, all) != all.size()) return std::nullopt;
    auto number = [&](std::size_t at) {
      std::uint64_t value = 0;
      for (std::size_t i = at; i < at + 8; ++i) {
        value = value << 8 | std::to_integer<std::uint64_t>(all[i]);
      }
      return value;
    };
    bool ours = number(0) == magic && number(48) == store_.number && number(56) == store_.born &&
                store_.born != 0;
    if (!ours || number(104) != crc32c(std::span<const std::byte>(all).first(104)))
      return std::nullopt;
    record r;
    std::copy_n(all.begin() + 8, r.boot.size(), r.boot.begin());
    r.level = number(64);
    r.now = {number(72), number(80)};
    r.next = {number(88), number(96)};
    return r;
  }

  bool write(const row_mark& now, const row_mark& next) const noexcept {
    encoded all{};
    auto put = [&](std::size_t at, std::uint64_t value) {
      std::array<std::byte, 8> number = big_endian(value);
      std::copy(number.begin(), number.end(), all.begin() + static_cast<std::ptrdiff_t>(at));
    };
    put(0, magic);
    std::copy(boot_.begin(), boot_.end(), all.begin() + 8);
    put(48, store_.number);
    put(56, store_.born);
    put(64, number_of(level_));
    put(72, now.id);
    put(80, now.checksum);
    put(88, next.id);
    put(96, next.checksum);
    put(104, crc32c(std::span<const std::byte>(all).first(104)));
    return file_.write(0, all);
  }

  std::string path_;
  own_descriptor file_;
  file_identity store_;
  durability level_ = durability::os;
  boot_number boot_{};
  std::optional<record> found_;
  std::optional<row_mark> now_;
};

#endif

}  // namespace ilm::inline v0::detail
