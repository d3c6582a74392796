#pragma once

// A store that a crash cannot take by surprise: plain data, changed in one step. It is written here
// and not taken from the library, so that what the judge believes about it does not rest on what is
// judged.

#include <ilm/backend.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace crash_points {

using batch = ilm::batch<std::string>;

/// What one side has stored. There is one peer.
struct disk {
  ilm::incarnation local;
  bool met = false;
  ilm::cursors where;
  std::deque<ilm::stored_message> outbox;
  std::deque<ilm::stored_message> inbox;

  std::deque<ilm::stored_message>& of(ilm::box which) {
    return which == ilm::box::outbox ? outbox : inbox;
  }

  void apply(const batch& change) {
    if (change.minted) local = *change.minted;
    for (const ilm::peer_change<std::string>& c : change.changes) {
      met = true;
      append(outbox, c.outbox);
      append(inbox, c.inbox);
      erase_below(outbox, c.next.outbox_first);
      erase_below(inbox, c.next.inbox_first);
      where = c.next;
    }
  }

  std::vector<ilm::stored_message> page(ilm::box which, std::uint64_t from, ilm::page_limit limit) {
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
  using box = std::deque<ilm::stored_message>;

  /// A hole would make a page end early, and the messenger wait for ever: better to say so here.
  static void append(box& to, const std::vector<ilm::stored_message>& more) {
    for (const ilm::stored_message& m : more) {
      if (!to.empty() && m.index != to.back().index + 1) {
        throw std::logic_error("a batch leaves a hole in a box");
      }
      to.push_back(m);
    }
  }
  static void erase_below(box& from, std::uint64_t first) {
    while (!from.empty() && from.front().index < first) from.pop_front();
  }
};

/// What two sides have stored that met once, and sent nothing since: spares a history the meeting.
inline disk acquainted(std::uint64_t own, std::uint64_t theirs) {
  disk d;
  d.local.high = d.local.low = own;
  d.met = true;
  d.where.local = d.local;
  d.where.peer.high = d.where.peer.low = theirs;
  return d;
}

}  // namespace crash_points
