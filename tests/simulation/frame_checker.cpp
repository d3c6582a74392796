#include "simulation/frame_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {
namespace {

wire::name name_of_incarnation(const ilm::incarnation& i) {
  wire::name n;
  n.high = i.high;
  n.low = i.low;
  return n;
}

}  // namespace

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
  if (f.hello) return;
  std::uint64_t& last = numbers_[{from, to, f.session_tag}];
  if (f.records.empty() ? f.number != 0 && f.number != last + 1 : f.number != last + 1) {
    seen_.fail("wrong number", peer_name(from) + " sends " + peer_name(to) + " frame " +
                                   std::to_string(f.number) + " after " + std::to_string(last));
  }
  if (f.number != 0) last = f.number;
  if (f.ack && f.ack->echo > numbers_[{to, from, f.session_tag}]) {
    seen_.fail("echo of nothing", peer_name(from) + " echoes " + peer_name(to) + "'s frame " +
                                      std::to_string(f.ack->echo) + ", which was never sent");
  }
}

/// An ack never exceeds the disk's present cursors, and never goes back.
void frame_checker::check_ack(std::size_t from, std::size_t to, const wire::frame& f) {
  const ilm::cursors* c = seen_.cursors_at(from, to);
  bool newest = c != nullptr && wire::tag_of(name_of_incarnation(c->peer)) == f.destination_tag;
  if (c != nullptr && !newest) return;
  if (c == nullptr || f.ack->received > c->received() || f.ack->delivered > confirmed(*c)) {
    seen_.fail("ack before the store",
               peer_name(from) + " acknowledges " + peer_name(to) + "'s " +
                   std::to_string(f.ack->received) + ", delivered " +
                   std::to_string(f.ack->delivered) + ", but its store has " +
                   std::to_string(c != nullptr ? c->received() : 0) + " and " +
                   std::to_string(c != nullptr ? confirmed(*c) : 0));
  }
  flow& said = flows_[{from, to, f.source_tag, f.destination_tag}];
  // After a loss or rollback the peer may adopt the incarnation anew, with lower cursors.
  bool peer_known = !seen_.was_reset(from, to) && !seen_.was_reset(to, from);
  if (peer_known && (f.ack->received < said.acknowledged_received ||
                     f.ack->delivered < said.acknowledged_delivered)) {
    seen_.fail("ack went back", peer_name(from) + " acknowledges " + peer_name(to) + "'s " +
                                    std::to_string(f.ack->received) + " after " +
                                    std::to_string(said.acknowledged_received));
  }
  said.acknowledged_received = std::max(said.acknowledged_received, f.ack->received);
  said.acknowledged_delivered = std::max(said.acknowledged_delivered, f.ack->delivered);
}

void frame_checker::check_hello(std::size_t from, std::size_t to, const wire::frame& f) {
  const wire::hello& h = *f.hello;
  const ilm::cursors* stored = seen_.cursors_at(from, to);
  ilm::cursors none;
  const ilm::cursors& c = stored != nullptr ? *stored : none;
  // The disk may be ahead of its owner by one commit that has not completed.
  bool newest = h.peer == name_of_incarnation(c.peer);
  const auto& stored_before = seen_.stored_incarnations[{from, to}];
  bool honest = newest ? h.received <= c.received() && h.delivered <= confirmed(c)
                       : h.peer == wire::name() || stored_before.contains(h.peer);
  honest = honest && h.next <= c.outbox_next;
  if (!honest) {
    seen_.fail("hello before the store", peer_name(from) + " sends a hello to " + peer_name(to) +
                                             " with received " + std::to_string(h.received) +
                                             " and next " + std::to_string(h.next) +
                                             ", but its store has " + std::to_string(c.received()) +
                                             " and " + std::to_string(c.outbox_next));
  }
  hello_first_[{from, to}] = h.first;
}

/// Data is in the sender's store as it was accepted, and within the window and the credit.
void frame_checker::check_data(std::size_t from, std::size_t to, const wire::frame& f) {
  const ilm::cursors* c = seen_.cursors_at(from, to);
  stream& s = seen_.stream_of(from, to);
  flow& way = flows_[{from, to, f.source_tag, f.destination_tag}];
  std::uint64_t base = hello_first_[{from, to}];
  std::uint64_t acknowledged = std::max(way.acknowledged, base > 0 ? base - 1 : 0);
  for (const wire::data& d : f.records) {
    std::uint64_t sequence = d.first;
    for (const wire::item& item : d.items) {
      auto known = s.known.find({d.epoch, sequence});
      if (known == s.known.end() || c == nullptr || sequence >= c->outbox_next) {
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
    flow& back = flows_[{to, from, f->destination_tag, f->source_tag}];
    back.acknowledged = std::max(back.acknowledged, f->ack->received);
    back.credit = std::max(back.credit, f->ack->credit_sequence);
    std::uint64_t& delivered = delivered_seen_[{to, from}];
    delivered = std::max(delivered, f->ack->delivered);
  }
  if (f->hello) {
    const wire::hello& h = *f->hello;
    const ilm::cursors* c = seen_.cursors_at(to, from);
    ilm::incarnation local = c != nullptr ? c->local : seen_.disks[to]->local;
    wire::name mine = name_of_incarnation(local);
    flow& back = flows_[{to, from, wire::tag_of(mine), wire::tag_of(h.local)}];
    // The credit of a hello counts from where its reader begins to send.
    std::uint64_t begin = std::max(hello_first_[{to, from}], delivered_seen_[{to, from}] + 1) - 1;
    if (h.peer == mine) {
      back.acknowledged = std::max(back.acknowledged, h.received);
      begin = std::max(begin, h.received);
    }
    std::uint64_t room = h.credit_sequence > h.received ? h.credit_sequence - h.received : 0;
    back.credit = std::max(back.credit, begin + room);
  }
}

/// Acknowledgements of the earlier store no longer bind the process; and an incarnation that the
/// peer has replaced meanwhile is new to that peer.
void frame_checker::handle_reset(std::size_t at, std::size_t about) {
  for (auto& [name, f] : flows_) {
    auto [from, to, source, destination] = name;
    if ((from == at && to == about) || (from == about && to == at)) {
      f.acknowledged_received = f.acknowledged_delivered = 0;
    }
  }
}

}  // namespace simulation
