#pragma once

#include <ilm/backend.hpp>
#include <ilm/error.hpp>
#include <ilm/testing/kit/backend_clause.hpp>
#include <ilm/testing/kit/fixture.hpp>
#include <ilm/testing/kit/store_model.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing::kit {

/// A store of the user's beside a model of its expected contents.
template <class Fixture>
class store_under_test {
 public:
  using peer_id = typename Fixture::peer_id;
  using backend_type = typename Fixture::backend_type;
  using batch_type = batch<peer_id>;
  using state_type = store_state<peer_id>;
  using page = std::vector<stored_message>;
  using clause = backend_clause;
  using found = violation<backend_clause>;
  using difference = std::optional<found>;
  using handle = std::shared_ptr<backend_type>;

  explicit store_under_test(Fixture& f)
      : fixture_(f), number_(f.next_number()), handle_(f.make(number_)) {}

  unsigned number() const noexcept { return number_; }
  handle& own() noexcept { return handle_; }
  store_model<peer_id> model;

  composer<peer_id> compose() const { return compose(fixture_.ids()[2]); }
  composer<peer_id> compose(const peer_id& local_id) const { return {model, local_id}; }

  // Operations on any handle; each gives the call as it ended.

  auto open(const handle& h) {
    return fixture_.template run<state_type>("open", [h] { return h->open(); });
  }
  auto commit(const handle& h, const batch_type& b) {
    return fixture_.template run<nothing>("commit", committing(h, b));
  }
  auto read(const handle& h, queue which, const peer_id& peer, std::uint64_t from,
            page_limit limit) {
    auto c = fixture_.template run<page>("read", reading(h, which, peer, from, limit));
    if (c->value) check_page(*c->value, from, limit);
    return c;
  }
  auto close(const handle& h) {
    return fixture_.template run<nothing>("close", [h] { return h->close(); });
  }

  static auto committing(const handle& h, const batch_type& b) {
    return [h, what = std::make_shared<batch_type>(b)] { return h->commit(*what); };
  }
  static auto reading(const handle& h, queue which, const peer_id& peer, std::uint64_t from,
                      page_limit limit) {
    return [h, which, id = std::make_shared<peer_id>(peer), from, limit] {
      return h->read(which, *id, from, limit);
    };
  }

  // The same on the store's own handle; an error breaks the clause under test.

  state_type open() { return *demand("open", open(handle_))->value; }
  /// Opens the store for the first time: it must be empty.
  void open_new() { expect_new(open()); }
  void expect_new(const state_type& state) {
    if (!state.local && state.peers.empty()) return;
    if (fixture_.has_created(state.local)) {
      throw found{clause::stores_apart,
                  "a store of a new number is not new: it holds what was put "
                  "into another"};
    }
    fixture_.end("not tried: a store of the factory was not new");
    throw found{clause::new_store, "the factory's store " + std::to_string(number_) +
                                       " was not new: it holds " +
                                       (state.local ? "an incarnation" : "peers") +
                                       " that this run has not put there. An earlier run may have "
                                       "left it: the kit needs new stores"};
  }
  void commit(const batch_type& b) {
    if (b.new_incarnation) fixture_.note_created(*b.new_incarnation);
    demand("commit", commit(handle_, b));
    model.apply(b);
  }
  page read(queue which, const peer_id& peer, std::uint64_t from,
            page_limit limit = page_limit(1U << 20, std::size_t{1} << 30)) {
    return *demand("read", read(handle_, which, peer, from, limit))->value;
  }

  /// Opens the store with another handle, or with the same one where there can be no other.
  state_type reopen() {
    demand("close", close(handle_));
    if constexpr (!Fixture::one_handle) {
      handle_.reset();
      handle_ = fixture_.make(number_);
    }
    auto r = open(handle_);
    if (is(r->failed, error::store_in_use)) {
      throw found{clause::close_frees, "after a close, another handle gets error::store_in_use"};
    }
    return *demand("open", r)->value;
  }
  /// Ends without a close.
  void drop() { handle_.reset(); }
  state_type open_anew() {
    handle_ = fixture_.make(number_);
    return open();
  }

  // Comparison with the model.

  /// Throws the difference `d`, as a violation of `c`, or of `d`'s own clause without a `c`.
  static void expect(difference d, std::optional<clause> c = {}, const std::string& when = {}) {
    if (!d) return;
    if (c) d->clause = *c;
    throw found{d->clause, when + d->found};
  }

  difference compare(const store_model<peer_id>& m, const state_type& state) {
    if (!m.is_new() && !state.local && state.peers.empty()) {
      return found{clause::reopened_messages, "open says that the store is new"};
    }
    if (state.local != m.local) {
      return found{clause::new_incarnation,
                   "open gives another incarnation than the batch created" +
                       std::string(state.local ? "" : ": none")};
    }
    if (difference d = compare_local_id(m, state)) return d;
    std::set<peer_id> seen;
    for (const auto& [id, where] : state.peers) {
      auto known = m.peers.find(id);
      if (known == m.peers.end()) {
        return found{clause::every_peer, "open gives a peer that was never in a batch"};
      }
      if (!seen.insert(id).second) return found{clause::every_peer, "open gives a peer twice"};
      if (where != known->second.where) {
        return found{clause::cursors, "open gives " + describe(where, known->second.where)};
      }
    }
    if (seen.size() == m.peers.size()) return {};
    return found{clause::every_peer, "open gives " + std::to_string(seen.size()) + " peers of " +
                                         std::to_string(m.peers.size())};
  }

  difference compare_messages(const store_model<peer_id>& m, clause c = clause::completed_commit) {
    for (const auto& [id, s] : m.peers) {
      if (difference d = compare_messages(m, id, c)) return d;
    }
    return {};
  }
  difference compare_messages(const store_model<peer_id>& m, const peer_id& id,
                              clause c = clause::completed_commit) {
    for (queue which : {queue::outbox, queue::inbox}) {
      if (difference d = compare_queue(m, id, m.peers.at(id), which, c)) return d;
    }
    return {};
  }

  void expect_messages(clause c) { expect(compare_messages(model, c)); }
  void expect_state(const state_type& state) { expect(compare(model, state)); }

  template <class Call>
  Call demand(const char* what, Call c) {
    if (c->failed) {
      throw std::runtime_error(std::string(what) + " threw " + kit::describe(c->failed));
    }
    return c;
  }

 private:
  /// Checks the promises that every page must keep.
  void check_page(const page& p, std::uint64_t from, const page_limit& limit) {
    if (p.empty()) return;
    auto asked = [&] {
      return " (read from " + std::to_string(from) + ", limit " + std::to_string(limit.messages) +
             " messages, " + std::to_string(limit.bytes) + " bytes)";
    };
    if (p.front().index != from) {
      throw found{clause::read_from,
                  "a page begins with index " + std::to_string(p.front().index) + asked()};
    }
    std::size_t size = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      size += p[i].size();
      if (p[i].index != from + i) {
        throw found{clause::read_without_gap, "after index " + std::to_string(from + i - 1) +
                                                  " comes " + std::to_string(p[i].index) + asked()};
      }
    }
    if (p.size() > limit.messages) {
      throw found{clause::read_message_limit,
                  "a page has " + std::to_string(p.size()) + " messages" + asked()};
    }
    if (p.size() > 1 && size > limit.bytes) {
      throw found{clause::read_byte_limit,
                  "a page has " + std::to_string(size) + " bytes" + asked()};
    }
  }

  /// A backend may leave the local id out, but a store that has given it gives it for good.
  difference compare_local_id(const store_model<peer_id>& m, const state_type& state) {
    if (state.local_id && m.local_id && *state.local_id == *m.local_id) {
      gave_local_id_ = true;
    } else if (state.local_id) {
      return found{clause::local_id, std::string("open gives ") +
                                         (m.local_id ? "another local id than was committed"
                                                     : "a local id that was never committed")};
    } else if (gave_local_id_ && m.local_id) {
      return found{clause::local_id, "open gives no local id any more"};
    }
    return {};
  }

  difference compare_queue(const store_model<peer_id>& m, const peer_id& id, const peer_record& s,
                           queue which, clause c) {
    const auto& all = s.of(which);
    std::uint64_t at = s.first(which), end = s.next(which);
    std::string where = std::string("the ") + name_of(which) + " of a peer: ";
    while (at < end && !all.empty()) {
      page p = read(which, id, at);
      if (p.empty()) {
        return found{c, where + "index " + std::to_string(at) + " of " + std::to_string(at) +
                            " to " + std::to_string(end - 1) + " is missing"};
      }
      for (const stored_message& have : p) {
        auto want = all.find(at++);
        if (want == all.end()) {
          return blame(m, id, which, have, c, where + "it holds more than was put there");
        }
        if (same(have, want->second)) continue;
        return blame(m, id, which, have, c, where + describe(have, want->second));
      }
    }
    if (difference d = expect_none(m, id, which, end, c, where)) return d;
    std::vector<std::uint64_t> gone;
    if (s.first(which) > 1) gone.push_back(s.first(which) - 1);
    if (auto runs = s.erased.find(which); runs != s.erased.end()) {
      gone.insert(gone.end(), runs->second.begin(), runs->second.end());
    }
    for (std::uint64_t index : gone) {
      if (difference d = expect_none(m, id, which, index, c, where + "erased, and there: ")) {
        return d;
      }
    }
    return {};
  }

  difference expect_none(const store_model<peer_id>& m, const peer_id& id, queue which,
                         std::uint64_t at, clause c, const std::string& where) {
    auto r = read(handle_, which, id, at, page_limit(1, 1U << 20));
    std::string asked = where + "read from " + std::to_string(at) + ", where nothing is, ";
    if (r->failed) return found{clause::read_nothing, asked + "threw " + kit::describe(r->failed)};
    if (r->value->empty()) return {};
    return blame(m, id, which, r->value->front(), c, asked + "gives a message");
  }

  /// Explains a wrong message: it may belong to another queue or peer.
  static found blame(const store_model<peer_id>& m, const peer_id& id, queue which,
                     const stored_message& have, clause c, std::string what) {
    for (const auto& [other, s] : m.peers) {
      for (queue b : {queue::outbox, queue::inbox}) {
        if (other == id && b == which) continue;
        auto at = s.of(b).find(have.index);
        if (at == s.of(b).end() || have.contents.empty() ||
            !(at->second.contents == have.contents)) {
          continue;
        }
        what += "; the message is one of the " + std::string(name_of(b)) +
                (other == id ? " of the same peer" : " of another peer");
        return {other == id ? clause::queues_apart : clause::peers_apart, what};
      }
    }
    return {c, what};
  }

  static std::string describe(const stored_message& have, const stored_message& want) {
    std::string at = "message " + std::to_string(want.index) + " has another ";
    if (have.sequence != want.sequence) return at + "sequence: " + std::to_string(have.sequence);
    if (have.salt != want.salt) return at + "salt";
    if (!(have.hash == want.hash)) return at + "hash";
    if (!(have.attributes == want.attributes)) return at + "set of attributes";
    return at + "content: " + std::to_string(have.contents.size()) + " bytes of " +
           std::to_string(want.contents.size());
  }

  static std::string describe(const cursors& have, const cursors& want) {
    std::string part = have.history != want.history ? "history"
                       : have.outbox != want.outbox ? "outbox"
                                                    : "inbox";
    return "other cursors of the " + part + " than were committed last";
  }

  Fixture& fixture_;
  unsigned number_;
  handle handle_;
  bool gave_local_id_ = false;
};

}  // namespace ilm::inline v0::testing::kit
