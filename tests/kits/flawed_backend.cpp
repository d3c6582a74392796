#include "flawed_backend.hpp"

#include <asio/steady_timer.hpp>

#include <iterator>

namespace test {

namespace {

std::system_error io_error() {
  return std::system_error(std::make_error_code(std::errc::io_error));
}

/// Completes on the context rather than on the caller's strand.
struct elsewhere {
  asio::io_context* context;
  template <class Handler>
  void operator()(Handler&& handler) const {
    asio::post(*context, [h = std::forward<Handler>(handler)]() mutable { std::move(h)(); });
  }
};

}  // namespace

std::string flawed_backend::key(std::string id) const {
  if (is(flaw::one_peer)) return "everybody";
  if (is(flaw::ids_end_at_zero)) return id.c_str();
  if (is(flaw::ids_without_case)) {
    for (char& c : id) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return id;
}

asio::awaitable<ilm::store_state<std::string>> flawed_backend::open() {
  flawed_store& s = *store_;
  if (is(flaw::throws_no_exception)) throw 42;
  if (s.in_use && is(flaw::in_use_waits)) {
    asio::steady_timer never(*context_, asio::steady_timer::time_point::max());
    co_await never.async_wait(asio::use_awaitable);
  }
  if (s.in_use && is(flaw::lock_of_another_name)) {
    throw std::system_error(std::make_error_code(std::errc::device_or_resource_busy));
  }
  if (refused_ && is(flaw::open_once_only)) throw io_error();
  if (s.in_use && !is(flaw::no_lock)) {
    refused_ = true;
    throw std::system_error(ilm::error::store_in_use);
  }
  if (s.fail_opens || s.unreadable) {
    bool as_new = is(s.unreadable ? flaw::damaged_is_new : flaw::failed_open_is_new);
    if (as_new) co_return ilm::store_state<std::string>();
    throw io_error();
  }
  s.in_use = open_ = true;
  refused_ = false;
  if (is(flaw::memory_only)) s.now = {};
  if (is(flaw::failure_stored_later) && s.poisoned) s.now = s.graveyard;
  if (is(flaw::erased_come_back)) {
    for (auto& [id, old] : s.graveyard.peers) {
      s.now.peers[id].outbox.insert(old.outbox.begin(), old.outbox.end());
    }
  }
  s.opened += 1;
  ilm::store_state<std::string> state;
  state.local = s.now.local;
  state.local_id = s.now.local_id;
  if (is(flaw::new_store_has_a_local_id) && !state.local) state.local_id = "nobody";
  if (is(flaw::local_id_is_a_peer) && !s.now.peers.empty()) {
    state.local_id = s.now.peers.begin()->first;
  }
  if (is(flaw::new_store_has_an_identity) && !state.local) state.local = ilm::incarnation{1, 1};
  for (auto& [id, peer_record] : s.now.peers) {
    if (is(flaw::a_hundred_peers) && state.peers.size() == 100) break;
    for (auto* all : {&peer_record.outbox, &peer_record.inbox}) {
      if (!is(flaw::empty_last_message_lost) || all->empty()) continue;
      if (all->rbegin()->second.contents.empty()) all->erase(std::prev(all->end()));
    }
    ilm::cursors where = peer_record.where;
    if (is(flaw::cursors_partly_kept)) where.history.parted = {};
    if (is(flaw::newest_cursor_lost)) where.inbox.delivered_hash = {};
    state.peers.emplace_back(id, where);
    if (is(flaw::peer_twice)) state.peers.emplace_back(id, where);
  }
  co_return state;
}

asio::awaitable<void> flawed_backend::commit(const batch_type& b) {
  flawed_store& s = *store_;
  if (!open_) throw std::system_error(ilm::error::store_closed);
  if (is(flaw::commit_never_completes)) {
    asio::steady_timer never(*context_, asio::steady_timer::time_point::max());
    co_await never.async_wait(asio::use_awaitable);
  }
  if (s.poisoned && is(flaw::failure_poisons)) throw io_error();
  if (s.fail_commits) {
    s.poisoned = true;
    s.graveyard = s.now;
    apply(s.graveyard, b);
    if (is(flaw::failure_swallowed)) co_return;
    if (is(flaw::failure_half_applied) && !b.changes.empty()) {
      batch_type half;
      half.changes.push_back(b.changes.front());
      apply(s.now, half);
    }
    throw io_error();
  }
  s.pending = &b;
  co_await turn();
  s.pending = nullptr;
  flawed_store::content after = s.now;
  apply(after, b);
  if (is(flaw::erased_come_back)) s.graveyard = s.now;
  s.poisoned = false;
  if (is(flaw::commits_in_pieces) && b.changes.size() > 1) {
    s.before = s.now;
    for (const auto& c : b.changes) {
      batch_type piece;
      piece.changes.push_back(c);
      apply(s.now, piece);
      for (int slow = 0; slow < 8; ++slow) co_await turn();
    }
    if (b.new_incarnation) s.now.local = *b.new_incarnation;
    apply_local_id(s.now, b);
    co_return;
  }
  s.before = std::exchange(s.now, std::move(after));
  if (is(flaw::foreign_executor)) {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(elsewhere{context_},
                                                                          asio::use_awaitable);
  }
}

asio::awaitable<flawed_backend::page> flawed_backend::read(ilm::queue which,
                                                           const std::string& peer,
                                                           std::uint64_t from,
                                                           ilm::page_limit limit) {
  flawed_store& s = *store_;
  if (!open_) throw std::system_error(ilm::error::store_closed);
  page found;
  if (s.fail_reads) {
    if (is(flaw::failed_read_is_empty)) co_return found;
    throw io_error();
  }
  cursor_ = key(peer);
  std::string mine = cursor_;
  co_await turn();
  auto at = s.now.peers.find(is(flaw::reads_share_a_cursor) ? cursor_ : mine);
  if (at == s.now.peers.end()) {
    if (is(flaw::throws_for_unknown_peer)) throw io_error();
    co_return found;
  }
  const auto& all =
      which == ilm::queue::outbox || is(flaw::one_queue) ? at->second.outbox : at->second.inbox;
  auto next = all.find(from);
  if (is(flaw::reads_from_the_first)) next = all.begin();
  if (is(flaw::reads_next_best)) next = all.lower_bound(from);
  if (next == all.end() && is(flaw::throws_beyond_the_end))
    throw std::out_of_range("no such index");
  std::size_t most = limit.messages + (is(flaw::one_too_many) ? 1 : 0);
  if (is(flaw::short_pages) && most > 1) --most;
  if (is(flaw::pages_of_64)) most = std::min<std::size_t>(most, 64);
  std::size_t size = 0;
  for (; next != all.end() && found.size() < most; ++next) {
    ilm::stored_message m = next->second;
    if (s.damaged != 0 && m.index == s.damaged) {
      if (is(flaw::damage_ends_the_queue)) break;
      if (is(flaw::damage_skipped)) continue;
      if (!is(flaw::damage_unnoticed)) {
        if (found.empty()) throw std::system_error(ilm::error::store_corrupt);
        break;
      }
      m.contents = ilm::bytes("?");
    }
    size += is(flaw::attributes_not_counted) ? m.contents.size() : m.size();
    bool none = found.empty() && !is(flaw::large_message_unread);
    bool unlimited = is(flaw::no_byte_limit) || is(flaw::one_beyond_byte_limit);
    if (size > limit.bytes && !none && !unlimited) break;
    found.push_back(std::move(m));
    if (size > limit.bytes && is(flaw::one_beyond_byte_limit)) break;
  }
  co_return found;
}

void flawed_backend::apply(flawed_store::content& to, const batch_type& b) const {
  if (is(flaw::new_incarnation_cleared)) to.local = {};
  if (b.new_incarnation && !(is(flaw::new_incarnation_not_kept) && !b.changes.empty()))
    to.local = *b.new_incarnation;
  apply_local_id(to, b);
  for (const auto& c : b.changes) {
    if (auto left = to.forgotten.extract(key(c.peer))) to.peers.insert(std::move(left));
    flawed_store::peer_record& s = to.peers[key(c.peer)];
    if (is(flaw::second_commit_replaces) && !c.outbox.empty()) s.outbox.clear();
    if (is(flaw::appended_not_erased)) erase(s, c.next);
    append(s, ilm::queue::outbox, c.outbox);
    append(s, ilm::queue::inbox, c.inbox);
    if (!is(flaw::appended_not_erased)) erase(s, c.next);
    bool cursors_only = c.outbox.empty() && c.inbox.empty();
    if (!cursors_only || !is(flaw::cursors_with_messages_only)) s.where = c.next;
    if (is(flaw::first_peer_only)) break;
  }
  for (const std::string& peer : b.forgotten) {
    if (is(flaw::nobody_forgotten)) break;
    if (is(flaw::all_forgotten)) to.peers.clear();
    if (is(flaw::messages_not_forgotten)) {
      to.forgotten[key(peer)] = to.peers[key(peer)];
    }
    to.peers.erase(key(peer));
    if (is(flaw::one_peer_forgotten)) break;
  }
}

void flawed_backend::apply_local_id(flawed_store::content& to, const batch_type& b) const {
  if (is(flaw::no_local_id)) return;
  if (is(flaw::local_id_cleared)) to.local_id.reset();
  if (!b.new_local_id || (is(flaw::local_id_not_kept) && !b.changes.empty())) return;
  to.local_id = b.new_local_id->substr(0, is(flaw::local_id_of_32_bytes) ? 32 : std::string::npos);
}

void flawed_backend::append(flawed_store::peer_record& s, ilm::queue which, page messages) const {
  auto& to = which == ilm::queue::outbox || is(flaw::one_queue) ? s.outbox : s.inbox;
  if (is(flaw::loses_last_of_batch) && messages.size() > 1) messages.pop_back();
  if (is(flaw::loses_first_of_batch) && messages.size() > 1) messages.erase(messages.begin());
  if (is(flaw::batch_of_5000) && messages.size() > 5000) messages.resize(5000);
  if (is(flaw::turns_batch_round)) {
    for (std::size_t i = 0, j = messages.size(); i + 1 < j; ++i) {
      std::swap(messages[i].contents, messages[--j].contents);
    }
  }
  for (ilm::stored_message& m : messages) {
    std::string text(m.contents.text());
    if (is(flaw::contents_end_at_zero)) m.contents = ilm::bytes(std::string_view(text.c_str()));
    if (is(flaw::contents_of_64k)) m.contents = ilm::bytes(text.substr(0, 65'535));
    if (is(flaw::attributes_dropped)) m.attributes = {};
    if (is(flaw::attributes_of_255)) m.attributes = ilm::bytes(m.attributes.text().substr(0, 255));
    if (is(flaw::empty_contents_dropped) && text.empty()) continue;
    if (is(flaw::indexes_of_32_bits)) m.index = static_cast<std::uint32_t>(m.index);
    if (is(flaw::forgets_salt)) m.salt = 0;
    if (is(flaw::forgets_hash)) m.hash = {};
    if (is(flaw::sequence_is_index)) m.sequence = m.index;
    std::uint64_t index = m.index;
    to.insert_or_assign(index, std::move(m));
  }
}

void flawed_backend::erase(flawed_store::peer_record& s, const ilm::cursors& next) const {
  auto below = [&](auto& all, std::uint64_t first) {
    if (is(flaw::beyond_not_erased) && !all.empty() && all.rbegin()->first + 1 < first) return;
    if (is(flaw::erases_one_too_many) && first > 1) ++first;
    all.erase(all.begin(), all.lower_bound(first));
  };
  if (!is(flaw::outbox_not_erased)) below(s.outbox, next.outbox.first);
  if (!is(flaw::inbox_not_erased)) {
    below(s.inbox, is(flaw::erases_both_queues) ? next.outbox.first : next.inbox.first);
  }
}

}  // namespace test
