#include "support/catch.hpp"
#include "support/fault_vfs.hpp"
#include "support/sqlite.hpp"

#include <ilm/delivery_context.hpp>
#include <ilm/effects.hpp>

#include <asio/steady_timer.hpp>

#include <functional>
#include <stdexcept>

using namespace test;
using namespace std::chrono_literals;

// Effects beside the tables of the application, in the transaction of its database.

namespace {

using account_backend = ilm::sqlite_backend<std::string, ilm::durability::os>;
using account_context = ilm::delivery_context<std::string>;
using account_call = std::function<void(const ilm::message<std::string>&, account_context&)>;
using account_fabric = ilm::memory_fabric<std::string>;
using account_messenger =
    ilm::messenger<account_backend, account_fabric::network_type, account_call>;
using account_sender = ilm::messenger<ilm::memory_backend<std::string>,
                                      account_fabric::network_type, ilm::inbox<std::string>>;
using lent_by_sqlite = ilm::sqlite_transaction;

/// The messenger "bank" on a database with a table of the application's, and a sender to it.
struct bank {
  bank() {
    outsider(file,
             "PRAGMA journal_mode=WAL; CREATE TABLE account (name TEXT PRIMARY KEY, balance "
             "INTEGER NOT NULL CHECK (balance >= 0)); INSERT INTO account VALUES ('a', 0)");
    ilm::options fast;
    fast.initial_timeout = 20ms;
    fast.maximum_redelivery_delay = 20ms;
    options = fast;
    sender.emplace(context, ilm::memory_backend<std::string>(), fabric.join("sender"),
                   ilm::inbox<std::string>(), fast);
  }
  ~bank() {
    messenger.reset();
    sender.reset();
    settle();
  }

  void start(account_call does, ilm::sqlite_options o = prefixed()) {
    messenger.emplace(context, account_backend(file, std::move(o)), fabric.join("bank"),
                      std::move(does), options);
  }
  static ilm::sqlite_options prefixed() {
    ilm::sqlite_options o;
    o.table_prefix = "ilm_";
    return o;
  }
  void crash() {
    messenger.reset();
    settle();
  }
  void settle() {
    context.restart();
    context.run_for(20ms);
  }
  void send(const std::string& text) {
    sender->send_to("bank", text, [](std::error_code, std::uint64_t) {});
  }
  template <class Predicate>
  bool until(Predicate reached) {
    auto end = std::chrono::steady_clock::now() + 20s;
    while (!reached() && std::chrono::steady_clock::now() < end) {
      context.restart();
      context.run_for(5ms);
    }
    return reached();
  }
  std::string balance() const { return outsider(file, "SELECT balance FROM account"); }
  /// How many messages wait for the bank's application, by its store.
  std::string waiting() const { return outsider(file, "SELECT count(*) FROM ilm_inbox"); }
  bool all_delivered() {
    auto of = sender->statistics().peers;
    return !of.empty() && of[0].outbox_depth == 0;
  }
  /// Events of the messenger, from now on.
  void watch(std::vector<ilm::event<std::string>>& events) {
    messenger->on_event([&events](const ilm::event<std::string>& e) { events.push_back(e); });
  }

  temporary_directory directory;
  std::filesystem::path file = directory / "bank.db";
  asio::io_context context;
  account_fabric fabric;
  ilm::options options;
  std::optional<account_sender> sender;
  std::optional<account_messenger> messenger;
};

// [effect]
/// Adds the amount to the account, in the transaction that records the message as consumed.
void pay_in(const ilm::message<std::string>& m, ilm::delivery_context<std::string>& context) {
  std::int64_t amount = std::stoll(std::string(m.text()));
  context.apply<ilm::sqlite_transaction>([amount](ilm::sqlite_transaction& t) {
    t.run("UPDATE account SET balance = balance + ?1 WHERE name = ?2", {amount, "a"});
  });
}
// [effect]

/// Tries an effect that shall fail, and gives the error that it got.
std::error_code error_of_effect(const std::function<void(lent_by_sqlite&)>& effect) {
  bank b;
  std::error_code found;
  bool failed = false;
  b.start([&](const ilm::message<std::string>&, account_context& context) {
    context.apply<lent_by_sqlite>([&](lent_by_sqlite& t) {
      t.run("UPDATE account SET balance = balance + 1");
      if (failed) return;
      failed = true;
      try {
        effect(t);
      } catch (const std::system_error& e) {
        found = e.code();
        throw;
      }
    });
  });
  b.send("one");
  CHECK(b.until([&] { return b.all_delivered(); }));
  // The first try left nothing.
  CHECK(b.balance() == "1");
  return found;
}

}  // namespace

TEST_CASE("sqlite: an effect changes the application's tables with the consumption", "[effects]") {
  bank b;
  b.start(pay_in);
  for (int i = 1; i <= 100; ++i) b.send(std::to_string(i));
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(b.balance() == "5050");
  CHECK(b.waiting() == "0");
}

TEST_CASE("sqlite: effects happen once where the messenger is destroyed again and again",
          "[effects]") {
  bank b;
  b.start(pay_in);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 20; ++i) b.send("1");
    b.context.restart();
    b.context.run_for(std::chrono::microseconds(200 * round));
    b.crash();
    b.start(pay_in);
  }
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(b.balance() == "400");
}

TEST_CASE("sqlite: an effect that breaks a rule of the application's table fails alone",
          "[effects]") {
  bank b;
  b.start(pay_in);
  std::vector<ilm::event<std::string>> events;
  b.watch(events);
  b.send("5");
  b.send("-7");
  REQUIRE(b.until([&] { return events.size() >= 2 && b.balance() == "5"; }));
  auto failed = std::find_if(events.begin(), events.end(), [](const auto& e) {
    return e.kind == ilm::event_kind::delivery_failed;
  });
  REQUIRE(failed != events.end());
  CHECK(failed->error == std::error_code(SQLITE_CONSTRAINT_CHECK, ilm::sqlite_category()));
  CHECK_THAT(failed->text, ContainsSubstring("UPDATE account SET"));
  CHECK(failed->inbound.first == 2);
  CHECK(b.waiting() == "1");
  // Once the rule is kept, it goes through.
  outsider(b.file, "UPDATE account SET balance = 10");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(b.balance() == "3");
}

TEST_CASE("sqlite: an effect cannot end the transaction, nor reach the store's own tables",
          "[effects]") {
  for (const char* sql :
       {"COMMIT", "ROLLBACK", "BEGIN", "RELEASE ilm_effect", "ROLLBACK TO ILM_Effect",
        "PRAGMA synchronous=OFF", "ATTACH ':memory:' AS other", "DELETE FROM ilm_peer",
        "UPDATE Ilm_Store SET version = 9", "INSERT INTO ilm_outbox DEFAULT VALUES",
        "DROP TABLE ilm_inbox", "ALTER TABLE ilm_peer RENAME TO peer",
        "CREATE TRIGGER t AFTER INSERT ON ilm_inbox BEGIN DELETE FROM account; END",
        "CREATE INDEX i ON ilm_peer (name)"}) {
    INFO(sql);
    std::error_code found = error_of_effect([&](lent_by_sqlite& t) { t.run(sql); });
    CHECK(found == std::error_code(SQLITE_AUTH, ilm::sqlite_category()));
    // By SQLite's own functions as well.
    found = error_of_effect([&](lent_by_sqlite& t) {
      int result = sqlite3_exec(t.handle(), sql, nullptr, nullptr, nullptr);
      throw std::system_error(result, ilm::sqlite_category());
    });
    CHECK(found == std::error_code(SQLITE_AUTH, ilm::sqlite_category()));
  }
}

TEST_CASE("sqlite: an effect may read the store, use savepoints and leave statements open",
          "[effects]") {
  bank b;
  std::vector<sqlite3_stmt*> left;
  b.start([&](const ilm::message<std::string>&, account_context& context) {
    context.apply<lent_by_sqlite>([&](lent_by_sqlite& t) {
      CHECK(t.number("SELECT count(*) FROM ilm_peer").value_or(0) == 1);
      CHECK(t.text("SELECT name FROM account") == "a");
      CHECK(!t.number("SELECT balance FROM account WHERE name = ?1", {"nobody"}));
      t.run("SAVEPOINT mine");
      t.run("UPDATE account SET balance = 77");
      t.run("ROLLBACK TO mine");
      t.run("RELEASE mine");
      CHECK(t.run("UPDATE account SET balance = balance + 1") == 1);
      sqlite3_stmt* s = nullptr;
      sqlite3_prepare_v2(t.handle(), "SELECT * FROM ilm_store", -1, &s, nullptr);
      CHECK(sqlite3_step(s) == SQLITE_ROW);
      left.push_back(s);
    });
  });
  for (int i = 0; i < 3; ++i) b.send("x");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(b.balance() == "3");
  for (sqlite3_stmt* s : left) sqlite3_finalize(s);
}

TEST_CASE("sqlite: values of all kinds reach the application's tables", "[effects]") {
  bank b;
  outsider(b.file, "CREATE TABLE kinds (a, b, c, d, e)");
  b.start([](const ilm::message<std::string>& m, account_context& context) {
    context.apply<lent_by_sqlite>([contents = m.contents](lent_by_sqlite& t) {
      t.run("INSERT INTO kinds VALUES (?1, ?2, ?3, ?4, ?5)",
            {nullptr, 1LL << 40, 2.5, "text", contents.view()});
    });
  });
  b.send("bytes");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(outsider(b.file,
                 "SELECT typeof(a) || b || c || d || typeof(e) || CAST(e AS TEXT) FROM kinds") ==
        "null10995116277762.5textblobbytes");
}

TEST_CASE("sqlite: a file of ILM's own lends no transaction", "[effects]") {
  bank b;
  std::error_code found;
  temporary_directory other;
  b.messenger.emplace(b.context, account_backend(other / "own.db"), b.fabric.join("bank"),
                      account_call([&](const ilm::message<std::string>&, account_context& context) {
                        try {
                          context.apply<lent_by_sqlite>([](lent_by_sqlite&) {});
                        } catch (const std::system_error& e) {
                          found = e.code();
                        }
                      }),
                      b.options);
  b.send("x");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(found == ilm::error::no_transaction);
  b.crash();
}

TEST_CASE("sqlite: an effect that hides that its transaction was rolled back stores nothing",
          "[effects]") {
  fault_disk disk;
  bank b;
  b.messenger.reset();
  ilm::sqlite_options o = bank::prefixed();
  o.vfs = fault_disk::name;
  o.cache_kibibytes = 100;  // so that pages are written before the commit
  bool full = true;
  b.start(
      [&](const ilm::message<std::string>&, account_context& context) {
        context.apply<lent_by_sqlite>([&](lent_by_sqlite& t) {
          if (full) {
            disk.result_of = [](fault_disk::operation what) {
              return what == fault_disk::operation::write ? SQLITE_FULL : SQLITE_OK;
            };
          }
          for (int i = 0; i < 200; ++i) {
            try {
              t.run("INSERT INTO account VALUES (?1 || hex(zeroblob(4000)), 1)", {std::int64_t{i}});
            } catch (const std::system_error&) {
              // It goes on as if nothing had happened.
            }
          }
          disk.result_of = nullptr;
          full = false;
        });
      },
      o);
  b.send("x");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  CHECK(outsider(b.file, "SELECT count(*) FROM account") == "201");
}

TEST_CASE("sqlite: an effect cannot go on outside of a transaction that it ended by a conflict",
          "[effects]") {
  for (const char* then : {"SAVEPOINT mine", "SELECT 1"}) {
    INFO(then);
    bank b;
    bool conflicts = true;
    b.start([&](const ilm::message<std::string>&, account_context& context) {
      context.apply<lent_by_sqlite>([&](lent_by_sqlite& t) {
        t.run("UPDATE account SET balance = balance + 1");
        if (!std::exchange(conflicts, false)) return;
        try {
          t.run("INSERT OR ROLLBACK INTO account VALUES ('a', 5)");
        } catch (const std::system_error&) {
          // It goes on as if nothing had happened.
        }
        try {
          t.run(then);
          t.run("UPDATE account SET balance = balance + 100");
        } catch (const std::system_error&) {
        }
      });
    });
    b.send("x");
    b.send("y");
    REQUIRE(b.until([&] { return b.all_delivered(); }));
    CHECK(b.balance() == "2");
    b.crash();
    b.start(pay_in);
    b.send("3");
    REQUIRE(b.until([&] { return b.balance() == "5"; }));
  }
}

TEST_CASE("sqlite: a temporary table takes no place of the store's", "[effects]") {
  bank b;
  b.start([](const ilm::message<std::string>&, account_context& context) {
    context.apply<lent_by_sqlite>([](lent_by_sqlite& t) {
      t.run("CREATE TEMP TABLE IF NOT EXISTS ilm_peer (id, name, cursors, checksum)");
      t.run("UPDATE account SET balance = balance + 1");
    });
  });
  for (int i = 0; i < 3; ++i) {
    b.send("x");
    REQUIRE(b.until([&] { return b.balance() == std::to_string(i + 1); }));
  }
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  b.crash();
  b.start(pay_in);
  b.send("1");
  REQUIRE(b.until([&] { return b.balance() == "4"; }));
}

TEST_CASE("sqlite: an effect that throws with a statement open is in nobody's way", "[effects]") {
  bank b;
  bool fails = true;
  sqlite3_stmt* s = nullptr;
  b.start([&](const ilm::message<std::string>&, account_context& context) {
    context.apply<lent_by_sqlite>([&](lent_by_sqlite& t) {
      if (!std::exchange(fails, false)) return;
      sqlite3_prepare_v2(t.handle(), "INSERT INTO account VALUES ('b', 1) RETURNING balance", -1,
                         &s, nullptr);
      CHECK(sqlite3_step(s) == SQLITE_ROW);
      throw std::runtime_error("not that");
    });
  });
  std::vector<ilm::event<std::string>> events;
  b.watch(events);
  b.send("x");
  REQUIRE(b.until([&] { return b.all_delivered(); }));
  for (const auto& e : events) CHECK(e.kind != ilm::event_kind::store_failed);
  CHECK(outsider(b.file, "SELECT count(*) FROM account") == "1");
  sqlite3_finalize(s);
}

TEST_CASE("sqlite: an effect runs one statement at a time, and says so", "[effects]") {
  std::error_code found = error_of_effect(
      [](lent_by_sqlite& t) { t.run("UPDATE account SET balance = 5; DELETE FROM account"); });
  CHECK(found == std::error_code(SQLITE_MISUSE, ilm::sqlite_category()));
  // Too many values leave nothing for the next time.
  found = error_of_effect([](lent_by_sqlite& t) {
    try {
      t.run("UPDATE account SET balance = ?1", {std::int64_t{7}, std::int64_t{8}});
    } catch (const std::system_error&) {
    }
    t.run("UPDATE account SET balance = ?1");
  });
  CHECK(found == std::error_code(SQLITE_CONSTRAINT_NOTNULL, ilm::sqlite_category()));
}
