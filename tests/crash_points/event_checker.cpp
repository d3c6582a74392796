#include "event_checker.hpp"

#include <algorithm>
#include <vector>

namespace crash_points {

using ilm::event_kind;

namespace {

bool named(const std::vector<ilm::sequence_range>& ranges, std::uint64_t sequence) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const ilm::sequence_range& r) { return r.contains(sequence); });
}

}  // namespace

void event_checker::handle_event(side self, const event_type& e) {
  ++events_[self][e.kind];
  stream& own = seen_.from(self);
  stream& their = seen_.to(self);
  // Only a replaced store may cause these.
  bool grave = true;
  switch (e.kind) {
    case event_kind::peer_reset:
      own.may_repeat.push_back(e.outbound);
      their.missed_by_receiver.push_back(e.inbound);
      their.may_jump = true;
      seen_.check_consumed_below(self, e.outbound.first, "peer_reset");
      break;
    case event_kind::store_lost:
      own.missed_by_sender.push_back(e.outbound);
      seen_.check_consumed_below(other(self), e.inbound.first, "store_lost");
      break;
    case event_kind::rolled_back:
      own.may_repeat.push_back(e.outbound);
      own.missed_by_sender.push_back(e.outbound);
      their.may_repeat.push_back(e.inbound);
      break;
    case event_kind::peer_rolled_back:
      own.may_repeat.push_back(e.outbound);
      their.missed_by_receiver.push_back(e.inbound);
      their.forgotten.push_back(e.inbound);
      their.may_jump = true;
      break;
    case event_kind::gap:
      their.may_jump = true;
      seen_.check_consumed_below(other(self), e.inbound.last + 1, "gap");
      break;
    default:
      grave = false;
      break;
  }
  bool due = true;
  if (grave) due = seen_.replaced.has_value();
  if (e.kind == event_kind::store_failed) due = stores_fail_;
  if (e.kind == event_kind::store_recovered) due = stores_fail_;
  if (e.kind == event_kind::delivery_failed) due = declined_[self].contains(e.inbound.first);
  if (e.kind == event_kind::store_lost) due = due && seen_.lost && self == *seen_.replaced;
  if (e.kind == event_kind::rolled_back) due = due && !seen_.lost && self == *seen_.replaced;
  if (e.kind == event_kind::peer_rolled_back) due = due && !seen_.lost && self != *seen_.replaced;
  if (e.kind == event_kind::peer_reset) due = due && seen_.lost && self != *seen_.replaced;
  for (event_kind never :
       {event_kind::frame_rejected, event_kind::stream_blocked, event_kind::network_problem,
        event_kind::network_ended, event_kind::messenger_failed, event_kind::events_lost}) {
    if (e.kind == never) due = false;
  }
  if (!due) seen_.fail(name_of(self) + " gets an event without a cause: " + describe(e));
}

void event_checker::finish_stream(side sender) {
  const stream& s = seen_.from(sender);
  for (send_id which = 0; which < s.sends.size(); ++which) {
    const sent& m = s.sends[which];
    std::string text = text_of(sender, which);
    if (m.state == fate::open) seen_.fail(text + " was never answered");
    if (m.abandoned) {
      finish_abandoned(sender, which);
    } else if (m.state == fate::stored && m.consumed == 0) {
      seen_.fail(text + " is lost");
    }
    if (m.repeated > 0 && !named(s.may_repeat, m.sequence)) {
      seen_.fail(text + " (number " + std::to_string(m.sequence) + ") was consumed " +
                 std::to_string(m.consumed) + " times, and no event names it");
    }
  }
}

/// A message whose store was replaced: it arrived, or events told both sides that it may not have.
void event_checker::finish_abandoned(side sender, send_id which) {
  const stream& s = seen_.from(sender);
  const sent& m = s.sends[which];
  std::string text = text_of(sender, which) + " (number " + std::to_string(m.sequence) + ")";
  if (m.consumed == 0) {
    if (!named(s.missed_by_receiver, m.sequence)) {
      seen_.fail(text + " went with its store, and the receiver got no event");
    }
    if (!named(s.missed_by_sender, m.sequence)) {
      seen_.fail(text + " went with its store, and the sender got no event");
    }
    return;
  }
  if (!s.forgotten.empty() && !named(s.forgotten, m.sequence)) {
    seen_.fail(text + " came and was forgotten, and peer_rolled_back does not name it");
  }
}

void event_checker::finish_replacement() {
  side victim = *seen_.replaced;
  event_kind own = seen_.lost ? event_kind::store_lost : event_kind::rolled_back;
  if (events_[victim][own] == 0) {
    seen_.fail(name_of(victim) + " got no event: " + std::string(ilm::name_of(own)));
  }
  event_kind told = seen_.lost ? event_kind::peer_reset : event_kind::peer_rolled_back;
  if (events_[other(victim)][told] == 0) {
    seen_.fail(name_of(other(victim)) + " got no event: " + std::string(ilm::name_of(told)));
  }
}

}  // namespace crash_points
