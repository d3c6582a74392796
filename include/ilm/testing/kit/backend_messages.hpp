#pragma once

#include <ilm/testing/kit/store_under_test.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Checks of a backend: committed messages can be read.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class backend_messages {
  using store = store_under_test<Fixture>;
  using peer_id = typename Fixture::peer_id;
  using clause = backend_clause;

 public:
  explicit backend_messages(Fixture& f) : fixture_(f), a_(f.ids()[0]), b_(f.ids()[1]) {}

  void run() {
    fixture_.require(clause::new_store, [&] { new_store(); });
    fixture_.require(clause::completed_commit, [&] { one(queue::outbox); });
    fixture_.require(clause::completed_commit, [&] { one(queue::inbox); });
    fixture_.attempt(clause::whole_batch, [&] { whole_batch(); });
    fixture_.attempt(clause::next_commit, [&] { next_commit(); });
    fixture_.attempt(clause::queues_apart, [&] { queues_apart(); });
    fixture_.attempt(clause::peers_apart, [&] { peers_apart(); });
    fixture_.attempt(clause::several_peers, [&] { several_peers(); });
    fixture_.attempt(clause::contents, [&] { contents(clause::contents); });
    fixture_.attempt(clause::attributes, [&] { attributes(clause::attributes); });
  }
  void run_numbers() {
    fixture_.attempt(clause::numbers, [&] { wide_numbers(clause::numbers); });
  }

  /// What is hard to keep, opened again.
  void run_reopened() {
    clause c = clause::reopened_messages;
    fixture_.attempt(c, [&] { contents(c); });
    fixture_.attempt(c, [&] { attributes(c); });
    fixture_.attempt(c, [&] { wide_numbers(c); });
  }

  void run_large() {
    fixture_.attempt(clause::large_batch, [&] { large_batch(); });
  }

 private:
  void new_store() {
    store s(fixture_);
    auto state = s.open();
    s.expect_new(state);
    if (state.local_id) throw typename store::found{clause::new_store, "it has a local id"};
  }

  void one(queue which) {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().peer(a_).append(which).done());
    s.expect_messages(clause::completed_commit);
  }

  void whole_batch() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 7)
                 .append(queue::inbox, 5)
                 .done());
    s.expect_messages(clause::whole_batch);
  }

  void next_commit() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    for (std::size_t count : {2U, 1U, 3U}) {
      s.commit(s.compose().peer(a_).append(queue::outbox, count).done());
      s.expect_messages(clause::next_commit);
      s.commit(s.compose().peer(a_).append(queue::inbox, count).done());
      s.expect_messages(clause::next_commit);
    }
    s.commit(s.compose().peer(a_).done());
    s.expect_messages(clause::next_commit);
  }

  void queues_apart() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().peer(a_).append(queue::outbox, 4).done());
    s.expect_messages(clause::queues_apart);
    s.commit(s.compose().peer(a_).append(queue::inbox, 2).done());
    s.expect_messages(clause::queues_apart);
  }

  void peers_apart() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 3)
                 .append(queue::inbox, 2)
                 .done());
    s.commit(s.compose().peer(b_).append(queue::outbox, 1).append(queue::inbox, 4).done());
    s.expect_messages(clause::peers_apart);
  }

  void several_peers() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose()
                 .create_incarnation()
                 .peer(a_)
                 .append(queue::outbox, 2)
                 .peer(b_)
                 .append(queue::inbox)
                 .done());
    s.expect_messages(clause::several_peers);
    s.commit(s.compose().peer(b_).append(queue::outbox).peer(a_).append(queue::inbox, 3).done());
    s.expect_messages(clause::several_peers);
    s.commit(s.compose().peer(b_).append(queue::inbox, 2).done());
    s.expect_messages(clause::several_peers);
  }

  void contents(clause c) {
    store s(fixture_);
    s.open_new();
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    // g++ 12 takes an initializer list of these for too short an array.
    std::vector<std::string> texts;
    for (std::size_t zeros : {0U, 1U, 3U}) texts.emplace_back(zeros, '\0');
    texts.push_back(all);
    texts.push_back("\r\n\x1a");
    for (std::size_t size : {255U, 256U, 65'536U, (1U << 20) + 1}) {
      texts.push_back(filled("", size, size));
    }
    texts.emplace_back();
    auto first = s.compose();
    first.create_incarnation();
    for (queue which : {queue::outbox, queue::inbox}) {
      for (const std::string& text : texts) first.peer(a_).put(which, bytes(text));
    }
    s.commit(first.done());
    s.expect_messages(c);
    if (c == clause::reopened_messages) expect_kept(s, c);
  }

  void attributes(clause c) {
    store s(fixture_);
    s.open_new();
    auto first = s.compose();
    first.create_incarnation();
    for (queue which : {queue::outbox, queue::inbox}) {
      first.peer(a_);
      for (std::size_t size : {1U, 0U, 10U, 4'096U, 0U}) {
        for (const char* contents : {"", "contents"}) {
          first.put(which, bytes(std::string_view(contents)), bytes(filled("", size, size)));
        }
      }
      first.put(which, bytes(), bytes(std::string_view("\0\xff\0", 3)));
    }
    s.commit(first.done());
    s.expect_messages(c);
    if (c == clause::reopened_messages) expect_kept(s, c);
  }

  void wide_numbers(clause c) {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().done());
    // The last is the highest that the protocol gives, less two.
    for (std::uint64_t first :
         {std::uint64_t{255}, (std::uint64_t{1} << 32) - 1, (std::uint64_t{1} << 40) - 1,
          (std::uint64_t{1} << 53) - 1, (std::uint64_t{1} << 63) - 1,
          ~std::uint64_t{0} - (std::uint64_t{1} << 32) - 2}) {
      auto next = s.compose();
      for (queue which : {queue::outbox, queue::inbox})
        next.peer(a_).erase(which, first).append(which, 3);
      s.commit(next.done());
      s.expect_messages(c);
    }
    if (c == clause::reopened_messages) expect_kept(s, c);
  }

  void large_batch() {
    store s(fixture_);
    s.open_new();
    s.commit(s.compose().create_incarnation().peer(a_).append(queue::outbox, 10'000, 40).done());
    s.expect_messages(clause::large_batch);
    s.commit(s.compose().peer(a_).append(queue::inbox, 4, 2U << 20).done());
    s.expect_messages(clause::large_batch);
    s.commit(s.compose().peer(a_).erase(queue::outbox, 9'990).erase(queue::inbox, 4).done());
    s.expect_messages(clause::large_batch);
    expect_kept(s, clause::large_batch);
  }

  /// When the store is opened again.
  static void expect_kept(store& s, clause c) {
    store::expect(s.compare(s.model, s.reopen()), c, "opened again, ");
    store::expect(s.compare_messages(s.model), c, "opened again, ");
  }

  Fixture& fixture_;
  const peer_id a_, b_;
};

}  // namespace ilm::inline v0::testing::kit
