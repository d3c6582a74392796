#pragma once

#include "damaged_tables.hpp"
#include "files.hpp"
#include "findings.hpp"
#include "whole_frames.hpp"

#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/log_check.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/schema.hpp>
#include <ilm/backends/sqlite/store.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

/// Where a message is: by queue, `id` of the peer, index.
using message_place = std::tuple<ilm::queue, std::uint64_t, std::uint64_t>;

class examination {
 public:
  examination(const store_paths& paths, const std::string& prefix)
      : paths_(paths), prefix_(prefix) {
    options_.table_prefix = prefix;
    look_at_files();
    bool can_be_opened = size_of(paths.main) != 0;
    if (can_be_opened) look_as_sqlite_does();
    if (fs::exists(paths.main)) ask_library();
    if (damage.empty()) return;
    make_rescued_copy();
    read_peers();
    refuse_others();
  }

  findings damage;
  peer_rows peers;  ///< the newest whole row of each

  /// Calls `visit(queue, message_row)` for each whole message, in no particular order, once.
  template <class Visit>
  void each_whole_message(Visit visit) const {
    std::map<message_place, bool> seen;
    for (const damaged_tables* from : sources()) {
      for (ilm::queue which : both_queues) {
        from->each_message(which, key_ranges(which), [&](message_row& row) {
          if (!row.check(seed_, which, peer_of(row.peer()))) return;
          if (seen.emplace(message_place(which, row.peer(), row.m.index), true).second) {
            visit(which, row);
          }
        });
      }
    }
  }

  const peer_row* peer_of(std::uint64_t id) const {
    auto known = peers.find(id);
    return known == peers.end() ? nullptr : &known->second;
  }

  /// Whether SQLite finds nothing wrong with the database as such.
  bool database_is_whole() const noexcept { return database_is_whole_; }

 private:
  // In the files.

  void look_at_files() {
    std::string main = paths_.main.filename().string();
    bool exists = fs::exists(paths_.main), has_log = size_of(paths_.log) != 0;
    if (!exists && !has_log) throw std::runtime_error("there is no such file");
    if (!exists) damage.add(main + " is missing beside its -wal");
    bool may_have_lost_any = false, has_record = fs::exists(paths_.last);
#ifdef __linux__
    std::optional<store::file_identity> identity = store::file_identity::of(paths_.main.string());
    if (identity && has_record) {
      newest_ = store::last_commit(paths_.last.string(), *identity, ilm::durability::os);
      may_have_lost_any = newest_->may_have_lost_any(!prefix_.empty());
    }
#endif
    if (exists && size_of(paths_.main) == 0 && (has_log || has_record)) {
      damage.add(main + " was emptied");
    }
    if (!has_log) return;
    file_reader log(paths_.log);
    std::optional<std::uint64_t> at = store::log_check(log).find_damage();
    // After a crash of the machine a log that was not synced may end anywhere.
    if (at && may_have_lost_any) log_ends_at_ = at;
    if (!at || may_have_lost_any) return;
    damage.add(main + "-wal is damaged at byte " + std::to_string(*at) + ", before whole commits");
    database_is_whole_ = false;
  }

  /// A copy for SQLite and the library.
  fs::path copy_to(const std::string& directory) const {
    fs::path name = work_.make(directory) / paths_.main.filename();
    if (fs::exists(paths_.main)) fs::copy_file(paths_.main, name);
    return name;
  }

  // As SQLite reads it.

  void look_as_sqlite_does() {
    fs::path copy = copy_to("seen");
    if (fs::exists(paths_.log)) fs::copy_file(paths_.log, copy.string() + "-wal");
    // That the copy's log ends there is then no damage to the library either.
    if (log_ends_at_) fs::resize_file(copy.string() + "-wal", *log_ends_at_);
    seen_.emplace(copy, prefix_);
    check_database();
    if (!seen_->complete()) {
      tables_are_there_ = false;
      // In an application's database this is how a first start finds it.
      if (prefix_.empty()) damage.add(paths_.main.filename().string() + ": tables are missing");
      if (newest_knows_store()) add_missing_commits();
      return;
    }
    row_ = seen_->store_row();
    seed_ = row_ ? std::optional(row_->seed) : guess_seed();
    if (!row_) damage.add_row("the store's own row fails its checksum");
    look_at_peers();
    // Of damaged rows the marks say nothing.
    if (damage.empty() && newest_knows_more()) add_missing_commits();
    for (ilm::queue which : both_queues) look_at_messages(which);
  }

  void add_missing_commits() {
    damage.add(
        "the newest commits are missing: the -wal was damaged or removed, or this is an "
        "older copy");
  }

  bool newest_knows_store() const {
#ifdef __linux__
    return newest_ && newest_->knows_store();
#else
    return false;
#endif
  }
  bool newest_knows_more() const {
#ifdef __linux__
    return newest_ && !newest_->is_in(seen_->mark());
#else
    return false;
#endif
  }

  void check_database() {
    try {
      store::sqlite_statement s = seen_->database().prepare("PRAGMA quick_check(5)");
      while (s.step()) {
        if (s.text(0) == "ok") continue;
        database_is_whole_ = false;
        std::string text = s.text(0);
        std::replace(text.begin(), text.end(), '\n', ' ');
        damage.add(paths_.main.filename().string() + ": " + text);
      }
    } catch (const std::system_error& e) {
      database_is_whole_ = false;
      damage.add(paths_.main.filename().string() + ": " + e.what());
    }
  }

  void look_at_peers() {
    bool all = seen_->each_peer([&](std::uint64_t id, auto name, auto stored, std::uint64_t sum) {
      if (!add_peer(id, name, stored, sum)) {
        damage.add_row("the cursors of peer " + std::to_string(id) + " (" +
                       readable(store::text_of_name(name)) + ") fail their checksum");
      } else if (!peers[id].where.consistent()) {
        damage.add_row("the cursors of " + peers[id].name + " contradict each other");
      }
    });
    if (!all) damage.add_row("some rows of peers cannot be read");
  }

  void look_at_messages(ilm::queue which) {
    std::map<std::uint64_t, std::vector<std::uint64_t>> found;  // indices by peer
    auto look = [&](message_row& row) {
      std::uint64_t id = row.peer();
      const peer_row* p = peer_of(id);
      bool whole = row.check(seed_, which, p);
      std::string name = name_of(which) + ", " + direction(which, id, peers) + ": message " +
                         std::to_string(row.m.index);
      if (!whole) damage.add_row(name + " fails its checksum");
      if (p == nullptr || (p->whole && !p->waits(which, row.m.index))) {
        damage.add_row(name + " is stored where none can be");
      } else {
        found[id].push_back(row.m.index);
      }
    };
    if (!seen_->each_message(which, key_ranges(which), look)) {
      damage.add_row(name_of(which) + ": some rows of messages cannot be read");
    }
    for (const auto& [id, p] : peers) {
      if (p.whole) add_missing(which, id, found[id]);
    }
  }

  void add_missing(ilm::queue which, std::uint64_t id, std::vector<std::uint64_t>& found) {
    std::uint64_t next = peers[id].first(which);
    auto add_gap = [&](std::uint64_t until) {
      if (next >= until) return;
      std::string first = std::to_string(next), last = std::to_string(until - 1);
      damage.add_row(name_of(which) + ", " + direction(which, id, peers) + ": " +
                     (first == last ? "message " + first + " is"
                                    : "messages " + first + " to " + last + " are") +
                     " missing");
    };
    std::sort(found.begin(), found.end());
    for (std::uint64_t index : found) {
      add_gap(index);
      next = index + 1;
    }
    add_gap(peers[id].next(which));
  }

  // As the library sees it.

  void ask_library() {
    fs::path copy = work_.make("asked") / paths_.main.filename();
    for (const char* part : {"", "-wal"}) {
      fs::path from = seen_ ? work_.make("seen") / paths_.main.filename() : paths_.main;
      if (fs::exists(from.string() + part)) {
        fs::copy_file(from.string() + part, copy.string() + part);
      }
    }
    try {
      store::sqlite_store asked(copy.string(), options_, ilm::durability::os);
      store::sqlite_store::state found = asked.load();
      if (!found.local && !found.peers.empty()) damage.add("it has peers and no incarnation");
    } catch (const std::system_error& e) {
      answer_ = e.code();
      std::string text = e.what(), here = copy.parent_path().string();
      for (auto at = text.find(here); at != std::string::npos; at = text.find(here)) {
        text.replace(at, here.size(), paths_.main.parent_path().string());
      }
      answer_text_ = text;
      damage.add("the library says: " + text);
    }
  }

  /// Some answers of the library are of no damage. A damaged store may give them, too, and is known
  /// by whole rows in it.
  void refuse_others() const {
    bool anything_whole = false;
    for (const auto& [id, p] : peers) anything_whole = anything_whole || p.whole;
    if (!anything_whole) each_whole_message([&](auto, auto&) { anything_whole = true; });
    bool other_version =
        answer_ == ilm::sqlite_error::newer_version || answer_ == ilm::sqlite_error::older_version;
    bool of_no_damage = other_version || answer_ == ilm::sqlite_error::foreign_database ||
                        answer_ == ilm::sqlite_error::not_wal;
    if (of_no_damage && (!anything_whole || (other_version && row_))) {
      throw std::runtime_error(answer_text_);
    }
    std::array<std::byte, 4> application{};
    file_reader(paths_.main).read(68, application);
    bool was_store = anything_whole || row_ || fs::exists(paths_.last) ||
                     store::log_number(application, 0) == store::sqlite_schema::application_id ||
                     (seen_ && tables_are_there_);
    if (!was_store) {
      throw std::runtime_error("nothing in it shows that it was a store of ILM's; " + answer_text_);
    }
  }

  // All that can be had.

  std::vector<const damaged_tables*> sources() const {
    std::vector<const damaged_tables*> all;
    if (rescued_) all.push_back(&*rescued_);
    if (seen_) all.push_back(&*seen_);
    return all;
  }

  /// A copy to which the whole frames of the log were applied, and that SQLite can open.
  void make_rescued_copy() {
    fs::path copy = copy_to("rescued");
    if (!fs::exists(copy)) std::ofstream(copy).flush();
    file_reader main(paths_.main), log(paths_.log);
    std::uint32_t page_size = page_size_of(main, log);
    std::fstream out(copy, std::ios::binary | std::ios::in | std::ios::out);
    whole_frames(log, page_size).apply(log, out);
    out.close();
    std::uintmax_t size = fs::file_size(copy);
    if (size == 0) return;
    fs::resize_file(copy, (size + page_size - 1) / page_size * page_size);
    mend_first_page(copy, page_size, header_size);
    rescued_.emplace(copy, prefix_);
    if (rescued_->complete()) return;
    rescued_.reset();
    mend_first_page(copy, page_size, page_size);
    rescued_.emplace(copy, prefix_);
  }

  static constexpr std::size_t header_size = 100;

  /// The first page of every store has the same contents, but for the header's counters: takes its
  /// front from a new store. The size of a database of the application's is put right.
  void mend_first_page(const fs::path& copy, std::uint32_t page_size, std::size_t front) const {
    std::vector<std::byte> page(page_size);
    file_reader(copy).read(0, page);
    fs::path sample = work_.make("sample") / "new";
    if (prefix_.empty() && !fs::exists(sample)) {
      store::sqlite_store(sample.string(), options_, ilm::durability::os);
    }
    if (prefix_.empty() && page_size_of(file_reader(sample), file_reader("")) == page_size) {
      file_reader(sample).read(0, std::span(page).first(front));
    }
    put_number(page, 28, static_cast<std::uint32_t>(fs::file_size(copy) / page_size));
    put_number(page, 92, store::log_number(page, 24));
    std::fstream out(copy, std::ios::binary | std::ios::in | std::ios::out);
    out.write(reinterpret_cast<const char*>(page.data()), page_size);
  }

  /// True if the row is whole.
  bool add_peer(std::uint64_t id, std::span<const std::byte> name,
                std::span<const std::byte> stored, std::uint64_t checksum) {
    peer_row p;
    p.name = store::text_of_name(name);
    p.whole = seed_ && id != 0 && id <= store::maximum_peer_row &&
              stored.size() == ilm::cursors::encoded_size &&
              checksum == store::peer_row_checksum(*seed_, id, name, stored);
    if (p.whole) p.where = ilm::cursors::decode(stored.first<ilm::cursors::encoded_size>());
    auto [known, added] = peers.emplace(id, p);
    if (!added && (p.whole || !known->second.whole)) known->second = p;
    return p.whole;
  }

  /// The newer copy comes last, and its rows stay.
  void read_peers() {
    std::vector<const damaged_tables*> all = sources();
    for (const damaged_tables* from : all) {
      if (!row_) row_ = from->store_row();
    }
    seed_ = row_ ? std::optional(row_->seed) : guess_seed();
    for (auto from = all.rbegin(); from != all.rend(); ++from) {
      (*from)->each_peer([&](std::uint64_t id, auto name, auto stored, std::uint64_t sum) {
        add_peer(id, name, stored, sum);
      });
    }
  }

  /// Without the store's row, the seed is the one that two rows agree upon: damaged ones never do.
  std::optional<std::uint32_t> guess_seed() const {
    std::map<std::uint32_t, unsigned> votes;
    std::map<message_place, bool> seen;  // one row, one vote
    constexpr std::size_t enough = 2000;
    auto vote = [&](message_place place, std::uint64_t wanted, auto checksum) {
      if (seen.size() > enough || wanted >> 32 != 0 || !seen.emplace(place, true).second) return;
      ++votes[seed_for(checksum, static_cast<std::uint32_t>(wanted))];
    };
    for (const damaged_tables* from : sources()) {
      from->each_peer([&](std::uint64_t id, auto name, auto stored, std::uint64_t wanted) {
        vote({ilm::queue::outbox, id, ~std::uint64_t{0}}, wanted,
             [&](std::uint32_t seed) { return store::peer_row_checksum(seed, id, name, stored); });
      });
      for (ilm::queue which : both_queues) {
        from->each_message(which, {}, [&](message_row& row) {
          row.m.index = static_cast<std::uint64_t>(row.key) & store::row_index_mask;
          vote({which, row.peer(), row.m.index}, row.checksum,
               [&](std::uint32_t seed) { return row.sum(seed, which); });
        });
      }
    }
    auto best = std::max_element(votes.begin(), votes.end(),
                                 [](const auto& a, const auto& b) { return a.second < b.second; });
    if (best == votes.end() || best->second < 2) return std::nullopt;
    return best->first;
  }

  /// Of the messages that the cursors tell of.
  std::vector<std::pair<std::int64_t, std::int64_t>> key_ranges(ilm::queue which) const {
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    for (const auto& [id, p] : peers) {
      if (!p.whole || p.first(which) >= p.next(which)) continue;
      std::uint64_t first = store::row_key(id, p.first(which));
      std::uint64_t last = store::row_key(id, p.next(which) - 1);
      if (first > last) first = store::row_key(id, 0), last = store::row_key(id, ~std::uint64_t{0});
      all.emplace_back(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
    }
    return all;
  }

  const store_paths& paths_;
  const std::string prefix_;
  ilm::sqlite_options options_;
  work_directory work_;
#ifdef __linux__
  std::optional<store::last_commit> newest_;
#endif
  std::optional<std::uint64_t> log_ends_at_;
  std::optional<damaged_tables> seen_, rescued_;
  std::optional<damaged_tables::own_row> row_;
  std::optional<std::uint32_t> seed_;
  std::error_code answer_;
  std::string answer_text_;
  bool database_is_whole_ = true;
  bool tables_are_there_ = true;
};
