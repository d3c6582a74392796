#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/memory/transaction.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/effects.hpp>
#include <ilm/error.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

/// How a simulated disk behaves; a test changes it at any time.
struct disk_behaviour {
  /// Errors to throw instead of doing the operation; none while empty.
  std::error_code open_error;
  std::error_code commit_error;
  std::error_code read_error;
  /// The duration of each operation: `commit_time` until a commit has its effect, then
  /// `answer_time` until it completes.
  std::chrono::nanoseconds open_time{};
  std::chrono::nanoseconds commit_time{};
  std::chrono::nanoseconds answer_time{};
  std::chrono::nanoseconds read_time{};
  /// A commit that would leave more messages than this fails with no_space_on_device.
  std::size_t capacity = std::numeric_limits<std::size_t>::max();
  /// Whether a completed commit survives a power cut. A store of durability `os` or `process` does
  /// not sync, and so behaves like a disk that lies about syncing.
  bool syncs = true;
};

/// The content of a simulated disk.
template <class PeerId>
struct disk_image {
  struct peer_record {
    const std::deque<stored_message>& of(queue which) const {
      return which == queue::outbox ? outbox : inbox;
    }

    cursors where;
    std::deque<stored_message> outbox;
    std::deque<stored_message> inbox;
  };

  void apply(const batch<PeerId>& change) {
    if (change.new_incarnation) local = *change.new_incarnation;
    if (change.new_local_id) local_id = change.new_local_id;
    for (const peer_change<PeerId>& c : change.changes) {
      peer_record& s = peers[c.peer];
      s.outbox.insert(s.outbox.end(), c.outbox.begin(), c.outbox.end());
      s.inbox.insert(s.inbox.end(), c.inbox.begin(), c.inbox.end());
      erase_below(s.outbox, c.next.outbox.first);
      erase_below(s.inbox, c.next.inbox.first);
      s.where = c.next;
    }
    for (const PeerId& peer : change.forgotten) peers.erase(peer);
  }
  std::size_t messages() const {
    std::size_t sum = 0;
    for (const auto& [peer, s] : peers) sum += s.outbox.size() + s.inbox.size();
    return sum;
  }

  incarnation local;
  std::optional<PeerId> local_id;
  std::map<PeerId, peer_record> peers;
  /// The values that effects have stored.
  memory_transaction::values values;

 private:
  static void erase_below(std::deque<stored_message>& messages, std::uint64_t first) {
    while (!messages.empty() && messages.front().index < first) messages.pop_front();
  }
};

/// A disk for simulations: outlives the messengers that store on it, and can be slow, fail, be
/// full, go bad, lose unsynced commits, be lost, or be put back to an older copy. Copies are
/// handles to one disk. It lives in one thread and in simulated time.
template <class PeerId>
class simulated_disk {
 public:
  using image = disk_image<PeerId>;

  simulated_disk() : core_(std::make_shared<core>()) {}

  disk_behaviour& behaviour() noexcept { return core_->how; }
  /// The present content, synced or not.
  const image& content() const noexcept { return core_->live; }

  /// The end of the process that uses it: later operations of that process have no effect. A commit
  /// under way has happened, wholly, if `lands`, or not at all.
  void crash(bool lands = false) {
    if (lands && core_->in_commit != nullptr) core_->land();
    core_->in_commit = nullptr;
    core_->in_commit_effects = nullptr;
    ++core_->holder;
    core_->in_use = false;
  }
  /// The end of the machine: of the commits that were not synced, the first `keep` are there.
  void power_cut(std::size_t keep, bool lands = false) {
    crash(lands);
    keep = std::min(keep, core_->log.size());
    for (std::size_t i = 0; i < keep; ++i) core_->log[i].apply_to(core_->synced);
    if (core_->tracks) core_->live = core_->synced;
    core_->log.clear();
  }
  /// How many commits a power cut can take back.
  std::size_t unsynced() const noexcept { return core_->log.size(); }
  /// Syncs all commits, as a background writer does from time to time.
  void sync() {
    for (const logged& l : std::exchange(core_->log, {})) l.apply_to(core_->synced);
  }

  /// Replaces the content without a trace of the old one; the disk must not be in use.
  void put_back(image older) {
    core_->live = std::move(older);
    core_->synced = core_->tracks ? core_->live : image();
    core_->log.clear();
    core_->bad.clear();
  }
  /// Forgets everything.
  void lose() { put_back(image()); }

  /// Flips a bit of a stored message: reading it fails with error::store_corrupt until `repair`.
  void flip(queue which, const PeerId& peer, std::uint64_t index) {
    core_->bad.insert(place(which, peer, index));
  }
  void repair() { core_->bad.clear(); }

  /// Called with each commit when it has happened.
  void watch_commits(std::function<void(const batch<PeerId>&)> f) {
    core_->committed = std::move(f);
  }
  /// Called with each message that could not be read because a bit had flipped.
  void watch_unreadable(std::function<void(queue, const PeerId&, std::uint64_t index)> f) {
    core_->unreadable = std::move(f);
  }
  std::uint64_t commits() const noexcept { return core_->commits; }
  std::uint64_t failures() const noexcept { return core_->failures; }

 private:
  template <class>
  friend class simulated_store;
  using place = std::tuple<queue, PeerId, std::uint64_t>;

  /// A commit that is not synced.
  struct logged {
    logged(const batch<PeerId>& c, const memory_transaction::values& v) : change(c), values(v) {}

    void apply_to(image& i) const {
      i.apply(change);
      i.values = values;
    }

    batch<PeerId> change;
    memory_transaction::values values;
  };

  struct core {
    /// The commit under way, at a crash.
    void land() {
      try {
        apply(*in_commit, in_commit_effects);
      } catch (const std::system_error&) {
        // An effect failed, and the commit with it.
      }
    }

    void apply(const batch<PeerId>& change, effects<memory_transaction>* with) {
      memory_transaction::values after = live.values;
      if (with != nullptr) {
        memory_transaction t(after);
        with->apply(t, t);
      }
      if (!how.syncs && !tracks) {
        tracks = true;
        synced = live;
      }
      live.apply(change);
      live.values = std::move(after);
      if (tracks) log.emplace_back(change, live.values);
      if (how.syncs && tracks) {
        for (const logged& l : std::exchange(log, {})) l.apply_to(synced);
      }
      ++commits;
      if (committed) committed(change);
    }

    disk_behaviour how;
    image live;
    image synced;  ///< kept apart once a commit was not synced
    bool tracks = false;
    std::deque<logged> log;
    std::set<place> bad;
    const batch<PeerId>* in_commit = nullptr;
    effects<memory_transaction>* in_commit_effects = nullptr;
    std::uint64_t holder = 0;
    bool in_use = false;
    std::uint64_t commits = 0;
    std::uint64_t failures = 0;
    std::function<void(const batch<PeerId>&)> committed;
    std::function<void(queue, const PeerId&, std::uint64_t)> unreadable;
  };

  std::shared_ptr<core> core_;
};

/// The store on a simulated disk: models `backend`. One at a time has the disk open.
template <class PeerId>
class simulated_store {
 public:
  /// As long as the disk syncs.
  static constexpr durability durable_to = durability::media;
  using transaction = memory_transaction;

  explicit simulated_store(const simulated_disk<PeerId>& disk) : core_(disk.core_) {}
  simulated_store(simulated_store&& other) noexcept
      : core_(std::move(other.core_)), holder_(std::exchange(other.holder_, 0)) {}
  simulated_store& operator=(simulated_store other) noexcept {
    std::swap(core_, other.core_);
    std::swap(holder_, other.holder_);
    return *this;
  }
  ~simulated_store() { release(); }

  asio::awaitable<store_state<PeerId>> open() {
    std::shared_ptr<core> c = core_;
    std::uint64_t before = c->holder;
    co_await pause(c->how.open_time);
    if (c->holder != before || c->in_use) fail(*c, error::store_in_use);
    if (c->how.open_error) fail(*c, c->how.open_error);
    c->in_use = true;
    holder_ = ++c->holder;
    store_state<PeerId> state;
    state.local = c->live.local;
    state.local_id = c->live.local_id;
    for (const auto& [peer, s] : c->live.peers) state.peers.emplace_back(peer, s.where);
    co_return state;
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) { return commit(change, nullptr); }
  asio::awaitable<void> commit(const batch<PeerId>& change, effects<transaction>& with) {
    return commit(change, &with);
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    std::shared_ptr<core> c = core_;
    require_open(*c);
    co_await pause(c->how.read_time);
    require_open(*c);
    if (c->how.read_error) fail(*c, c->how.read_error);
    std::vector<stored_message> page;
    auto at = c->live.peers.find(peer);
    if (at == c->live.peers.end()) co_return page;
    const std::deque<stored_message>& messages = at->second.of(which);
    if (messages.empty() || from < messages.front().index) co_return page;
    std::size_t size = 0;
    for (std::uint64_t i = from - messages.front().index; i < messages.size(); ++i) {
      const stored_message& m = messages[static_cast<std::size_t>(i)];
      size += m.size();
      if (page.size() == limit.messages || (size > limit.bytes && !page.empty())) break;
      if (c->bad.contains({which, peer, m.index})) {
        if (!page.empty()) break;
        if (c->unreadable) c->unreadable(which, peer, m.index);
        fail(*c, error::store_corrupt);
      }
      page.push_back(m);
    }
    co_return page;
  }

  asio::awaitable<void> close() {
    release();
    co_return;
  }

 private:
  using core = typename simulated_disk<PeerId>::core;

  asio::awaitable<void> commit(const batch<PeerId>& change, effects<transaction>* with) {
    std::shared_ptr<core> c = core_;
    require_open(*c);
    c->in_commit = &change;
    c->in_commit_effects = with;
    co_await pause(c->how.commit_time);
    require_open(*c);
    c->in_commit = nullptr;
    c->in_commit_effects = nullptr;
    if (c->how.commit_error) fail(*c, c->how.commit_error);
    if (is_full(*c, change)) fail(*c, std::make_error_code(std::errc::no_space_on_device));
    c->apply(change, with);
    co_await pause(c->how.answer_time);
  }

  [[noreturn]] static void fail(core& c, std::error_code why) {
    ++c.failures;
    throw std::system_error(why);
  }

  /// A crash takes the disk from the store that has it open.
  void require_open(const core& c) const {
    if (holder_ == 0 || holder_ != c.holder) throw std::system_error(error::store_closed);
  }

  static bool is_full(const core& c, const batch<PeerId>& change) {
    if (c.how.capacity == std::numeric_limits<std::size_t>::max()) return false;
    std::size_t more = 0;
    for (const peer_change<PeerId>& p : change.changes) more += p.outbox.size() + p.inbox.size();
    return more > 0 && c.live.messages() + more > c.how.capacity;
  }

  void release() noexcept {
    if (holder_ == 0 || !core_) return;
    if (core_->holder == holder_) core_->in_use = false;
    holder_ = 0;
  }

  static asio::awaitable<void> pause(std::chrono::nanoseconds time) {
    if (time <= std::chrono::nanoseconds::zero()) co_return;
    simulated_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
  }

  std::shared_ptr<core> core_;
  std::uint64_t holder_ = 0;
};

}  // namespace ilm::inline v0::testing
