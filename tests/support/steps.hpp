#pragma once

// Steps that many scenarios share.

#include "support/world.hpp"

#include <ilm/protocol/bounds.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace test {

using sends = std::vector<std::shared_ptr<sent>>;

inline sends send_all(peer& from, const std::string& to, const std::vector<std::string>& texts) {
  sends all;
  for (const std::string& text : texts) all.push_back(from.send(to, text));
  return all;
}

inline bool all_done(const sends& all) {
  for (const auto& s : all) {
    if (!s->done) return false;
  }
  return true;
}

inline bool all_stored(const sends& all) {
  for (const auto& s : all) {
    if (!s->done || s->error) return false;
  }
  return true;
}

/// Sends, and waits until all sends have completed.
inline sends store_all(world& w, peer& from, const std::string& to,
                       const std::vector<std::string>& texts) {
  sends all = send_all(from, to, texts);
  w.until([&] { return all_done(all); });
  return all;
}

/// Whether the store holds no message to or from anybody.
inline bool empty(peer& p) {
  return p.disk().size(ilm::queue::outbox) == 0 && p.disk().size(ilm::queue::inbox) == 0;
}

/// Ends the messenger and lets the context run what that posted; no time passes.
inline void crash(world& w, peer& p) {
  p.crash();
  w.run_for(0s);
}

inline asio::awaitable<ilm::store_state<std::string>> open_store(store s) {
  co_return co_await s.open();
}

/// The state of the peer `of` in a copy of the store, as it is now.
inline ilm::cursors cursors_of(world& w, const store& s, const std::string& of) {
  ilm::store_state<std::string> state = w.run(open_store(s.copy()));
  for (const auto& [id, cursors] : state.peers) {
    if (id == of) return cursors;
  }
  return {};
}

inline asio::awaitable<void> open_and_commit(store s, ilm::batch<std::string> change) {
  co_await s.open();
  co_await s.commit(change);
}

/// Makes a new store begin with an identity, and these cursors for one peer.
inline void preset(world& w, store& s, const ilm::incarnation& local, const std::string& peer,
                   const ilm::cursors& where) {
  ilm::batch<std::string> first;
  first.new_incarnation = local;
  first.changes.emplace_back(peer, where);
  w.run(open_and_commit(s, std::move(first)));
}

/// How many handlers run within a span of simulated time: little, if all is idle.
inline std::size_t work_within(world& w, std::chrono::nanoseconds span) {
  std::size_t handlers = 0;
  w.until([&] { return ++handlers, false; }, span);
  return handlers;
}

/// A range with an open end: nobody knows how many the lost history had.
inline ilm::sequence_range all_from(std::uint64_t first) {
  return {first, ilm::protocol::maximum_sequence};
}

inline std::vector<std::string> operator+(std::vector<std::string> a,
                                          const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace test
