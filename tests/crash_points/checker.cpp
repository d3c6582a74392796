#include "checker.hpp"

#include "wire.hpp"

#include <algorithm>
#include <cctype>
#include <exception>

namespace crash_points {

namespace {

std::string number(std::uint64_t n) { return std::to_string(n); }

}  // namespace

send_id checker::handle_send(side sender) {
  seen_.from(sender).sends.emplace_back();
  ++seen_.open_sends;
  return seen_.from(sender).sends.size() - 1;
}

void checker::handle_stored(side sender, send_id which, std::uint64_t sequence, const disk& d) {
  sent& s = seen_.from(sender).sends[which];
  --seen_.open_sends;
  s.state = fate::stored;
  if (s.sequence != 0 && s.sequence != sequence) {
    seen_.fail(text_of(sender, which) + " was delivered under another number");
  }
  s.sequence = sequence;
  if (sequence >= d.where.outbox.next) seen_.fail(text_of(sender, which) + " is not in the store");
}

void checker::handle_refused(side sender, send_id which) {
  sent& s = seen_.from(sender).sends[which];
  --seen_.open_sends;
  s.state = fate::refused;
  if (s.consumed != 0) seen_.fail(text_of(sender, which) + " was refused, and consumed before");
}

void checker::handle_receipt(side sender, send_id which) {
  if (seen_.from(sender).sends[which].consumed == 0) {
    seen_.fail("a receipt for " + text_of(sender, which) + ", which was not consumed");
  }
}

void checker::handle_crash(side self) {
  for (sent& s : seen_.from(self).sends) {
    if (s.state != fate::open) continue;
    s.state = fate::interrupted;
    --seen_.open_sends;
  }
}

send_id checker::id_of(side sender, const std::string& text) {
  bool digits = text.size() > 1 && std::all_of(text.begin() + 1, text.end(), [](unsigned char c) {
                  return std::isdigit(c) != 0;
                });
  send_id which = digits ? std::stoul(text.substr(1)) : seen_.from(sender).sends.size();
  if (text.compare(0, 1, name_of(sender)) != 0 || which >= seen_.from(sender).sends.size()) {
    throw std::runtime_error("\"" + text + "\" was never sent by " + name_of(sender));
  }
  return which;
}

void checker::handle_consumed(side at, const message& m, const disk& d) {
  stream& s = seen_.to(at);
  send_id which = 0;
  try {
    which = id_of(other(at), std::string(m.text()));
  } catch (const std::exception& e) {
    return seen_.fail(e.what());
  }
  std::string text(m.text());
  sent& t = s.sends[which];
  ++t.consumed;
  if (t.state == fate::refused) seen_.fail(text + " was refused, and is consumed all the same");
  bool stored = std::any_of(d.inbox.begin(), d.inbox.end(), [&](const auto& one) {
    return one.index == m.index && one.contents.text() == m.text();
  });
  if (!stored) seen_.fail(text + " is delivered and not in the store");
  if (t.sequence == 0) t.sequence = m.sequence;
  if (t.sequence != m.sequence) seen_.fail(text + " comes as number " + number(m.sequence));
  if (s.expected && m.index != *s.expected) {
    seen_.fail(text + " comes with index " + number(m.index) + " where " + number(*s.expected) +
               " is next");
  }
  s.expected = m.index + 1;
  s.next_to_consume = std::max(s.next_to_consume, m.index + 1);
  auto before = s.by_index.find(m.index);
  if (before == s.by_index.end()) {
    if (t.consumed > 1) ++t.repeated;
    check_order(at, s, m, which);
    place_in_inbox here;
    here.which = which;
    here.sequence = m.sequence;
    s.by_index.emplace(m.index, here);
  } else if (before->second.which != which) {
    seen_.fail(text + " comes under the index of another message");
  }
}

void checker::check_order(side at, const stream& s, const message& m, send_id which) {
  auto previous = s.by_index.find(m.index - 1);
  if (previous == s.by_index.end()) return;
  bool follows = m.sequence == previous->second.sequence + 1;
  if (!follows && s.may_jump) return;
  std::string names =
      text_of(other(at), which) + " after " + text_of(other(at), previous->second.which);
  if (!follows) seen_.fail(names + ": number " + number(m.sequence) + " does not follow");
  if (which <= previous->second.which) seen_.fail(names + ": not in the order of the sends");
}

void checker::handle_start(side self, const disk& d) {
  stream& s = seen_.to(self);
  s.expected = std::nullopt;
  if (!d.has_peer) return;
  std::uint64_t first = d.where.inbox.first;
  s.expected = first;
  if (first < s.recorded) {
    seen_.fail(name_of(self) + " will consume again from " + number(first) +
               " on, but had stored that it consumed all below " + number(s.recorded));
  }
  if (first > s.next_to_consume && !s.by_index.empty()) {
    seen_.fail(name_of(self) + " has stored as consumed messages that it did not consume, below " +
               number(first));
  }
}

send_id checker::handle_answer(side at, const message& m) {
  sent answer;
  answer.state = fate::interrupted;
  answer.cause = id_of(other(at), std::string(m.text()));
  seen_.from(at).sends.push_back(answer);
  return seen_.from(at).sends.size() - 1;
}

void checker::handle_recorded(side at, const message& m, const disk& d) {
  if (d.where.inbox.first > m.index) return;
  seen_.fail(name_of(at) + " was told that " + std::string(m.text()) +
             " is recorded as consumed, and it is not");
}

/// A commit has the answers to the messages that it records as consumed, in their order, and no
/// others.
void checker::check_answers(side self, const disk& before, const batch& change, const disk& d) {
  std::vector<send_id> consumed;
  std::vector<ilm::stored_message> inbox(before.inbox.begin(), before.inbox.end());
  std::vector<send_id> answered;
  for (const ilm::peer_change<std::string>& c : change.changes) {
    inbox.insert(inbox.end(), c.inbox.begin(), c.inbox.end());
    for (const ilm::stored_message& m : c.outbox) {
      send_id which = id_of(self, std::string(m.contents.text()));
      sent& answer = seen_.from(self).sends[which];
      if (!answer.cause) continue;
      answer.state = fate::stored;
      answer.sequence = m.sequence;
      answered.push_back(*answer.cause);
      ++seen_.to(self).sends[*answer.cause].answers;
    }
  }
  for (const ilm::stored_message& m : inbox) {
    if (m.index >= d.where.inbox.first) break;
    consumed.push_back(id_of(other(self), std::string(m.contents.text())));
  }
  if (consumed == answered) return;
  std::string text = name_of(self) + " stores in one commit that it consumed";
  for (send_id which : consumed) text += " " + text_of(other(self), which);
  text += ", and answers to";
  for (send_id which : answered) text += " " + text_of(other(self), which);
  seen_.fail(text);
}

void checker::finish_answers(side self) {
  const std::vector<sent>& inputs = seen_.to(self).sends;
  for (send_id which = 0; which < inputs.size(); ++which) {
    if (inputs[which].consumed == 0 || inputs[which].answers == 1) continue;
    seen_.fail(text_of(other(self), which) + " has " + number(inputs[which].answers) + " answers");
  }
}

void checker::handle_commit(side self, const disk& before, const batch& change, const disk& d) {
  if (seen_.answers[self]) check_answers(self, before, change, d);
  stream& s = seen_.to(self);
  // Between the end of a reader's work and the record of it, another commit may begin.
  std::uint64_t recorded = seen_.answers[self] ? d.where.inbox.first : committing_[self];
  s.recorded = std::max(s.recorded, recorded);
  check_queues(self, d);
  // A message erased as delivered must have been consumed.
  seen_.check_consumed_below(self, d.where.outbox.first, "the sender's store");
}

/// Cursors beyond the stored messages would be acknowledged all the same.
void checker::check_queues(side self, const disk& d) {
  if (d.outbox.size() != d.where.outbox.next - d.where.outbox.first) {
    seen_.fail("the outbox of " + name_of(self) + " does not hold what its cursors say");
  }
  if (d.inbox.size() != d.where.inbox.next - d.where.inbox.first) {
    seen_.fail("the inbox of " + name_of(self) + " does not hold what its cursors say");
  }
}

void checker::handle_replacement(side self, const disk& by) {
  seen_.replaced = self;
  seen_.lost = !by.has_peer;
  for (sent& s : seen_.from(self).sends) {
    if (s.state == fate::stored && (seen_.lost || s.sequence >= by.where.outbox.next))
      s.abandoned = true;
  }
  stream& in = seen_.to(self);
  in.recorded = committing_[self] = 1;
  // Indexes at and above the copy's are assigned again; messages consumed under them may come
  // again.
  in.by_index.erase(in.by_index.lower_bound(seen_.lost ? 0 : by.where.inbox.first),
                    in.by_index.end());
  in.next_to_consume = seen_.lost ? 1 : by.where.inbox.first;
}

void checker::handle_report(side self, const report_type& r, std::uint64_t first_at_open,
                            const disk& d) {
  if (r.delivered != d.where.outbox.first - first_at_open) {
    seen_.fail("the report of " + name_of(self) + " counts " + number(r.delivered) +
               " delivered, its store " + number(d.where.outbox.first - first_at_open));
  }
  if (r.undelivered != d.outbox.size()) {
    seen_.fail("the report of " + name_of(self) + " counts " + number(r.undelivered) +
               " undelivered, its store " + number(d.outbox.size()));
  }
  if (r.unread != d.inbox.size()) {
    seen_.fail("the report of " + name_of(self) + " counts " + number(r.unread) +
               " unread, its store " + number(d.inbox.size()));
  }
}

void checker::handle_frame(side sender, const disk& d, std::span<const std::byte> bytes) {
  frame f;
  try {
    f = frame::read(bytes);
  } catch (const std::exception& e) {
    return seen_.fail(e.what());
  }
  const ilm::inbox_cursors& in = d.where.inbox;
  if (f.claim && (f.claim->received > in.received() || f.claim->delivered > in.delivered())) {
    seen_.fail(name_of(sender) + " acknowledges received " + number(f.claim->received) +
               ", delivered " + number(f.claim->delivered) + ", but its store has " +
               number(in.received()) + " and " + number(in.delivered()));
  }
  for (const auto& [sequence, text] : f.messages) {
    if (sequence >= d.where.outbox.next) seen_.fail(text + " is sent and not in the store");
    for (const ilm::stored_message& m : d.outbox) {
      if (m.sequence == sequence && m.contents.text() != text) {
        seen_.fail(text + " is sent under the number of " + std::string(m.contents.text()));
      }
    }
  }
}

void checker::finish(const disk& a, const disk& b) {
  const disk* disks[] = {&a, &b};
  for (side s : {side_a, side_b}) {
    const ilm::cursors& mine = disks[s]->where;
    const ilm::cursors& theirs = disks[other(s)]->where;
    bool confirmed = mine.outbox.first == mine.outbox.next &&
                     theirs.inbox.received() == mine.outbox.next - 1 &&
                     theirs.inbox.delivered() == theirs.inbox.received();
    if (!confirmed) seen_.fail("the cursors of the messages from " + name_of(s) + " differ");
    events_.finish_stream(s);
    if (seen_.answers[s]) finish_answers(s);
  }
  if (seen_.replaced) events_.finish_replacement();
}

}  // namespace crash_points
