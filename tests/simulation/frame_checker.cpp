#include "simulation/frame_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {
void frame_checker::handle_frame_sent(std::size_t from, std::size_t to,
                                      std::span<const std::byte> bytes) {
  std::optional<wire::frame> f = wire::read(bytes);
  if (!f) return seen_.fail("malformed frame", peer_name(from) + " sent a malformed frame");
  check_number(from, to, *f);
  if (f->ack) check_ack(from, to, *f);
  if (f->hello) check_hello(from, to, *f);
  if (!f->records.empty()) check_data(from, to, *f);
}

/// Frames with data are counted by session, and an echo is of one that was sent.
void frame_checker::check_number(std::size_t from, std::size_t to, const wire::frame& f) {
  if (f.session == 0) return;
  std::uint64_t& last = numbers_[{from, to, f.session}];
  if (f.records.empty() ? f.number != 0 && f.number != last + 1 : f.number != last + 1) {
    seen_.fail("wrong number", peer_name(from) + " sends " + peer_name(to) + " frame " +
                                   std::to_string(f.number) + " after " + std::to_string(last));
  }
  if (f.number != 0) last = f.number;
  if (f.ack && f.ack->echo > numbers_[{to, from, f.session}]) {
    seen_.fail("echo of nothing", peer_name(from) + " echoes " + peer_name(to) + "'s frame " +
                                      std::to_string(f.ack->echo) + ", which was never sent");
  }
}

/// An ack never exceeds the disk's present cursors, and never goes back within a session.
void frame_checker::check_ack(std::size_t from, std::size_t to, const wire::frame& f) {
  const wire::claim& said = f.ack->claim;
  if (!covers(from, to, said)) {
    const ilm::cursors* c = seen_.cursors_at(from, to);
    seen_.fail("ack before the store",
               peer_name(from) + " acknowledges " + peer_name(to) + "'s " +
                   std::to_string(said.received) + ", delivered " + std::to_string(said.delivered) +
                   ", but its store has " + std::to_string(c != nullptr ? c->inbox.received() : 0) +
                   " and " + std::to_string(c != nullptr ? c->history.mark_delivered : 0));
  }
  flow& before = flows_[{from, to, f.session}];
  if (said.received < before.acknowledged_received ||
      said.delivered < before.acknowledged_delivered || said.mark.high < before.mark) {
    seen_.fail("ack went back", peer_name(from) + " acknowledges " + peer_name(to) + "'s " +
                                    std::to_string(said.received) + " after " +
                                    std::to_string(before.acknowledged_received));
  }
  before.acknowledged_received = said.received;
  before.acknowledged_delivered = said.delivered;
  before.mark = said.mark.high;
}

/// Whether the disk has all that a claim says. The disk may be ahead of its owner by one commit
/// that has not completed, and ahead of a frame that the network has not taken yet; what it has
/// learnt may begin another stream or lineage.
bool frame_checker::covers(std::size_t from, std::size_t to, const wire::claim& c) const {
  auto has = [&](const ilm::cursors& stored) {
    return c.received <= stored.inbox.received() && c.delivered <= stored.history.mark_delivered &&
           c.mark.high <= stored.history.mark.count && c.seen.high <= stored.history.seen.count;
  };
  const ilm::cursors* stored = seen_.cursors_at(from, to);
  if (stored == nullptr) {
    return c.received == 0 && c.delivered == 0 && c.seen.high == 0 && c.mark.high == 1;
  }
  if (has(*stored)) return true;
  auto former = seen_.former_histories.find({from, to});
  return former != seen_.former_histories.end() && has(former->second);
}

void frame_checker::check_hello(std::size_t from, std::size_t to, const wire::frame& f) {
  const wire::hello& h = *f.hello;
  const auto& streams = seen_.stored_streams[{from, to}];
  bool honest =
      covers(from, to, h.claim) && (h.follows == wire::name() || streams.contains(h.follows));
  if (!honest) {
    seen_.fail("hello before the store", peer_name(from) + " sends a hello to " + peer_name(to) +
                                             " with received " + std::to_string(h.claim.received) +
                                             ", which its store does not have");
  }
  hello_first_[{from, to}] = h.first;
}

/// Data is in the sender's store as it was accepted, and within the window and the credit.
void frame_checker::check_data(std::size_t from, std::size_t to, const wire::frame& f) {
  const ilm::cursors* c = seen_.cursors_at(from, to);
  stream& s = seen_.stream_of(from, to);
  flow& way = flows_[{from, to, f.session}];
  std::uint64_t base = hello_first_[{from, to}];
  std::uint64_t acknowledged =
      std::max({way.acknowledged, delivered_seen_[{from, to}], base > 0 ? base - 1 : 0});
  for (const wire::data& d : f.records) {
    std::uint64_t sequence = d.first;
    wire::name hash = d.before;
    for (const wire::item& item : d.items) {
      hash = wire::extend(hash, sequence, item.salt, item.contents, item.attributes);
      auto known = s.known.find(hash);
      if (known == s.known.end() || c == nullptr || sequence >= c->outbox.next) {
        return seen_.fail("sent but not stored",
                          peer_name(from) + " sends sequence " + std::to_string(sequence) + " to " +
                              peer_name(to) + ", which its store does not hold");
      }
      const record& r = s.messages[known->second];
      if (item.contents.size() != r.size) {
        seen_.fail("changed", seen_.title(from, to, known->second) + " is sent with another size");
      }
      if (!std::ranges::equal(item.attributes, attributes_of(known->second, r.size))) {
        seen_.fail("changed",
                   seen_.title(from, to, known->second) + " is sent with other attributes");
      }
      ++sequence;
    }
    --sequence;
    if (sequence > acknowledged + seen_.options[from].window_messages) {
      seen_.fail("window exceeded", peer_name(from) + " sends sequence " +
                                        std::to_string(sequence) + " to " + peer_name(to) +
                                        ", beyond the window at " + std::to_string(acknowledged));
    }
    if (sequence > way.credit) {
      seen_.fail("credit exceeded", peer_name(from) + " sends sequence " +
                                        std::to_string(sequence) + " to " + peer_name(to) +
                                        ", beyond the credit " + std::to_string(way.credit));
    }
  }
}

/// Acks and hellos that arrive move the reader's cursors and credit.
void frame_checker::handle_frame_arrived(std::size_t from, std::size_t to,
                                         std::span<const std::byte> bytes) {
  std::optional<wire::frame> f = wire::read(bytes);
  if (!f) return;
  if (f->ack) {
    flow& back = flows_[{to, from, f->session}];
    back.acknowledged = std::max(back.acknowledged, f->ack->claim.received);
    back.credit = std::max(back.credit, f->ack->claim.credit_sequence);
    std::uint64_t& delivered = delivered_seen_[{to, from}];
    delivered = std::max(delivered, f->ack->claim.delivered);
  }
  if (f->hello) {
    const wire::hello& h = *f->hello;
    const ilm::cursors* c = seen_.cursors_at(to, from);
    flow& back = flows_[{to, from, wire::session_of(h.nonce, h.echo)}];
    // The credit of a hello counts from where its reader begins to send.
    std::uint64_t begin = std::max(hello_first_[{to, from}], delivered_seen_[{to, from}] + 1) - 1;
    if (h.follows != wire::name() && (c == nullptr || h.follows == name_of(c->outbox.stream))) {
      back.acknowledged = std::max(back.acknowledged, h.claim.received);
      begin = std::max(begin, h.claim.received);
      std::uint64_t& delivered = delivered_seen_[{to, from}];
      delivered = std::max(delivered, h.claim.delivered);
    }
    bool more = h.claim.credit_sequence > h.claim.received;
    std::uint64_t room = more ? h.claim.credit_sequence - h.claim.received : 0;
    back.credit = std::max(back.credit, begin + room);
  }
}

}  // namespace simulation
