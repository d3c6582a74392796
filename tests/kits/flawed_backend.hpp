#pragma once

// A backend in memory with one flaw, chosen at run time, and a factory of such.

#include <ilm/backend.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

enum class flaw {
  none,
  new_store_has_an_identity,
  loses_last_of_batch,
  loses_first_of_batch,
  turns_batch_round,
  second_commit_replaces,
  one_queue,
  one_peer,
  first_peer_only,
  contents_end_at_zero,
  contents_of_64k,
  empty_contents_dropped,
  attributes_dropped,
  attributes_of_255,
  indexes_of_32_bits,
  forgets_salt,
  forgets_hash,
  sequence_is_index,
  reads_from_the_first,
  reads_next_best,
  one_too_many,
  no_byte_limit,
  one_beyond_byte_limit,
  large_message_unread,
  short_pages,
  pages_of_64,
  attributes_not_counted,
  throws_beyond_the_end,
  throws_for_unknown_peer,
  outbox_not_erased,
  inbox_not_erased,
  erases_one_too_many,
  erases_both_queues,
  appended_not_erased,
  nobody_forgotten,
  one_peer_forgotten,
  all_forgotten,
  messages_not_forgotten,
  beyond_not_erased,
  new_incarnation_not_kept,
  new_incarnation_cleared,
  new_store_has_a_local_id,
  local_id_not_kept,
  local_id_cleared,
  local_id_of_32_bytes,
  local_id_is_a_peer,
  no_local_id,  ///< which a backend may do
  cursors_partly_kept,
  newest_cursor_lost,
  cursors_with_messages_only,
  peer_twice,
  ids_end_at_zero,
  ids_without_case,
  a_hundred_peers,
  empty_last_message_lost,
  memory_only,
  erased_come_back,
  no_lock,
  lock_of_another_name,
  refused_one_unlocks,
  open_once_only,
  close_keeps_lock,
  destroying_keeps_lock,
  stored_at_close,
  moved_from_unlocks,
  batch_of_5000,
  commits_in_pieces,
  reads_share_a_cursor,
  one_store_for_all,
  foreign_executor,
  failure_swallowed,
  failure_half_applied,
  failure_stored_later,
  failure_poisons,
  failed_read_is_empty,
  failed_open_is_new,
  crash_loses_last,
  crash_leaves_half,
  damage_unnoticed,
  damage_skipped,
  damage_ends_the_queue,
  damaged_is_new,
  commit_never_completes,
  in_use_waits,
  throws_no_exception,
};

/// The content of a store, and the faults that its factory causes.
struct flawed_store {
  struct peer_record {
    ilm::cursors where;
    std::map<std::uint64_t, ilm::stored_message> outbox, inbox;
  };
  struct content {
    ilm::incarnation local;
    std::optional<std::string> local_id;
    std::map<std::string, peer_record> peers;
    std::map<std::string, peer_record> forgotten;  ///< messages_not_forgotten: come back
  };

  content now;
  content before;  ///< before the last commit
  content graveyard;
  const ilm::batch<std::string>* pending = nullptr;
  bool in_use = false;
  bool fail_opens = false, fail_reads = false, fail_commits = false, poisoned = false;
  bool dead = false;
  bool unreadable = false;
  std::uint64_t damaged = 0;
  unsigned opened = 0;
};

class flawed_backend {
 public:
  static constexpr ilm::durability durable_to = ilm::durability::os;
  using batch_type = ilm::batch<std::string>;
  using page = std::vector<ilm::stored_message>;

  flawed_backend(asio::io_context& context, flaw f, std::shared_ptr<flawed_store> s)
      : context_(&context), flaw_(f), store_(std::move(s)) {}
  flawed_backend(flawed_backend&& other) noexcept
      : context_(other.context_),
        flaw_(other.flaw_),
        store_(other.store_),
        open_(is(flaw::moved_from_unlocks) ? other.open_ : std::exchange(other.open_, false)) {}
  ~flawed_backend() {
    if (open_ && is(flaw::stored_at_close)) store_->now = store_->before;
    if ((open_ && !is(flaw::destroying_keeps_lock)) ||
        (refused_ && is(flaw::refused_one_unlocks))) {
      store_->in_use = false;
    }
  }

  asio::awaitable<ilm::store_state<std::string>> open();
  asio::awaitable<void> commit(const batch_type& b);
  asio::awaitable<page> read(ilm::queue which, const std::string& peer, std::uint64_t from,
                             ilm::page_limit limit);
  asio::awaitable<void> close() {
    if (open_ && !is(flaw::close_keeps_lock)) store_->in_use = false;
    open_ = false;
    co_return;
  }

 private:
  bool is(flaw f) const noexcept { return flaw_ == f; }
  std::string key(std::string id) const;
  void apply(flawed_store::content& to, const batch_type& b) const;
  void apply_local_id(flawed_store::content& to, const batch_type& b) const;
  void append(flawed_store::peer_record& s, ilm::queue which, page messages) const;
  void erase(flawed_store::peer_record& s, const ilm::cursors& next) const;
  asio::awaitable<void> turn() { co_await asio::post(*context_, asio::use_awaitable); }

  asio::io_context* context_;
  flaw flaw_;
  std::shared_ptr<flawed_store> store_;
  bool open_ = false;
  bool refused_ = false;
  std::string cursor_;
};

/// Makes flawed stores, with all members that the kit can use.
struct flawed_stores {
  flawed_stores(asio::io_context& c, flaw f) : context(c), chosen(f) {}

  flawed_backend operator()(unsigned n) { return {context, chosen, of(n)}; }

  void fail_opens(unsigned n, bool on) { of(n)->fail_opens = on; }
  void fail_reads(unsigned n, bool on) { of(n)->fail_reads = on; }
  void fail_commits(unsigned n, bool on) { of(n)->fail_commits = on; }
  void damage(unsigned n, ilm::queue, const std::string&, std::uint64_t index) {
    of(n)->damaged = index;
  }
  void damage(unsigned n) { of(n)->unreadable = true; }
  void crash(unsigned n) {
    auto left = std::make_shared<flawed_store>();
    left->now = chosen == flaw::crash_loses_last ? of(n)->before : of(n)->now;
    if (const auto* b = of(n)->pending; b != nullptr && chosen == flaw::crash_leaves_half) {
      for (const auto& c : b->changes) left->now.peers[c.peer].where = c.next;
    }
    stores[n] = std::move(left);
  }
  std::shared_ptr<flawed_store>& of(unsigned n) {
    auto& s = stores[chosen == flaw::one_store_for_all ? 0 : n];
    if (!s) s = std::make_shared<flawed_store>();
    return s;
  }

  asio::io_context& context;
  flaw chosen;
  std::map<unsigned, std::shared_ptr<flawed_store>> stores;
};

}  // namespace test
