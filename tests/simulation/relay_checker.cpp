#include "simulation/relay_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {

void relay_checker::handle_start(std::size_t at, bool produces) {
  producing_[at] = produces;
  forget(at);
  for (const auto& [peer, stored] : seen_.disks[at]->peers) {
    for (const ilm::stored_message& m : stored.inbox) {
      inboxes_[{at, number_of(peer)}].insert(m.index);
    }
  }
}

/// The former process: nothing of it can reach the store any more.
void relay_checker::forget(std::size_t at) {
  std::erase_if(offered_, [at](const auto& o) { return o.first.first == at; });
  std::erase_if(inboxes_, [at](const auto& r) { return r.first.first == at; });
  for (auto* all : {&sent_, &done_}) {
    std::erase_if(*all, [at](const auto& o) { return std::get<0>(o.first) == at; });
  }
}

std::optional<input> relay_checker::handle_offered(std::size_t at, std::size_t from,
                                                   const message& m, unsigned attempt) {
  input in;
  in.from = from;
  in.index = m.index;
  const image::peer_record* stored = seen_.peer_record_at(*seen_.disks[at], from);
  stream& s = seen_.stream_of(from, at);
  auto known = s.known.end();
  if (stored != nullptr) {
    for (const ilm::stored_message& one : stored->inbox) {
      if (one.index == m.index) known = s.known.find(name_of(one.hash));
    }
  }
  if (known == s.known.end()) {
    seen_.fail("offered but not stored", peer_name(at) + " is offered index " +
                                             std::to_string(m.index) + " of " + peer_name(from) +
                                             ", which its store does not hold");
    return std::nullopt;
  }
  in.number = known->second;
  in.depth = s.messages[in.number].depth;
  check_turn(at, in, attempt);
  return in;
}

/// A message comes when the one before was consumed, and again only if it was not.
void relay_checker::check_turn(std::size_t at, const input& in, unsigned attempt) {
  stream& s = seen_.stream_of(in.from, at);
  offer& last = offered_[{at, in.from}];
  auto before = done_.find({at, in.from, in.index});
  unsigned expected = last.index == in.index ? last.attempt + 1 : 1;
  // One whose effect failed goes on counting, whatever was offered since.
  bool returned = seen_.effects && before != done_.end();
  if (attempt != expected && !returned) {
    seen_.fail("wrong attempt", peer_name(at) + " is offered " +
                                    seen_.title(in.from, at, in.number) + " as attempt " +
                                    std::to_string(attempt) + ", not " + std::to_string(expected));
  }
  last.index = in.index;
  last.attempt = attempt;
  if (before != done_.end()) {
    // Its messages found no room in an outbox, or the store holds a peer back, and with it those
    // that its changes go with: then it was not consumed. Or its effect failed, or one before it.
    bool refused = seen_.options[at].outbox_limit != 0 || seen_.was_any_refused(at);
    if (!returned && (!refused || before->second.empty())) {
      seen_.fail("offered again", seen_.title(in.from, at, in.number) + " is offered to " +
                                      peer_name(at) + " again, which was done with it");
    }
    record& r = s.messages[in.number];
    // Another time may come after the window of a crash, as the one that did not count could.
    if (--r.consumed > 0) r.may_repeat = true;
    s.last_index = in.index - 1;
    handle_given_up(at, in);
    done_.erase(before);
  }
  if (s.last_index != 0 && in.index != s.last_index + 1) {
    seen_.fail("out of order", peer_name(at) + " is offered index " + std::to_string(in.index) +
                                   " of " + peer_name(in.from) + " after " +
                                   std::to_string(s.last_index));
  }
  sent_[{at, in.from, in.index}].clear();
}

void relay_checker::expect_outputs(std::size_t at, const input& in, std::size_t outputs) {
  stored_[{at, in.from, in.number}].resize(outputs);
}

std::size_t relay_checker::handle_output(std::size_t at, const input& in, std::size_t which,
                                         std::size_t to, std::size_t size) {
  stream& s = seen_.stream_of(at, to);
  record& r = s.messages.emplace_back();
  r.size = size;
  r.process = seen_.processes[at];
  r.depth = in.depth + 1;
  r.cause = cause_of_output{in.from, in.number, which};
  // It has no result of its own: it is stored with the consumption, or never.
  r.sent = fate::interrupted;
  ++seen_.messages;
  ++seen_.outputs;
  sent_[{at, in.from, in.index}].push_back({to, s.messages.size() - 1});
  return s.messages.size() - 1;
}

void relay_checker::handle_given_up(std::size_t at, const input& in) {
  for (auto* all : {&sent_, &done_}) {
    auto outputs = all->find({at, in.from, in.index});
    if (outputs == all->end()) continue;
    for (const output& o : outputs->second) {
      record& r = seen_.stream_of(at, o.to).messages[o.number];
      if (r.stored) {
        seen_.fail("stored without its input", seen_.title(at, o.to, o.number) +
                                                   " is stored, and " +
                                                   seen_.title(in.from, at, in.number) +
                                                   ", which it belongs to, was not consumed");
      }
      r.sent = fate::failed;
    }
    outputs->second.clear();
  }
}

void relay_checker::handle_done(std::size_t at, const input& in) {
  done_[{at, in.from, in.index}] = sent_[{at, in.from, in.index}];
}

void relay_checker::handle_recorded(std::size_t at, const input& in) {
  const image::peer_record* stored = seen_.peer_record_at(*seen_.disks[at], in.from);
  if (stored != nullptr && stored->where.inbox.first > in.index) return;
  seen_.fail("consumed but not recorded", peer_name(at) + " was told that its store has recorded " +
                                              seen_.title(in.from, at, in.number) +
                                              " as consumed, and it has not");
}

void relay_checker::check_effect(std::size_t at, const input& in, std::uint64_t last) {
  if (in.index == last + 1) return;
  seen_.fail("effect out of turn", "the effect of index " + std::to_string(in.index) + " of " +
                                       peer_name(in.from) + " at " + peer_name(at) +
                                       " follows that of " + std::to_string(last));
}

/// The effects that the store has are those of the messages that it records as consumed.
void relay_checker::check_effects(std::size_t at, const stored_batch& change) {
  if (!seen_.effects || !producing_[at]) return;
  const auto& values = seen_.disks[at]->values;
  for (const auto& c : change.changes) {
    auto last = values.find(c.peer);
    std::uint64_t applied = last == values.end() ? 0 : std::stoull(last->second);
    if (applied == c.next.inbox.first - 1) continue;
    seen_.fail("effect without its record",
               peer_name(at) + " records index " + std::to_string(c.next.inbox.first - 1) + " of " +
                   c.peer + " as consumed, and has the effects up to " + std::to_string(applied));
  }
}

void relay_checker::begin_commit(std::size_t at, const stored_batch& change) {
  in_commit_.clear();
  check_effects(at, change);
  if (!producing_[at]) return;
  for (const auto& c : change.changes) {
    std::size_t from = number_of(c.peer);
    std::set<std::uint64_t>& inbox = inboxes_[{at, from}];
    for (const ilm::stored_message& m : c.inbox) inbox.insert(m.index);
    while (!inbox.empty() && *inbox.begin() < c.next.inbox.first) {
      std::uint64_t index = inbox.extract(inbox.begin()).value();
      auto consumed = done_.find({at, from, index});
      if (consumed == done_.end()) {
        seen_.fail("recorded but not consumed",
                   peer_name(at) + " recorded index " + std::to_string(index) + " of " +
                       peer_name(from) + " as consumed, and no reader was done with it");
        continue;
      }
      for (const output& o : consumed->second) in_commit_[{from, o.to}].push_back(o);
      done_.erase(consumed);
    }
  }
}

bool relay_checker::fits(std::size_t at, const output& o, const ilm::stored_message& m) const {
  const record& r = seen_.streams.at({at, o.to}).messages[o.number];
  return m.contents.size() == r.size &&
         std::ranges::equal(m.contents.view(), contents_of(at, o.to, o.number, r.size)) &&
         std::ranges::equal(m.attributes.view(), attributes_of(o.number, r.size));
}

std::optional<std::size_t> relay_checker::take(std::size_t at, std::size_t to,
                                               const ilm::stored_message& m) {
  for (auto& [name, outputs] : in_commit_) {
    if (name.second != to || outputs.empty() || !fits(at, outputs.front(), m)) continue;
    std::size_t number = outputs.front().number;
    outputs.pop_front();
    const cause_of_output& cause = *seen_.stream_of(at, to).messages[number].cause;
    ++stored_[{at, cause.from, cause.number}][cause.which];
    return number;
  }
  std::optional<std::size_t> early = output_named_in(at, to, m);
  if (!early) return std::nullopt;
  const cause_of_output& cause = *seen_.stream_of(at, to).messages[*early].cause;
  seen_.fail("stored without its input", peer_name(at) + " stores " + seen_.title(at, to, *early) +
                                             ", out of turn or without " +
                                             seen_.title(cause.from, at, cause.number) +
                                             ", which it belongs to");
  return early;
}

/// No output is too short to have its number.
std::optional<std::size_t> relay_checker::output_named_in(std::size_t at, std::size_t to,
                                                          const ilm::stored_message& m) const {
  std::optional<std::size_t> number = number_in(m.contents.view());
  if (!number) return std::nullopt;
  output o;
  o.to = to;
  o.number = *number;
  const auto& messages = seen_.streams.at({at, to}).messages;
  if (o.number >= messages.size() || !messages[o.number].cause) return std::nullopt;
  return fits(at, o, m) ? std::optional(o.number) : std::nullopt;
}

void relay_checker::end_commit(std::size_t at) {
  for (const auto& [name, outputs] : in_commit_) {
    if (outputs.empty()) continue;
    const output& o = outputs.front();
    const cause_of_output& cause = *seen_.stream_of(at, o.to).messages[o.number].cause;
    seen_.fail("consumed without its output",
               peer_name(at) + " records " + seen_.title(cause.from, at, cause.number) +
                   " as consumed, without " + seen_.title(at, o.to, o.number));
  }
}

bool relay_checker::store_is_whole(std::size_t at) const {
  return std::none_of(seen_.store_resets.begin(), seen_.store_resets.end(),
                      [at](const auto& r) { return r.first.first == at; });
}

void relay_checker::finish() {
  for (const auto& [name, outputs] : stored_) {
    auto [at, from, number] = name;
    // An input that came twice has outputs twice, and those of a lost store are lost.
    if (!store_is_whole(at) || seen_.was_reset(from, at)) continue;
    for (std::size_t which = 0; which < outputs.size(); ++which) {
      if (outputs[which] == 1) continue;
      seen_.fail("not one output", seen_.title(from, at, number) + " has output " +
                                       std::to_string(which) + " " +
                                       std::to_string(outputs[which]) + " times" + seen_.summary());
    }
  }
}

}  // namespace simulation
