// Names the damage in a SQLite store, saves the whole messages, and makes way for a new store:
//
//   repair alice.chat.db                 looks, and changes nothing
//   repair alice.chat.db --save DIR      writes the whole messages and copies of the files to DIR
//                                        and removes the files
//
// The next start makes a new store. It is a new incarnation, so both sides get events that name the
// messages concerned (store_lost here, peer_reset at the peers).
//
// All is read in copies in a temporary directory (a kill leaves it there): first as SQLite sees the
// store, and the library is asked whether it takes it; then, if anything is wrong, in a copy to
// which every whole frame of the log was applied. A row counts by its checksum alone, so it may
// come from either. Nothing is removed before its copy is complete and synced, and messages.jsonl
// comes last: with it, a repair that was killed only removes the rest. The checks are those of the
// library (ilm/backends/sqlite/), so this uses its detail. POSIX only.

#include "repair/damaged_tables.hpp"
#include "repair/examination.hpp"
#include "repair/files.hpp"
#include "repair/message_lines.hpp"
#include "support/program.hpp"

#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/options.hpp>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

constexpr std::string_view usage =
    "usage: repair STORE [--prefix PREFIX] [--save DIR]\n"
    "Says what is damaged in an ILM store in a SQLite file. End its messenger first.\n"
    "  --save DIR       if it is damaged, writes its whole messages to DIR/messages.jsonl, copies\n"
    "                   its files to DIR and removes them: the next start makes a new store\n"
    "  --prefix PREFIX  STORE is an application's database, and this its table_prefix\n"
    "Exit code: 0 nothing is damaged, or all is saved; 1 damaged; 2 it could not be looked at.\n";

struct arguments {
  std::string file;
  std::string prefix;
  std::string save;
};

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word == "--save" || *word == "--prefix") {
      std::string& value = *word == "--save" ? parsed.save : parsed.prefix;
      if (word + 1 == words.end() || word[1].empty())
        throw example::misuse(*word + " needs a value");
      value = *++word;
    } else if (!word->starts_with('-') && parsed.file.empty()) {
      parsed.file = *word;
    } else {
      throw example::misuse("what is \"" + *word + "\"?");
    }
  }
  if (parsed.file.empty()) throw example::misuse("which store? Name its file");
  ilm::sqlite_options o;
  o.table_prefix = parsed.prefix;
  if (std::string wrong = validation_error(o); !wrong.empty()) throw example::misuse(wrong);
  return parsed;
}

class repair {
 public:
  explicit repair(const arguments& asked)
      : asked_(asked),
        paths_(asked.file, asked.prefix),
        lock_(paths_, asked.prefix),
        directory_(asked.save) {}

  /// The program's exit code.
  int run() {
    if (!asked_.save.empty()) check_directory();
    if (!asked_.save.empty() && fs::exists(saved())) {
      if (asked_.prefix.empty()) return finish_killed_one();
      if (tables_are_dropped()) return forget_last_commit();
    }
    examination found(paths_, asked_.prefix);
    if (found.damage.empty()) {
      std::cout << name() << ": nothing is damaged\n";
      return 0;
    }
    std::cout << name() << " is damaged:\n";
    found.damage.print(std::cout);
    std::uint64_t count = count_messages(found);
    if (asked_.save.empty()) {
      std::cout << "--save DIR writes " << count << " messages and copies of the files to DIR, and "
                << (asked_.prefix.empty() ? "removes the files\n" : "drops ILM's tables\n");
      return 1;
    }
    save(found);
    std::cout << count << " messages are in " << ilm::printable(saved().string())
              << ", and copies of the files beside it\n";
    return asked_.prefix.empty() ? remove_files() : drop_tables(found.database_is_whole());
  }

 private:
  std::string name() const { return ilm::printable(asked_.file); }
  fs::path saved() const { return directory_ / "messages.jsonl"; }

  void check_directory() {
    directory_ = fs::weakly_canonical(fs::absolute(directory_));
    if (directory_ == paths_.main.parent_path()) {
      throw example::misuse("--save: the store is in this directory; name another");
    }
  }
  void make_directory() const {
    if (fs::create_directories(directory_)) fs::permissions(directory_, fs::perms::owner_all);
  }

  /// How many there are by the newest cursors, and how many of these are whole.
  std::uint64_t count_messages(const examination& found) const {
    std::map<std::pair<ilm::queue, std::uint64_t>, std::uint64_t> whole;
    std::uint64_t others = 0, all = 0;
    found.each_whole_message([&](ilm::queue which, const message_row& row) {
      const peer_row* p = found.peer_of(row.peer());
      bool waits = p != nullptr && p->whole && p->waits(which, row.m.index);
      waits ? ++whole[{which, row.peer()}] : ++others;
      ++all;
    });
    for (const auto& [id, p] : found.peers) {
      for (ilm::queue which : both_queues) {
        if (!p.whole || p.next(which) <= p.first(which)) continue;
        std::cout << direction(which, id, found.peers) << ": " << whole[{which, id}] << " of "
                  << p.next(which) - p.first(which) << " messages are whole\n";
      }
    }
    if (others != 0) {
      std::cout << others
                << " whole messages more are outside of the cursors: delivered since, or these are "
                   "damaged\n";
    }
    return all;
  }

  void save(const examination& found) const {
    make_directory();
    for (const fs::path& file : {paths_.main, paths_.log, paths_.last}) keep_copy(file, directory_);
    work_directory work;
    message_lines lines(work.make("lines") / "spool");
    found.each_whole_message([&](ilm::queue which, const message_row& row) {
      lines.add({which, row.peer(), row.m.index},
                json_of(which, row, found.peer_of(row.peer())).dump());
    });
    sync(directory_.parent_path());
    lines.publish_as(saved());
  }

  int remove_files() const {
    // The file first: the rest of a store without it is refused, not opened as an older one.
    fs::remove(paths_.main);
    sync(paths_.main.parent_path());
    for (const fs::path& file : {paths_.log, paths_.index, paths_.last}) fs::remove(file);
    sync(paths_.main.parent_path());
    std::cout
        << "The files are removed. The next start makes a new store, and both sides get events "
           "(store_lost, peer_reset) that name the messages concerned.\n";
    return 0;
  }

  /// In an application's database.
  int drop_tables(bool database_is_whole) {
    const std::string& p = asked_.prefix;
    try {
      if (!database_is_whole) throw std::runtime_error("the database itself is damaged");
      lock_.share();
      store::sqlite_connection database(paths_.main.string(), "");
      database.execute("PRAGMA synchronous=FULL");
      database.execute("BEGIN IMMEDIATE");
      for (const char* table : {"store", "peer", "outbox", "inbox"}) {
        database.execute("DROP TABLE IF EXISTS " + p + table);
      }
      database.execute("COMMIT");
    } catch (const std::exception& e) {
      std::cout << "The database is your application's, and was not changed: "
                << example::line_of(e) << ".\nRecover it (sqlite3's .recover), drop the tables "
                << p << "store, " << p << "peer, " << p << "outbox and " << p
                << "inbox, and remove " << ilm::printable(paths_.last.string()) << ".\n";
      return 1;
    }
    return forget_last_commit();
  }

  bool tables_are_dropped() {
    lock_.share();
    store::sqlite_connection database(paths_.main.string(), "");
    return database.number("SELECT count(*) FROM sqlite_schema WHERE name = '" + asked_.prefix +
                           "store'") == 0;
  }

  int forget_last_commit() const {
    fs::remove(paths_.last);
    sync(paths_.main.parent_path());
    std::cout << "ILM's tables are dropped. The next start makes a new store, and both sides get "
                 "events (store_lost, peer_reset) that name the messages concerned.\n";
    return 0;
  }

  /// All was saved: the files that are left equal their copies, or belong to another store.
  int finish_killed_one() {
    for (const fs::path& file : {paths_.main, paths_.log, paths_.last}) {
      if (!fs::exists(file) || equal_files(file, directory_ / file.filename())) continue;
      throw std::runtime_error(saved().string() + " is of another repair; name another directory");
    }
    std::cout << "All was saved in " << ilm::printable(directory_.string()) << " before.\n";
    return remove_files();
  }

  arguments asked_;
  store_paths paths_;
  store_lock lock_;
  fs::path directory_;
};

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    arguments asked = parse(given);
    try {
      return repair(asked).run();
    } catch (const example::misuse&) {
      throw;
    } catch (const std::exception& e) {
      throw std::runtime_error(example::line_about(asked.file, example::line_of(e)));
    }
  };
  return example::run_program("repair", usage, count, words, work, 2);
}
