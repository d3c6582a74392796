#pragma once

#include <ilm/error.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/store_under_test.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

// Checks of a backend: errors, crashes and damage, as far as the factory can cause them.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class backend_faults {
  using store = store_under_test<Fixture>;
  using peer_id = typename Fixture::peer_id;
  using factory = typename Fixture::factory_type;
  using found = violation<backend_clause>;
  using clause = backend_clause;

 public:
  explicit backend_faults(Fixture& f)
      : fixture_(f), a_(f.ids()[0]), b_(f.ids()[1]), c_(f.ids()[2]) {}

  void run() {
    if constexpr (requires(factory & f) { f.fail_opens(1U, true); }) {
      fixture_.attempt(clause::failed_open, [&] { failed_open(); });
    } else {
      lacks(clause::failed_open, "fail_opens(store, whether)");
    }
    if constexpr (requires(factory & f) { f.fail_reads(1U, true); }) {
      fixture_.attempt(clause::failed_read, [&] { failed_read(); });
    } else {
      lacks(clause::failed_read, "fail_reads(store, whether)");
    }
    if constexpr (requires(factory & f) { f.fail_commits(1U, true); }) {
      fixture_.attempt(clause::failed_commit_told, [&] { failed_commit_told(); });
      fixture_.attempt(clause::failed_commit_undone, [&] { failed_commit_undone(); });
      fixture_.attempt(clause::failed_commit_stays_undone, [&] { failed_commit_stays_undone(); });
      fixture_.attempt(clause::commit_after_failure, [&] { commit_after_failure(); });
    } else {
      for (clause c : {clause::failed_commit_told, clause::failed_commit_undone,
                       clause::failed_commit_stays_undone, clause::commit_after_failure}) {
        lacks(c, "fail_commits(store, whether)");
      }
    }
    if constexpr (requires(factory & f) { f.crash(1U); }) {
      fixture_.attempt(clause::crash_keeps_completed, [&] { crash_keeps(); });
      fixture_.attempt(clause::crash_whole_or_not, [&] { crash_within(); });
    } else {
      lacks(clause::crash_keeps_completed, "crash(store)");
      lacks(clause::crash_whole_or_not, "crash(store), and crash_at(store, step)");
    }
    if constexpr (requires(factory & f, const peer_id& p) { f.damage(1U, queue::outbox, p, 1U); }) {
      fixture_.attempt(clause::damaged_message, [&] { damaged_message(); });
    } else {
      lacks(clause::damaged_message, "damage(store, queue, peer, index)");
    }
    if constexpr (requires(factory & f) { f.damage(1U); }) {
      fixture_.attempt(clause::damaged_store, [&] { damaged_store(); });
    } else {
      lacks(clause::damaged_store, "damage(store)");
    }
  }

 private:
  void lacks(clause c, const char* what) {
    fixture_.results().skipped(c, std::string("not tried: the factory has no ") + what);
  }

  void fill(store& s) {
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 6)
                 .append(queue::inbox, 4)
                 .done());
    s.commit(s.compose().peer(b_).append(queue::inbox, 2).peer(c_).append(queue::outbox, 2).done());
  }

  /// A batch that does all that a batch can do.
  batch<peer_id> change(const store& s) const {
    auto next = s.compose();
    next.peer(a_).append(queue::outbox, 3, 5000).append(queue::inbox, 2).erase(queue::outbox, 5);
    next.erase(queue::inbox, 3).peer(b_).append(queue::outbox, 2).erase(queue::inbox, 2);
    if (s.model.peers.contains(c_)) next.forget(c_);
    return next.done();
  }

  void failed_open() {
    store s(fixture_);
    fill(s);
    s.demand("close", s.close(s.own()));
    if constexpr (!Fixture::one_handle) s.own() = fixture_.make(s.number());
    fixture_.factory().fail_opens(s.number(), true);
    auto r = s.open(s.own());
    fixture_.factory().fail_opens(s.number(), false);
    if (!r->failed) {
      throw found{clause::failed_open,
                  r->value->local ? "open does not throw" : "open says that the store is new"};
    }
    auto again = s.open(s.own());
    if (again->failed) {
      throw found{clause::failed_open,
                  "after it failed once, open throws " + kit::describe(again->failed)};
    }
    store::expect(s.compare(s.model, *again->value), clause::failed_open,
                  "opened after it failed once: ");
    s.expect_messages(clause::failed_open);
  }

  void failed_read() {
    store s(fixture_);
    fill(s);
    fixture_.factory().fail_reads(s.number(), true);
    auto r = s.read(s.own(), queue::outbox, a_, 1, page_limit(10, 1000));
    fixture_.factory().fail_reads(s.number(), false);
    if (!r->failed) {
      throw found{clause::failed_read,
                  r->value->empty() ? "read gives an empty page" : "read does not throw"};
    }
    s.expect_messages(clause::failed_read);
  }

  /// Makes one commit fail; whether it threw.
  bool fail(store& s, const batch<peer_id>& b) {
    fixture_.factory().fail_commits(s.number(), true);
    auto r = s.commit(s.own(), b);
    fixture_.factory().fail_commits(s.number(), false);
    return r->failed != nullptr;
  }

  void failed_commit_told() {
    store s(fixture_);
    fill(s);
    if (fail(s, change(s))) return;
    throw found{clause::failed_commit_told, "a commit that must fail completes without an error"};
  }

  void expect_failure(store& s, const batch<peer_id>& b) {
    if (!fail(s, b)) throw cannot_try{"not tried: no commit throws"};
  }

  void failed_commit_undone() {
    store s(fixture_);
    fill(s);
    for (int times = 0; times < 2; ++times) {
      expect_failure(s, change(s));
      s.expect_messages(clause::failed_commit_undone);
    }
  }

  void failed_commit_stays_undone() {
    for (bool closes : {true, false}) {
      store s(fixture_);
      fill(s);
      expect_failure(s, change(s));
      if (!closes && !Fixture::one_handle) s.drop();
      auto state = closes || Fixture::one_handle ? s.reopen() : s.open_anew();
      store::expect(s.compare(s.model, state), clause::failed_commit_stays_undone,
                    "opened again after a commit that failed: ");
      s.expect_messages(clause::failed_commit_stays_undone);
    }
    store first(fixture_);
    first.open_new();
    expect_failure(first,
                   first.compose().create_incarnation().peer(a_).append(queue::outbox).done());
    store::expect(first.compare(first.model, first.reopen()), clause::failed_commit_stays_undone,
                  "opened again after its first commit failed: ");
  }

  /// The next commit reuses the indexes of the failed one.
  void commit_after_failure() {
    for (bool same_batch : {true, false}) {
      store s(fixture_);
      fill(s);
      batch<peer_id> failing = change(s);
      expect_failure(s, failing);
      auto other = s.compose();
      other.peer(a_).append(queue::outbox, 1).peer(b_).append(queue::inbox, 4);
      const batch<peer_id>& next = same_batch ? failing : other.done();
      auto r = s.commit(s.own(), next);
      if (r->failed) {
        throw found{clause::commit_after_failure,
                    "the commit after one that failed throws " + kit::describe(r->failed)};
      }
      s.model.apply(next);
      s.expect_messages(clause::commit_after_failure);
      store::expect(s.compare(s.model, s.reopen()), clause::commit_after_failure);
      s.expect_messages(clause::commit_after_failure);
    }
  }

  // Crashes. From the factory's `crash` on, operations of the old handle do not reach the store.

  /// Opens the store after a crash, with a new handle.
  auto after_crash(store& s) {
    s.drop();
    s.own() = fixture_.make(s.number());
    auto r = s.open(s.own());
    if (!r->failed) return *r->value;
    throw found{clause::crash_keeps_completed,
                "after a crash the store cannot be opened: " + kit::describe(r->failed)};
  }

  void crash_keeps() {
    if (Fixture::one_handle) throw cannot_try{"not tried: the store is in the handle (one_handle)"};
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    for (int round = 0; round < 6; ++round) {
      fixture_.factory().crash(s.number());
      auto state = after_crash(s);
      store::expect(s.compare(s.model, state), clause::crash_keeps_completed, "after a crash, ");
      s.expect_messages(clause::crash_keeps_completed);
      s.commit(round % 2 == 0 ? s.compose().peer(a_).append(queue::outbox, 3, 100).done()
                              : change(s));
    }
  }

  /// The store must equal `before` or `after`; if the commit completed, `after`.
  void expect_either(store& s, const store_model<peer_id>& before,
                     const store_model<peer_id>& after, bool completed, const std::string& when) {
    auto state = after_crash(s);
    auto differs = [&](const store_model<peer_id>& m) {
      auto d = s.compare(m, state);
      return d ? d : s.compare_messages(m);
    };
    auto from_after = differs(after);
    s.model = from_after ? before : after;
    if (!from_after) return;
    if (completed) {
      throw found{clause::crash_keeps_completed,
                  when + "what a completed commit stored is not there: " + from_after->found};
    }
    auto from_before = differs(before);
    if (!from_before) return;
    throw found{clause::crash_whole_or_not, when + "the store is not as before the commit (" +
                                                from_before->found + "), nor as after it (" +
                                                from_after->found + ")"};
  }

  void crash_within() {
    if (Fixture::one_handle) throw cannot_try{"not tried: the store is in the handle (one_handle)"};
    // While the commit's coroutine waits for something.
    for (unsigned turns = 0; turns < limits::crash_handlers; ++turns) {
      store s(fixture_);
      fill(s);
      store_model<peer_id> after = s.model;
      batch<peer_id> next = change(s);
      after.apply(next);
      auto write = fixture_.template start<nothing>(s.committing(s.own(), next));
      fixture_.context().restart();
      for (unsigned i = 0; i < turns; ++i) fixture_.context().poll_one();
      bool completed = write->done && !write->failed;
      fixture_.factory().crash(s.number());
      fixture_.wait("commit beside a crash", write);
      expect_either(s, s.model, after, completed, "after a crash beside a commit, ");
    }
    if constexpr (requires(factory & f) { f.crash_at(1U, 0U); }) crash_at_each_step();
  }

  /// Within the commit, at each step that the factory knows.
  void crash_at_each_step() {
    for (unsigned step = 0; step < limits::crash_steps; ++step) {
      store s(fixture_);
      fill(s);
      store_model<peer_id> after = s.model;
      batch<peer_id> next = change(s);
      after.apply(next);
      fixture_.factory().crash_at(s.number(), step);
      auto write = s.commit(s.own(), next);
      fixture_.factory().crash(s.number());
      bool completed = !write->failed;
      expect_either(s, s.model, after, completed,
                    "after a crash at step " + std::to_string(step) + " of a commit, ");
      s.commit(s.compose().peer(b_).append(queue::outbox, 2).done());
      s.expect_messages(clause::commit_after_failure);
      if (completed) return;
    }
  }

  // Damage, done while the store is closed.

  void damaged_message() {
    for (queue which : {queue::outbox, queue::inbox}) {
      for (std::uint64_t index : {1U, 3U}) {
        store s(fixture_);
        s.open();
        s.commit(s.compose().create_incarnation().peer(a_).append(which, 4, 300).done());
        s.demand("close", s.close(s.own()));
        if constexpr (!Fixture::one_handle) s.own() = fixture_.make(s.number());
        fixture_.factory().damage(s.number(), which, a_, index);
        auto opened = s.open(s.own());
        if (opened->failed) continue;
        store::expect(s.compare(s.model, *opened->value), clause::damaged_store,
                      "with a damaged message, ");
        try {
          expect_found(s, which, index);
        } catch (found& f) {
          throw found{clause::damaged_message, f.found};
        }
      }
    }
  }

  void expect_found(store& s, queue which, std::uint64_t index) {
    std::string at = "message " + std::to_string(index) + " of four is damaged: ";
    for (std::uint64_t from = 1; from <= index; ++from) {
      auto r = s.read(s.own(), which, a_, from, page_limit(10, 1U << 20));
      std::string read = at + "read from " + std::to_string(from);
      if (from == index) {
        if (r->failed && is(r->failed, error::store_corrupt)) continue;
        if (r->failed) {
          throw found{clause::damaged_message, read +
                                                   " throws another error than "
                                                   "error::store_corrupt: " +
                                                   kit::describe(r->failed)};
        }
        throw found{clause::damaged_message,
                    read + (r->value->empty() ? " gives an empty page" : " gives messages")};
      }
      if (r->failed) {
        throw found{clause::damaged_message, read + ", before it, throws"};
      }
      if (r->value->size() == index - from) continue;
      throw found{clause::damaged_message,
                  read + " gives " + std::to_string(r->value->size()) + " messages"};
    }
  }

  void damaged_store() {
    store s(fixture_);
    fill(s);
    s.demand("close", s.close(s.own()));
    if constexpr (!Fixture::one_handle) s.own() = fixture_.make(s.number());
    fixture_.factory().damage(s.number());
    auto opened = s.open(s.own());
    if (opened->failed) return;
    if (!opened->value->local) {
      throw found{clause::damaged_store, "open says that a store that it cannot read is new"};
    }
    store::expect(s.compare(s.model, *opened->value), clause::damaged_store,
                  "open does not throw, and of a damaged store ");
    s.expect_messages(clause::damaged_store);
  }

  Fixture& fixture_;
  const peer_id a_, b_, c_;
};

}  // namespace ilm::inline v0::testing::kit
