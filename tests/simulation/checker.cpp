// The checks of sends, of deliveries to applications, and of events.

#include "simulation/checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>
#include <sstream>

namespace simulation {
namespace {

std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<std::byte> contents_of(std::size_t from, std::size_t to, std::size_t number,
                                   std::size_t size) {
  std::vector<std::byte> out(size);
  std::uint64_t key = (number + 1) * 64 + from * 8 + to;
  std::uint64_t digits = key;
  for (std::size_t i = 0; i < size; ++i) {
    // The key itself first, for readers of a trace; then bytes that no shift of the contents gives.
    if (i % 8 == 0 && i > 0) digits = mixed(key * 0x9e3779b97f4a7c15 + i);
    out[i] = static_cast<std::byte>(digits >> (i % 8 * 8));
  }
  return out;
}

checker::checker(const std::vector<ilm::options>& options, std::vector<const image*> disks)
    : options_(options),
      disks_(std::move(disks)),
      processes_(options_.size(), 0),
      opened_(options_.size()) {}

void checker::fail(std::string kind, std::string text) {
  if (failure_) return;
  failure_.kind = std::move(kind);
  std::ostringstream out;
  out << "at " << now().count() / 1000 << " us: " << text;
  failure_.text = out.str();
}

std::string checker::title(std::size_t from, std::size_t to, std::size_t number) const {
  std::string text =
      peer_name(from) + "'s message " + std::to_string(number) + " to " + peer_name(to);
  auto s = streams_.find({from, to});
  if (s != streams_.end() && number < s->second.messages.size()) {
    text += " (sequence " + std::to_string(s->second.messages[number].sequence) + ")";
  }
  return text;
}

std::size_t checker::handle_send(std::size_t from, std::size_t to, std::size_t size) {
  stream& s = stream_of(from, to);
  record& r = s.messages.emplace_back();
  r.size = size;
  r.process = processes_[from];
  ++open_sends_;
  ++messages_;
  return s.messages.size() - 1;
}

void checker::handle_sent(std::size_t from, std::size_t to, std::size_t number, fate f,
                          std::uint64_t sequence) {
  record& r = stream_of(from, to).messages[number];
  if (r.sent == fate::open) --open_sends_;
  r.sent = f;
  if (f == fate::accepted && !r.stored) {
    fail("accepted but not stored", title(from, to, number) + " was accepted and never stored");
  }
  if (f == fate::accepted && r.sequence != sequence) {
    fail("wrong sequence",
         title(from, to, number) + " was accepted as sequence " + std::to_string(sequence));
  }
  if (f == fate::failed && r.stored) {
    fail("failed but stored", title(from, to, number) + " failed and is stored all the same");
  }
}

void checker::handle_consumed(std::size_t at, std::size_t from, std::uint64_t index,
                              std::uint64_t sequence, std::span<const std::byte> contents) {
  const image::peer_record* stored = peer_record_at(*disks_[at], from);
  stream& s = stream_of(from, at);
  std::uint64_t expected = s.last_index + 1;
  if (s.last_index == 0) expected = stored != nullptr ? stored->where.inbox_first : 1;
  if (index != expected) {
    fail("out of order", peer_name(at) + " consumed index " + std::to_string(index) + " of " +
                             peer_name(from) + ", not " + std::to_string(expected));
  }
  s.last_index = index;
  const ilm::stored_message* m = nullptr;
  if (stored != nullptr && !stored->inbox.empty() && index >= stored->inbox.front().index &&
      index - stored->inbox.front().index < stored->inbox.size()) {
    m = &stored->inbox[index - stored->inbox.front().index];
  }
  if (m == nullptr || m->sequence != sequence) {
    return fail("consumed but not stored", peer_name(at) + " consumed index " +
                                               std::to_string(index) + " of " + peer_name(from) +
                                               ", which its store does not hold");
  }
  auto known = s.known.find({m->epoch, m->sequence});
  if (known == s.known.end()) {
    return fail("never sent",
                peer_name(at) + " consumed a message that " + peer_name(from) + " never sent");
  }
  record& r = s.messages[known->second];
  std::vector<std::byte> wanted = contents_of(from, at, known->second, r.size);
  if (!std::equal(wanted.begin(), wanted.end(), contents.begin(), contents.end())) {
    return fail("changed", title(from, at, known->second) + " was changed on its way");
  }
  if (r.sent == fate::failed) {
    fail("failed but consumed", title(from, at, known->second) + " failed and was consumed");
  }
  if (r.consumed++ > 0) note_repeat(at, from, known->second, r);
}

void checker::note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r) {
  ++repeats_;
  // The window: the receiver ended after the application consumed the message and before its store
  // recorded that.
  if (std::exchange(r.may_repeat, false)) return;
  if (!was_reset(at, from) && !was_reset(from, at)) {
    return fail("repeated", title(from, at, number) + " was consumed twice");
  }
  // When one of the stores went back, neither store had evidence of this repetition.
  if (std::exchange(r.silent_repeat, false)) {
    ++excused_;
    return;
  }
  r.repeats.emplace_back(now(), processes_[at]);
}

void checker::handle_receipt(std::size_t from, std::size_t to, std::size_t number) {
  if (stream_of(from, to).messages[number].consumed == 0) {
    fail("false receipt", title(from, to, number) + " has a receipt and was not consumed");
  }
}

void checker::handle_event(std::size_t at, std::size_t about, const event_type& e) {
  using kind = ilm::event_kind;
  std::string text = peer_name(at) + " about " + peer_name(about) + ": " + ilm::describe(e);
  switch (e.kind) {
    case kind::peer_connected:
      return handle_session(at, about);
    case kind::peer_reset:
    case kind::store_lost:
    case kind::rolled_back:
    case kind::peer_rolled_back:
    case kind::gap:
      // A peer that reports peer_rolled_back refuses the other: there was no session yet.
      if (e.kind != kind::peer_rolled_back) handle_session(at, about);
      // A reset needs a cause: a store that was lost or went back.
      if (!was_reset(at, about) && !was_reset(about, at)) fail("reset without a cause", text);
      break;
    case kind::frame_rejected:
      if (!corruption_ ||
          (e.error != ilm::error::checksum_mismatch && e.error != ilm::error::malformed_frame &&
           e.error != ilm::error::unsupported_version)) {
        fail("honest frame rejected", text);
      }
      return;
    case kind::stream_blocked:
    case kind::network_problem:
      return fail("wrong event", text);
    case kind::store_failed:
      break;
    default:
      return;
  }
  reported_[{at, about}].push_back(reported_event{now(), processes_[at], e});
}

void checker::handle_session(std::size_t at, std::size_t about) {
  sessions_.insert({at, about, processes_[at]});
  last_session_[{at, about}] = now();
}

void checker::handle_own_event(std::size_t at, const event_type& e) {
  if (e.kind == ilm::event_kind::events_lost || e.kind == ilm::event_kind::network_ended) {
    fail("wrong event", peer_name(at) + ": " + ilm::describe(e));
  }
}

void checker::check_bounds(std::size_t at, const ilm::messenger_statistics<std::string>& s) {
  const ilm::options& o = options_[at];
  auto within = [&](const char* bound, std::uint64_t value, std::uint64_t most) {
    if (value <= most) return;
    fail("bound exceeded", peer_name(at) + "'s " + bound + " is " + std::to_string(value) +
                               ", beyond " + std::to_string(most));
  };
  within("uncommitted messages", s.uncommitted_messages, o.uncommitted_messages);
  within("uncommitted bytes", s.uncommitted_bytes, o.uncommitted_bytes);
  for (const auto& p : s.peers) {
    within("messages in flight", p.in_flight, o.window_messages);
    within("inbox", p.inbox_depth, o.credit_messages);
    if (o.outbox_limit != 0) within("outbox", p.outbox_depth, o.outbox_limit);
  }
}

std::string checker::summary() const {
  std::ostringstream out;
  for (const auto& [name, s] : streams_) {
    std::size_t open = 0;
    std::size_t stored = 0;
    std::size_t consumed = 0;
    for (const record& r : s.messages) {
      open += r.sent == fate::open ? 1U : 0U;
      stored += r.stored ? 1U : 0U;
      consumed += r.consumed != 0 ? 1U : 0U;
    }
    out << "\n  " << peer_name(name.first) << " to " << peer_name(name.second) << ": "
        << s.messages.size() << " sent, " << open << " open, " << stored << " stored, " << consumed
        << " consumed, " << s.outbox.size() << " in the outbox";
  }
  for (const auto& [name, list] : reported_) {
    for (const reported_event& t : list) {
      out << "\n  at " << t.at.count() / 1000 << " us " << peer_name(name.first) << " about "
          << peer_name(name.second) << ": " << ilm::describe(t.event);
    }
  }
  return out.str();
}

}  // namespace simulation
