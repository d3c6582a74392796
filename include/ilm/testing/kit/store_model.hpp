#pragma once

#include <ilm/backend.hpp>
#include <ilm/testing/kit/backend_clause.hpp>
#include <ilm/testing/kit/samples.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing::kit {

inline const char* name_of(queue which) { return which == queue::outbox ? "outbox" : "inbox"; }

inline bool same(const stored_message& a, const stored_message& b) {
  return a.index == b.index && a.sequence == b.sequence && a.salt == b.salt && a.hash == b.hash &&
         a.contents == b.contents && a.attributes == b.attributes;
}

/// The contents that a store must have for one peer.
struct peer_record {
  cursors where;
  std::map<std::uint64_t, stored_message> outbox;
  std::map<std::uint64_t, stored_message> inbox;
  /// For each queue, erased indexes: both ends of the last erased range.
  std::map<queue, std::vector<std::uint64_t>> erased;

  std::map<std::uint64_t, stored_message>& of(queue which) {
    return which == queue::outbox ? outbox : inbox;
  }
  const std::map<std::uint64_t, stored_message>& of(queue which) const {
    return which == queue::outbox ? outbox : inbox;
  }
  std::uint64_t first(queue which) const {
    return which == queue::outbox ? where.outbox.first : where.inbox.first;
  }
  std::uint64_t next(queue which) const {
    return which == queue::outbox ? where.outbox.next : where.inbox.next;
  }
};

/// The contents that a store must have after the commits applied to it: the contract at its
/// plainest.
template <class PeerId>
struct store_model {
  incarnation local;
  std::optional<PeerId> local_id;
  std::map<PeerId, peer_record> peers;

  void apply(const batch<PeerId>& b) {
    if (b.new_incarnation) local = *b.new_incarnation;
    if (b.new_local_id) local_id = b.new_local_id;
    for (const peer_change<PeerId>& c : b.changes) {
      peer_record& s = peers[c.peer];
      s.where = c.next;
      for (const stored_message& m : c.outbox) s.outbox[m.index] = m;
      for (const stored_message& m : c.inbox) s.inbox[m.index] = m;
      for (queue which : {queue::outbox, queue::inbox}) {
        auto& all = s.of(which);
        if (auto end = all.lower_bound(s.first(which)); end != all.begin()) {
          s.erased[which] = {all.begin()->first, std::prev(end)->first};
        }
        all.erase(all.begin(), all.lower_bound(s.first(which)));
      }
    }
    for (const PeerId& peer : b.forgotten) peers.erase(peer);
  }

  bool is_new() const { return !local && peers.empty(); }
};

/// Composes batches that continue from a model's contents.
template <class PeerId>
class composer {
 public:
  /// `local_id`: the one that a new store gets.
  composer(const store_model<PeerId>& from, PeerId local_id)
      : model_(&from), local_id_(std::move(local_id)) {}

  /// The following calls add to this peer's change.
  composer& peer(const PeerId& id) {
    auto at = changes_.try_emplace(id, batch_.changes.size());
    current_ = at.first->second;
    if (!at.second) return *this;
    auto known = model_->peers.find(id);
    cursors next = known != model_->peers.end() ? known->second.where : cursors();
    scramble(next);
    batch_.changes.emplace_back(id, next);
    return *this;
  }

  /// Appends `count` messages of `size` bytes or a few more.
  composer& append(queue which, std::size_t count = 1, std::size_t size = 0) {
    for (; count > 0; --count) {
      std::uint64_t at =
          which == queue::outbox ? change().next.outbox.next : change().next.inbox.next;
      std::string label = "message " + std::to_string(at) + " of the " + name_of(which) + ", no. " +
                          std::to_string(++made());
      put(which, bytes(filled(label, size, at)));
    }
    return *this;
  }
  composer& put(queue which, bytes contents, bytes attributes = {}) {
    peer_change<PeerId>& c = change();
    std::uint64_t& next = which == queue::outbox ? c.next.outbox.next : c.next.inbox.next;
    std::uint64_t sequence = which == queue::outbox ? next : next + 1000;
    auto& to = which == queue::outbox ? c.outbox : c.inbox;
    std::uint64_t salt = random().next();
    stream_hash hash{random().next(), random().next()};
    to.emplace_back(next, sequence, salt, hash, std::move(contents), std::move(attributes));
    ++next;
    return *this;
  }

  /// Erases the messages below `first`.
  composer& erase(queue which, std::uint64_t first) {
    cursors& c = change().next;
    (which == queue::outbox ? c.outbox.first : c.inbox.first) = first;
    std::uint64_t& next = which == queue::outbox ? c.outbox.next : c.inbox.next;
    next = std::max(next, first);
    return *this;
  }

  composer& forget(const PeerId& id) {
    batch_.forgotten.push_back(id);
    return *this;
  }

  composer& create_incarnation() {
    batch_.new_incarnation = incarnation{random().next(), random().next()};
    batch_.new_local_id = local_id_;
    return *this;
  }

  const batch<PeerId>& done() const { return batch_; }

 private:
  peer_change<PeerId>& change() { return batch_.changes[current_]; }

  /// Random values in all fields that a backend must keep and not interpret.
  static void scramble(cursors& c) {
    cursors::encoded any;
    for (std::byte& b : any) b = static_cast<std::byte>(random().next());
    cursors scrambled = cursors::decode(any);
    scrambled.outbox.first = c.outbox.first;
    scrambled.outbox.next = c.outbox.next;
    scrambled.inbox.first = c.inbox.first;
    scrambled.inbox.next = c.inbox.next;
    c = scrambled;
  }

  static numbers& random() {
    static numbers instance(7);
    return instance;
  }
  static std::uint64_t& made() {
    static std::uint64_t count = 0;
    return count;
  }

  const store_model<PeerId>* model_;
  PeerId local_id_;
  batch<PeerId> batch_;
  std::map<PeerId, std::size_t> changes_;  ///< where each peer's change is
  std::size_t current_ = 0;
};

}  // namespace ilm::inline v0::testing::kit
