#pragma once

#include <ilm/error.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/store_under_test.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Checks of a backend: the store outlives its handles, and one handle at a time has it open.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class backend_handles {
  using store = store_under_test<Fixture>;
  using peer_id = typename Fixture::peer_id;
  using backend_type = typename Fixture::backend_type;
  using found = violation<backend_clause>;
  using clause = backend_clause;
  using handle = typename store::handle;

 public:
  explicit backend_handles(Fixture& f) : fixture_(f), a_(f.ids()[0]), b_(f.ids()[1]) {}

  void run() {
    fixture_.attempt(clause::new_incarnation, [&] { new_incarnation(); });
    fixture_.attempt(clause::local_id, [&] { local_id(); });
    fixture_.attempt(clause::reopened_messages, [&] { reopened_messages(); });
    fixture_.attempt(clause::cursors, [&] { kept_cursors(); });
    fixture_.attempt(clause::every_peer, [&] { every_peer(); });
    fixture_.attempt(clause::every_peer, [&] { many_peers(); });
    fixture_.attempt(clause::reopened_erasure, [&] { reopened_erasure(); });
    fixture_.attempt(clause::forget_peer, [&] { forget_peer(); });
    fixture_.attempt(clause::store_in_use, [&] { in_use(); });
    fixture_.attempt(clause::open_again, [&] { open_again(); });
    fixture_.attempt(clause::close_frees, [&] { close_frees(); });
    fixture_.attempt(clause::destroying_frees, [&] { destroying_frees(); });
    fixture_.attempt(clause::moved_handle, [&] { moved(); });
  }

 private:
  void new_incarnation() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    s.expect_state(s.reopen());
    s.commit(s.compose().peer(a_).append(queue::outbox).done());
    s.expect_state(s.reopen());
    s.expect_state(s.reopen());
    store with_the_rest(fixture_);
    with_the_rest.open_new();
    with_the_rest.commit(
        with_the_rest.compose().create_incarnation().peer(a_).append(queue::inbox).done());
    with_the_rest.expect_state(with_the_rest.reopen());
  }

  void local_id() {
    store alone(fixture_);
    bool kept = local_id_is_kept(alone, alone.compose().create_incarnation());
    for (const peer_id& id : fixture_.ids()) {
      store s(fixture_);
      auto first = s.compose(id);
      first.create_incarnation().peer(a_).append(queue::outbox);
      if (local_id_is_kept(s, first) != kept) {
        throw found{clause::local_id, "open gives the local id of one store and not of another"};
      }
      s.commit(s.compose().peer(b_).append(queue::inbox).done());
      s.expect_state(s.reopen());
    }
    if (kept) return;
    throw cannot_try{
        "not tried: the backend leaves it out. Nobody who opens a store under another "
        "id is refused"};
  }

  bool local_id_is_kept(store& s, const composer<peer_id>& first) {
    s.open_new();
    s.commit(first.done());
    auto state = s.reopen();
    s.expect_state(state);
    return state.local_id.has_value();
  }

  void reopened_messages() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    for (int round = 0; round < 3; ++round) {
      s.commit(s.compose().peer(a_).append(queue::outbox, 3, 40).append(queue::inbox, 1).done());
      s.commit(s.compose().peer(b_).append(queue::inbox, 2, 3000).done());
      s.expect_state(s.reopen());
      s.expect_messages(clause::reopened_messages);
    }
  }

  void kept_cursors() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().peer(a_).done());
    for (int round = 0; round < 4; ++round) {
      s.expect_state(s.reopen());
      s.commit(s.compose().peer(a_).append(queue::outbox).peer(b_).done());
      if (round % 2 == 0) s.commit(s.compose().peer(a_).erase(queue::inbox, 7U).done());
    }
  }

  void every_peer() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    for (const peer_id& id : fixture_.ids()) {
      s.commit(s.compose().peer(id).append(queue::outbox).done());
    }
    store::expect(s.compare(s.model, s.reopen()), clause::every_peer);
    store::expect(s.compare_messages(s.model), clause::every_peer);
    auto again = s.compose();
    for (const peer_id& id : fixture_.ids()) again.peer(id).append(queue::inbox);
    s.commit(again.done());
    store::expect(s.compare(s.model, s.reopen()), clause::every_peer);
    store::expect(s.compare_messages(s.model), clause::every_peer);
  }

  /// More peers than a small table has room for, in one batch and one by one.
  void many_peers() {
    if constexpr (has_samples<peer_id> && !Fixture::chosen_peers) {
      store s(fixture_);
      s.open_new();
      std::vector<peer_id> ids = many_sample_peers<peer_id>(limits::many_peers);
      auto first = s.compose();
      first.create_incarnation();
      for (std::size_t i = 0; i + 3 < ids.size(); ++i) {
        first.peer(ids[i]).append(i % 2 == 0 ? queue::outbox : queue::inbox);
      }
      s.commit(first.done());
      for (std::size_t i = ids.size() - 3; i < ids.size(); ++i) {
        s.commit(s.compose().peer(ids[i]).append(queue::outbox).done());
      }
      store::expect(s.compare(s.model, s.reopen()), clause::every_peer);
      for (std::size_t i = 0; i < ids.size(); i += limits::peers_between_reads) {
        store::expect(s.compare_messages(s.model, ids[i]), clause::every_peer);
      }
      store::expect(s.compare_messages(s.model, ids.back()), clause::every_peer);
    }
  }

  void reopened_erasure() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 6)
                 .append(queue::inbox, 6)
                 .done());
    for (auto [outbox, inbox] : {std::pair(3U, 1U), std::pair(3U, 5U), std::pair(7U, 7U)}) {
      s.commit(s.compose().peer(a_).erase(queue::outbox, outbox).erase(queue::inbox, inbox).done());
      s.expect_state(s.reopen());
      s.expect_messages(clause::reopened_erasure);
    }
    s.commit(s.compose().peer(a_).append(queue::outbox, 2).done());
    s.expect_state(s.reopen());
    s.expect_messages(clause::reopened_erasure);
  }

  void forget_peer() {
    store s(fixture_);
    const peer_id c = fixture_.ids()[2], d = fixture_.ids()[3];
    s.open_new();
    auto first = s.compose();
    first.create_incarnation();
    for (const peer_id& id : {a_, b_, c, d}) {
      first.peer(id).append(queue::outbox, 6).append(queue::inbox, 4).erase(queue::outbox, 3);
    }
    s.commit(first.done());
    s.commit(s.compose().peer(a_).append(queue::outbox).forget(b_).done());
    expect_forgotten(s, {b_});
    // One that comes again while the store is open begins as a new one.
    s.commit(s.compose().peer(b_).append(queue::outbox, 2).append(queue::inbox, 1).done());
    s.expect_messages(clause::forget_peer);
    store::expect(s.compare(s.model, s.reopen()), clause::forget_peer, "opened again, ");
    s.commit(s.compose().forget(b_).done());
    s.commit(s.compose().forget(c).forget(d).done());
    expect_forgotten(s, {b_, c, d});
    store::expect(s.compare(s.model, s.reopen()), clause::forget_peer, "opened again, ");
    expect_forgotten(s, {b_, c, d});
    s.commit(s.compose().peer(b_).append(queue::outbox, 2).append(queue::inbox, 1).done());
    expect_forgotten(s, {c, d});
    store::expect(s.compare(s.model, s.reopen()), clause::forget_peer, "opened again, ");
    expect_forgotten(s, {c, d});
  }

  void expect_forgotten(store& s, const std::vector<peer_id>& gone) {
    s.expect_messages(clause::forget_peer);
    for (const peer_id& id : gone) {
      for (queue which : {queue::outbox, queue::inbox}) {
        for (std::uint64_t from = 1; from <= 6; ++from) {
          auto r = s.read(s.own(), which, id, from, page_limit(10, 1U << 20));
          std::string what = "a read of a forgotten peer's " + std::string(name_of(which));
          if (r->failed) throw found{clause::forget_peer, what + " threw " + describe(r->failed)};
          if (r->value->empty()) continue;
          throw found{clause::forget_peer, what + " gives a message"};
        }
      }
    }
  }

  static void need_second_handle() {
    if (Fixture::one_handle) {
      throw cannot_try{
          "not tried: the factory says that there can be one handle only (one_handle)"};
    }
  }

  /// Fills a store and leaves it open.
  void fill(store& s) {
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 2)
                 .append(queue::inbox, 1)
                 .done());
  }

  void expect_refused(store& s, const handle& other, clause c, const std::string& when) {
    auto began = std::chrono::steady_clock::now();
    auto r = s.open(other);
    if (!r->failed) throw found{c, when + "a second handle can open the store"};
    if (!is(r->failed, error::store_in_use)) {
      throw found{c, when + "a second handle gets another error: " + describe(r->failed)};
    }
    if (std::chrono::steady_clock::now() - began > limits::refusal_time) {
      throw found{c, when + "a second handle gets its error after more than a second"};
    }
  }

  void in_use() {
    need_second_handle();
    store s(fixture_);
    fill(s);
    handle second = fixture_.make(s.number());
    expect_refused(s, second, clause::store_in_use, "");
    s.commit(s.compose().peer(a_).append(queue::outbox).done());
    s.expect_messages(clause::store_in_use);
    second.reset();
    handle third = fixture_.make(s.number());
    expect_refused(s, third, clause::store_in_use, "after one that was refused is destroyed, ");
  }

  void open_again() {
    need_second_handle();
    store s(fixture_);
    fill(s);
    handle second = fixture_.make(s.number());
    expect_refused(s, second, clause::store_in_use, "");
    s.demand("close", s.close(s.own()));
    s.own() = second;
    store::expect(s.compare(s.model, s.open()), clause::open_again);
    s.commit(s.compose().peer(a_).append(queue::inbox).done());
    s.expect_messages(clause::open_again);
  }

  void close_frees() {
    need_second_handle();
    store s(fixture_);
    fill(s);
    handle first = s.own();
    s.demand("close", s.close(first));
    s.own() = fixture_.make(s.number());
    auto opened = s.open(s.own());
    if (opened->failed) {
      throw found{clause::close_frees,
                  "after a close, another handle cannot open: " + describe(opened->failed)};
    }
    store::expect(s.compare(s.model, *opened->value), clause::close_frees);
    first.reset();
    handle third = fixture_.make(s.number());
    expect_refused(s, third, clause::close_frees,
                   "after the closed handle is destroyed, and while its successor is open, ");
    s.expect_messages(clause::close_frees);
  }

  void destroying_frees() {
    need_second_handle();
    store s(fixture_);
    fill(s);
    for (int round = 0; round < 3; ++round) {
      s.drop();
      s.own() = fixture_.make(s.number());
      auto opened = s.open(s.own());
      if (opened->failed) {
        throw found{clause::destroying_frees,
                    "after an open handle is destroyed, another cannot "
                    "open: " +
                        describe(opened->failed)};
      }
      store::expect(s.compare(s.model, *opened->value), clause::destroying_frees,
                    "after an open handle is destroyed, ");
      s.expect_messages(clause::destroying_frees);
      s.commit(s.compose().peer(a_).append(queue::outbox).done());
    }
  }

  /// Before and after it is opened, as a messenger's constructor does and may do.
  void moved() {
    store s(fixture_);
    s.own() = std::make_shared<backend_type>(std::move(*s.own()));
    fill(s);
    s.own() = std::make_shared<backend_type>(std::move(*s.own()));
    s.commit(s.compose().peer(a_).append(queue::inbox).done());
    s.expect_messages(clause::moved_handle);
    if constexpr (!Fixture::one_handle) {
      handle second = fixture_.make(s.number());
      expect_refused(s, second, clause::moved_handle, "after the open handle was moved, ");
    }
    s.expect_state(s.reopen());
    s.expect_messages(clause::moved_handle);
  }

  Fixture& fixture_;
  const peer_id a_, b_;
};

}  // namespace ilm::inline v0::testing::kit
