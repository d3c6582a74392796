#pragma once

// A store that changes in one step, as plain data. It shares no code with the library, so that the
// checker does not depend on the code under test.

#include <ilm/backend.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace crash_points {

using batch = ilm::batch<std::string>;

/// The store of one side, which has one peer.
struct disk {
  ilm::incarnation local;
  std::optional<std::string> local_id;
  bool has_peer = false;
  ilm::cursors where;
  std::deque<ilm::stored_message> outbox;
  std::deque<ilm::stored_message> inbox;

  std::deque<ilm::stored_message>& of(ilm::queue which) {
    return which == ilm::queue::outbox ? outbox : inbox;
  }

  void apply(const batch& change) {
    if (change.new_incarnation.has_value() != change.new_local_id.has_value()) {
      throw std::logic_error("a batch has an incarnation or a local id without the other");
    }
    if (change.new_incarnation) local = *change.new_incarnation;
    if (change.new_local_id) local_id = change.new_local_id;
    for (const ilm::peer_change<std::string>& c : change.changes) {
      has_peer = true;
      append(outbox, c.outbox);
      append(inbox, c.inbox);
      erase_below(outbox, c.next.outbox.first);
      erase_below(inbox, c.next.inbox.first);
      where = c.next;
    }
  }

  std::vector<ilm::stored_message> page(ilm::queue which, std::uint64_t from,
                                        ilm::page_limit limit) {
    std::vector<ilm::stored_message> found;
    std::size_t size = 0;
    for (const ilm::stored_message& m : of(which)) {
      if (m.index < from) continue;
      size += m.contents.size();
      bool full = found.size() == limit.messages || (size > limit.bytes && !found.empty());
      if (full || m.index != from + found.size()) break;
      found.push_back(m);
    }
    return found;
  }

 private:
  using queue = std::deque<ilm::stored_message>;

  /// A gap would end pages early and let the messenger wait for ever: it is reported here instead.
  static void append(queue& to, const std::vector<ilm::stored_message>& more) {
    for (const ilm::stored_message& m : more) {
      if (!to.empty() && m.index != to.back().index + 1) {
        throw std::logic_error("a batch leaves a hole in a queue");
      }
      to.push_back(m);
    }
  }
  static void erase_below(queue& from, std::uint64_t first) {
    while (!from.empty() && from.front().index < first) from.pop_front();
  }
};

/// The store of a side that had a session with its peer and no messages: a history starts without a
/// first contact.
inline disk known_peer_disk(std::uint64_t own, std::uint64_t theirs) {
  disk d;
  d.local.high = d.local.low = own;
  d.has_peer = true;
  ilm::lineage& history = d.where.history;
  history.mark = history.confirmed = ilm::stamp{1, own};
  history.base = 1;
  history.seen = ilm::stamp{1, theirs};
  d.where.outbox.stream = history.mark;
  d.where.outbox.erased_hash = d.where.outbox.last_hash = ilm::stream_hash{own, own};
  d.where.inbox.stream = history.seen;
  d.where.inbox.received_hash = d.where.inbox.delivered_hash = ilm::stream_hash{theirs, theirs};
  history.mark_hash = history.confirmed_hash = d.where.inbox.delivered_hash;
  return d;
}

}  // namespace crash_points
