#pragma once

#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/store_under_test.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// Checks of a backend: pages, erasure, and concurrent operations.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class backend_reading {
  using store = store_under_test<Fixture>;
  using peer_id = typename Fixture::peer_id;
  using page = std::vector<stored_message>;
  using found = violation<backend_clause>;
  using clause = backend_clause;
  static constexpr std::size_t ample = std::size_t{1} << 30;

 public:
  explicit backend_reading(Fixture& f) : fixture_(f), a_(f.ids()[0]), b_(f.ids()[1]) {}

  void run_pages() {
    fixture_.attempt(clause::read_from, [&] { from(); });
    fixture_.attempt(clause::read_message_limit, [&] { message_limit(); });
    fixture_.attempt(clause::read_byte_limit, [&] { byte_limit(); });
    fixture_.attempt(clause::read_at_least_one, [&] { at_least_one(); });
    fixture_.attempt(clause::read_whole_page, [&] { whole_page(); });
    fixture_.attempt(clause::read_whole_page, [&] { page_of_all_bytes(); });
    fixture_.attempt(clause::read_whole_page, [&] { long_pages(); });
    fixture_.attempt(clause::read_nothing, [&] { nothing_there(); });
  }

  void run_erasure() {
    fixture_.attempt(clause::erase_outbox, [&] { erase(clause::erase_outbox, queue::outbox); });
    fixture_.attempt(clause::erase_inbox, [&] { erase(clause::erase_inbox, queue::inbox); });
    fixture_.attempt(clause::erase_with_append, [&] { erase_with_append(); });
    fixture_.attempt(clause::erase_all, [&] { erase_all(); });
  }

  void run_together() {
    fixture_.attempt(clause::read_beside_commit, [&] { beside_commit(); });
    fixture_.attempt(clause::reads_at_once, [&] { at_once(); });
    fixture_.attempt(clause::stores_apart, [&] { stores_apart(); });
  }

 private:
  /// Ten messages in each queue, of 60 bytes and 40 of attributes, the first three erased.
  void fill(store& s) {
    s.open_new();
    auto first = s.compose();
    first.create_incarnation().peer(a_);
    for (queue which : {queue::outbox, queue::inbox}) {
      for (std::uint64_t i = 0; i < 10; ++i) {
        first.put(which, bytes(filled(name_of(which), 60, i)), bytes(filled("", 40, i)));
      }
    }
    s.commit(first.done());
    s.commit(s.compose().peer(a_).erase(queue::outbox, 4).erase(queue::inbox, 4).done());
  }

  void from() {
    store s(fixture_);
    fill(s);
    for (queue which : {queue::outbox, queue::inbox}) {
      for (std::uint64_t at = 4; at <= 10; ++at) {
        page p = s.read(which, a_, at);
        if (p.empty()) {
          throw found{clause::read_from, "a page read from " + std::to_string(at) +
                                             ", in the middle of a queue, is empty"};
        }
      }
    }
    s.expect_messages(clause::read_from);
  }

  void message_limit() {
    store s(fixture_);
    fill(s);
    for (std::size_t limit = 1; limit <= 8; ++limit) {
      s.read(queue::outbox, a_, 4, page_limit(limit, ample));
      s.read(queue::inbox, a_, 4, page_limit(limit, ample));
    }
  }

  void byte_limit() {
    store s(fixture_);
    fill(s);
    for (std::size_t limit : {1U, 99U, 100U, 199U, 200U, 201U, 299U, 300U, 650U, 700U}) {
      s.read(queue::outbox, a_, 4, page_limit(100, limit));
      s.read(queue::inbox, a_, 4, page_limit(100, limit));
    }
  }

  void at_least_one() {
    store s(fixture_);
    fill(s);
    for (std::size_t limit : {0U, 1U, 99U, 100U}) {
      for (queue which : {queue::outbox, queue::inbox}) {
        if (!s.read(which, a_, 5, page_limit(1, limit)).empty()) continue;
        throw found{clause::read_at_least_one,
                    "a message of 100 bytes is there, and the page for 1 message and " +
                        std::to_string(limit) + " bytes is empty"};
      }
    }
  }

  void whole_page() {
    store s(fixture_);
    fill(s);
    for (std::size_t limit : {1U, 2U, 6U, 7U, 8U, 1000U}) {
      std::size_t want = std::min<std::size_t>(limit, 7);
      for (queue which : {queue::outbox, queue::inbox}) {
        std::size_t have = s.read(which, a_, 4, page_limit(limit, ample)).size();
        if (have == want) continue;
        throw found{clause::read_whole_page, "seven messages are there, and the page for " +
                                                 std::to_string(limit) + " has " +
                                                 std::to_string(have)};
      }
    }
  }

  void page_of_all_bytes() {
    store s(fixture_);
    fill(s);
    for (std::size_t limit : {0U, 99U, 100U, 199U, 200U, 201U, 300U, 650U, 699U, 700U, 701U}) {
      std::size_t want = std::clamp<std::size_t>(limit / 100, 1, 7);
      for (queue which : {queue::outbox, queue::inbox}) {
        std::size_t have = s.read(which, a_, 4, page_limit(100, limit)).size();
        if (have == want) continue;
        throw found{clause::read_whole_page,
                    "seven messages of 100 bytes are there, and the page for " +
                        std::to_string(limit) + " bytes has " + std::to_string(have)};
      }
    }
  }

  /// A queue longer than any page that a store may think enough.
  void long_pages() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    for (std::size_t put = 0; put < limits::many_messages; put += 1000) {
      s.commit(s.compose().peer(a_).append(queue::outbox, 1000).append(queue::inbox, 1000).done());
    }
    for (std::size_t limit : {std::size_t{65}, std::size_t{257}, std::size_t{1025},
                              limits::many_messages - 1, limits::many_messages, ample}) {
      std::size_t want = std::min(limit, limits::many_messages);
      for (queue which : {queue::outbox, queue::inbox}) {
        std::size_t have = s.read(which, a_, 1, page_limit(limit, ample)).size();
        if (have == want) continue;
        throw found{clause::read_whole_page, std::to_string(limits::many_messages) +
                                                 " messages are there, and the page for " +
                                                 std::to_string(limit) + " has " +
                                                 std::to_string(have)};
      }
    }
    s.expect_state(s.reopen());
    s.expect_messages(clause::read_whole_page);
    // All but one of them go at once.
    for (queue which : {queue::outbox, queue::inbox}) {
      s.commit(s.compose().peer(a_).erase(which, limits::many_messages).done());
    }
    s.expect_state(s.reopen());
    s.expect_messages(clause::reopened_erasure);
  }

  void nothing_there() {
    store s(fixture_);
    fill(s);
    struct place {
      queue which;
      const peer_id* peer;
      std::uint64_t from;
      const char* words;
    };
    const std::vector<place> places{{queue::outbox, &a_, 11, "right beyond the last"},
                                    {queue::inbox, &a_, 1'000'000, "far beyond the last"},
                                    {queue::outbox, &a_, 1, "where all is erased"},
                                    {queue::inbox, &a_, 3, "right below the first"},
                                    {queue::outbox, &b_, 1, "in the outbox of an unknown peer"},
                                    {queue::inbox, &b_, 1, "in the inbox of an unknown peer"}};
    for (const place& p : places) {
      auto r = s.read(s.own(), p.which, *p.peer, p.from, page_limit(10, ample));
      std::string what = std::string("a read ") + p.words;
      if (r->failed) throw found{clause::read_nothing, what + " threw " + describe(r->failed)};
      if (r->value->empty()) continue;
      throw found{clause::read_nothing, what + " gives a message"};
    }
    // A read must not create a peer.
    s.commit(s.compose().peer(a_).append(queue::outbox).done());
    s.expect_state(s.reopen());
    s.commit(s.compose().peer(b_).append(queue::inbox).done());
    auto empty = s.read(s.own(), queue::outbox, b_, 1, page_limit(10, ample));
    if (empty->failed) {
      throw found{clause::read_nothing,
                  "a read of an empty queue threw " + describe(empty->failed)};
    }
  }

  void erase(clause c, queue which) {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 10)
                 .append(queue::inbox, 10)
                 .done());
    s.commit(s.compose().peer(b_).append(queue::outbox, 3).append(queue::inbox, 3).done());
    for (std::uint64_t first : {4U, 5U, 8U, 10U}) {
      s.commit(s.compose().peer(a_).erase(which, first).done());
      s.expect_messages(c);
    }
    s.commit(s.compose().peer(a_).append(which, 3).done());
    s.expect_messages(c);
  }

  void erase_with_append() {
    store s(fixture_);
    fill(s);
    for (queue which : {queue::outbox, queue::inbox}) {
      s.commit(s.compose().peer(a_).append(which, 2).erase(which, 9).done());
      s.expect_messages(clause::erase_with_append);
    }
    // The second of the three appended is erased by the batch that appends it.
    s.commit(s.compose().peer(a_).append(queue::outbox, 3).erase(queue::outbox, 15).done());
    s.expect_messages(clause::erase_with_append);
    s.commit(s.compose().peer(b_).append(queue::inbox, 3).erase(queue::inbox, 3).done());
    s.expect_messages(clause::erase_with_append);
  }

  void erase_all() {
    store s(fixture_);
    fill(s);
    for (queue which : {queue::outbox, queue::inbox}) {
      s.commit(s.compose().peer(a_).erase(which, 11).done());
      s.expect_messages(clause::erase_all);
      s.commit(s.compose().peer(a_).append(which, 2).done());
      s.expect_messages(clause::erase_all);
      s.commit(s.compose().peer(a_).erase(which, 100).done());
      s.expect_messages(clause::erase_all);
      s.commit(s.compose().peer(a_).erase(which, 200).append(which, 2).done());
      s.expect_messages(clause::erase_all);
    }
    s.expect_state(s.reopen());
    s.expect_messages(clause::erase_all);
  }

  /// Two peers, read one after the other beside a commit that changes both: if the first read sees
  /// the commit, so must the second.
  void beside_commit() {
    store s(fixture_);
    fill(s);
    s.commit(s.compose().peer(b_).append(queue::outbox, 5).append(queue::inbox, 5).done());
    for (unsigned round = 0; round < limits::reads_beside_commits; ++round) {
      queue which = round % 4 < 2 ? queue::outbox : queue::inbox;
      auto next = s.compose();
      for (const peer_id& id : {a_, b_}) {
        next.peer(id).append(queue::outbox, 5, 200).append(queue::inbox, 5, 200);
        if (round % 2 == 0) next.erase(which, s.model.peers[id].next(which) - 2);
      }
      store_model<peer_id> before = s.model;
      auto write = fixture_.template start<nothing>(s.committing(s.own(), next.done()));
      fixture_.context().restart();
      for (unsigned i = 0; i < round % 10; ++i) fixture_.context().poll_one();
      s.model.apply(next.done());
      bool first_after = false;
      for (const peer_id& id : {round % 3 == 0 ? a_ : b_, round % 3 == 0 ? b_ : a_}) {
        bool after = look_beside(s, before, which, id);
        if (first_after && !after) {
          throw found{clause::read_beside_commit,
                      "of a commit that changes two peers, the change of one can be read, and then "
                      "the other as it was before"};
        }
        first_after = after;
      }
      fixture_.wait("commit beside a read", write);
      s.demand("commit beside a read", write);
    }
    s.expect_messages(clause::read_beside_commit);
  }

  /// Whether a page shows the store after the commit under way, rather than before it.
  bool look_beside(store& s, const store_model<peer_id>& before, queue which, const peer_id& id) {
    const peer_record& old = before.peers.at(id);
    std::uint64_t at = old.first(which);
    auto r = fixture_.template run<page>(
        "read beside a commit", s.reading(s.own(), which, id, at, page_limit(1000, ample)));
    s.demand("read beside a commit", r);
    if (equals(*r->value, s.model.peers[id], which, at)) return true;
    if (equals(*r->value, old, which, at)) return false;
    throw found{clause::read_beside_commit, "a page read beside a commit has " +
                                                std::to_string(r->value->size()) +
                                                " messages, which is neither what was there "
                                                "before nor what is there after it"};
  }

  static bool equals(const page& p, const peer_record& s, queue which, std::uint64_t at) {
    const auto& all = s.of(which);
    auto want = all.find(at);
    for (const stored_message& m : p) {
      if (want == all.end() || !same(m, want->second)) return false;
      ++want;
    }
    return want == all.end();
  }

  void at_once() {
    store s(fixture_);
    s.open_new();
    auto first = s.compose();
    first.create_incarnation();
    for (const peer_id& id : fixture_.ids()) {
      first.peer(id).append(queue::outbox, 20, 500).append(queue::inbox, 20, 500);
    }
    s.commit(first.done());
    std::vector<std::shared_ptr<call<page>>> reads;
    for (const peer_id& id : fixture_.ids()) {
      for (queue which : {queue::outbox, queue::inbox}) {
        reads.push_back(
            fixture_.template start<page>(s.reading(s.own(), which, id, 1, page_limit(50, ample))));
      }
    }
    std::size_t next = 0;
    for (const peer_id& id : fixture_.ids()) {
      for (queue which : {queue::outbox, queue::inbox}) {
        auto& r = reads[next++];
        fixture_.wait("one of several reads at once", r);
        s.demand("one of several reads at once", r);
        if (equals(*r->value, s.model.peers[id], which, 1)) continue;
        throw found{clause::reads_at_once,
                    "one of several reads at once gives " + std::to_string(r->value->size()) +
                        " messages, which are not the twenty that are there"};
      }
    }
  }

  void stores_apart() {
    store one(fixture_), two(fixture_);
    one.open_new();
    two.open_new();
    one.commit(one.compose().create_incarnation().peer(a_).append(queue::outbox, 3).done());
    two.commit(two.compose().create_incarnation().peer(a_).append(queue::outbox, 1).done());
    two.commit(two.compose().peer(b_).append(queue::inbox, 4).done());
    one.commit(one.compose().peer(a_).erase(queue::outbox, 3).done());
    one.expect_messages(clause::stores_apart);
    two.expect_messages(clause::stores_apart);
    store::expect(one.compare(one.model, one.reopen()), clause::stores_apart);
    store::expect(two.compare(two.model, two.reopen()), clause::stores_apart);
    one.expect_messages(clause::stores_apart);
    two.expect_messages(clause::stores_apart);
  }

  Fixture& fixture_;
  const peer_id a_, b_;
};

}  // namespace ilm::inline v0::testing::kit
