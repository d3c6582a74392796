#include "simulation/attacker.hpp"

#include "simulation/observations.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

namespace simulation {
namespace {

/// Drawn from the step alone, so that leaving others out does not change it.
std::uint64_t seed_of(const step& s, std::uint64_t turn) {
  return mixed(static_cast<std::uint64_t>(s.at.count()) * 64 + s.a * 8 + s.b) + turn;
}

/// Whether a pair is that of the step, in either direction.
bool is_of(const step& s, const std::pair<std::size_t, std::size_t>& pair) {
  return pair == std::pair<std::size_t, std::size_t>(s.a, s.b) ||
         pair == std::pair<std::size_t, std::size_t>(s.b, s.a);
}

constexpr std::size_t most_kept = 200;

/// Whether two frames with a checksum end in the same fields: the length before them has several
/// forms.
bool is_like(const wire::bytes& own, std::span<const std::byte> other) {
  constexpr std::size_t before = 12 + 3;
  constexpr std::size_t after = 4;
  std::size_t fields = own.size() - before - after;
  return other.size() > own.size() - after &&
         std::equal(own.begin() + before, own.end() - after,
                    other.end() - static_cast<std::ptrdiff_t>(fields + after));
}

}  // namespace

bool attacker::handle_frame_sent(std::size_t from, std::size_t to,
                                 std::span<const std::byte> bytes) {
  std::optional<wire::frame> f = wire::read(bytes);
  if (!f) return true;
  passed& last = passed_[{from, to}];
  if (f->version == 0) {
    // The oldest and the newest ones.
    std::deque<wire::bytes>& kept = handshakes_[{from, to}];
    if (kept.size() == most_kept) kept.erase(kept.begin() + most_kept / 2);
    kept.emplace_back(bytes.begin(), bytes.end());
    if (f->hello) last.hello = f->hello;
    return !f->hello || is_like(wire::write_hello(*f->hello), bytes);
  }
  last.header = {f->version, f->session, f->number};
  last.frame.assign(bytes.begin(), bytes.end());
  if (f->ack) last.ack = *f->ack;
  return true;
}

bool attacker::was_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes) const {
  auto kept = handshakes_.find({from, to});
  return kept != handshakes_.end() &&
         std::any_of(kept->second.begin(), kept->second.end(),
                     [&](const wire::bytes& f) { return std::ranges::equal(f, bytes); });
}

/// The size of the step is the way: any frame, the same again and again, all in order, or the
/// newest.
wire::bytes attacker::replay(const step& s, std::uint64_t turn) const {
  auto kept = handshakes_.find({s.a, s.b});
  if (kept == handshakes_.end()) return {};
  const std::deque<wire::bytes>& frames = kept->second;
  switch (s.size) {
    case 0:
      return frames[mixed(seed_of(s, turn)) % frames.size()];
    case 1:
      return frames[mixed(seed_of(s, 0)) % std::min<std::size_t>(frames.size(), 8)];
    case 2:
      return frames[turn % frames.size()];
    default:
      return frames[frames.size() - 1 - turn % std::min<std::size_t>(frames.size(), 4)];
  }
}

/// The size of the step is the kind of frame, or 0 for all kinds.
wire::bytes attacker::guess(const step& s, std::uint64_t turn) {
  state_ = seed_of(s, turn);
  std::uint64_t kind = s.size != 0 ? s.size : 1 + draw(kinds_of_guess);
  switch (kind) {
    case 1:
      return wire::write_challenge(draw(2) == 0 ? 1 + draw(20) : draw() | 1);
    case 2:
    case 3:
      return guess_hello(s);
    case 4:
      return guess_ack(s);
    case 5:
      return guess_data(s);
    case 6:
      return wire::write(guess_header(s), draw(2) == 0 ? wire::plain::bye : wire::plain::ping);
    case 7:
      return frame_of_others(s);
    case 8:
      return reflected(s);
    default: {
      std::uint64_t lowest = 1 + draw(3);
      return wire::write_versions(lowest, lowest + draw(3));
    }
  }
}

std::uint64_t attacker::draw() { return mixed(state_ += 0x9e3779b97f4a7c15); }

/// Any number, a small one, that of a session of others or one next to it.
std::uint64_t attacker::draw_tag(const step& s) {
  std::vector<std::uint64_t> others;
  for (const auto& [name, last] : passed_) {
    if (!is_of(s, name) && last.header.session != 0) others.push_back(last.header.session);
  }
  switch (draw(4)) {
    case 0:
      return draw();
    case 1:
      return draw(20);
    default:
      if (others.empty()) return draw();
      return others[draw_size(others.size())] + draw(3) - 1;
  }
}

wire::header attacker::guess_header(const step& s) {
  const passed& last = passed_[{s.a, s.b}];
  if (knows_tags_) return {last.header.version, last.header.session, 0};
  return {1 + draw(2), draw_tag(s), draw(2) == 0 ? 0 : last.header.number + draw(3)};
}

/// What the peer may have said by now, and more.
wire::claim attacker::guess_claim(const step& s) {
  wire::claim c = passed_[{s.a, s.b}].ack.claim;
  if (c.mark.high == 0) c.mark = {1 + draw(3), draw()};
  if (draw(3) == 0 && !knows_tags_) c.mark = {c.mark.high + draw(3), draw()};
  if (draw(3) == 0 && !knows_tags_) c.seen = {draw(4), draw()};
  c.received += draw(6);
  c.delivered = std::min(c.received, c.delivered + draw(6));
  c.acknowledged += draw(2) * draw(5);
  c.credit_sequence = c.received + draw(1000);
  c.credit_bytes = c.received_bytes + draw(1'000'000);
  return c;
}

wire::bytes attacker::guess_hello(const step& s) {
  wire::hello h = passed_[{s.a, s.b}].hello.value_or(wire::hello());
  h.source = peer_name(s.a);
  h.destination = peer_name(s.b);
  if (h.lowest_version == 0) h.lowest_version = h.highest_version = 1;
  if (h.stream == wire::name() || draw(4) == 0) h.stream = {1, draw()};
  if (h.maximum_message == 0) h.maximum_message = 1 << 20;
  h.nonce = draw(2) == 0 ? draw_tag(s) | 1 : draw() | 1;
  h.echo = draw(2) == 0 ? draw_tag(s) | 1 : draw() | 1;
  h.proven = draw(2);
  h.claim = guess_claim(s);
  h.claim.mark.high = std::max({h.claim.mark.high, h.base, h.stream.high});
  h.base = draw(2) == 0 && h.base != 0 ? h.base : h.claim.mark.high;
  h.origin = draw(3);
  h.first += 1 + draw(3);
  return wire::write_hello(h);
}

wire::bytes attacker::guess_ack(const step& s) {
  wire::ack a;
  a.claim = guess_claim(s);
  a.echo = passed_[{s.b, s.a}].header.number;
  if (draw(2) == 0) a.echo = 0;
  return wire::write_ack(guess_header(s), a);
}

wire::bytes attacker::guess_data(const step& s) {
  wire::claim peers = passed_[{s.b, s.a}].ack.claim;
  std::vector<std::byte> contents(draw_size(40), static_cast<std::byte>('x'));
  wire::name before = draw(2) == 0 ? peers.received_hash : wire::name{draw(), draw()};
  return wire::write_data(guess_header(s), peers.received + draw(4), before, draw(2) * draw(),
                          contents);
}

/// A frame of another pair as it is.
wire::bytes attacker::frame_of_others(const step& s) {
  std::vector<const wire::bytes*> others;
  for (const auto& [name, last] : passed_) {
    if (!is_of(s, name) && !last.frame.empty()) others.push_back(&last.frame);
  }
  for (const auto& [name, kept] : handshakes_) {
    if (!is_of(s, name)) others.push_back(&kept[draw_size(kept.size())]);
  }
  return others.empty() ? wire::bytes() : *others[draw_size(others.size())];
}

/// An old frame of the handshake that its own sender gets back.
wire::bytes attacker::reflected(const step& s) {
  auto kept = handshakes_.find({s.b, s.a});
  if (kept == handshakes_.end()) return {};
  return kept->second[draw_size(kept->second.size())];
}

}  // namespace simulation
