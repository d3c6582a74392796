// Frames that the peers do not send: old ones of the handshake, and guessed ones.

#include "simulation/player.hpp"

#include <algorithm>

namespace simulation {
namespace {

/// The longest time for all to meet and for a few messages to be consumed, while attacks go on.
constexpr nanoseconds longest_standstill = 15s;

}  // namespace

void player::go_on(attack& x) {
  const step& s = x.cause;
  if (x.done >= s.count && !s.flag) return;
  hand_over(s, x.done++);
  x.timer.expires_at(clock::now() + (s.flag ? std::max<nanoseconds>(s.time, 20ms) : s.time));
  x.timer.async_wait([this, &x](std::error_code failed) {
    if (!failed) go_on(x);
  });
}

void player::hand_over(const step& s, std::uint64_t turn) {
  bool old = s.kind == action::replay;
  wire::bytes frame = old ? attacker_.replay(s, turn) : attacker_.guess(s, turn);
  if (frame.empty()) return;
  fabric_.inject(peer_name(s.a), peer_name(s.b), frame, s.span);
  if (old && how_.planted == sabotage::heeded_replays) {
    fabric_.connect(peer_name(s.a), peer_name(s.b));
  }
}

/// The checkers believe an old frame, which may still be the answer that its receiver waits for,
/// and never a guessed one.
void player::handle_injected(const peer_id& from, const peer_id& to, std::span<const std::byte> f) {
  std::size_t a = number_of(from);
  std::size_t b = number_of(to);
  bool old = attacker_.was_sent(a, b, f);
  mix(b * 8 + a + 192);
  note(to, old ? " gets once more from " : " gets from somebody as ", from, ' ',
       how_.trace ? wire::describe(f) : std::string());
  if (old) return checker_->frames().handle_frame_arrived(a, b, f);
  checker_->events().handle_guess(b, a, f);
}

void player::end_attacks(bool all) {
  std::erase_if(attacks_, [&](const auto& x) { return all || !x->cause.flag; });
}

/// The delay that attacks ask for which go on in the calm.
nanoseconds player::calm_delay() const {
  nanoseconds longest{};
  for (const auto& x : attacks_) longest = std::max(longest, x->cause.span);
  return longest;
}

void player::reconnect_all() {
  for (std::size_t i = 0; i < actors_.size(); ++i) {
    for (std::size_t j = i + 1; j < actors_.size(); ++j) {
      fabric_.connect(peer_name(i), peer_name(j));
    }
  }
}

bool player::all_meet() const {
  return std::all_of(actors_.begin(), actors_.end(), [this](const auto& a) {
    return a->instance->connected_peers().size() + 1 >= actors_.size();
  });
}

void player::send_to_all() {
  for (std::size_t i = 0; i < actors_.size(); ++i) {
    for (std::size_t j = 0; j < actors_.size(); ++j) {
      if (i != j) send_one(i, j, 8);
    }
  }
}

/// What goes on in the calm keeps nobody from meeting, stops no stream, and ends no session.
void player::withstand() {
  if (attacks_.empty()) return;
  note("all connect anew");
  reconnect_all();
  send_to_all();
  auto done = [this](const char* what) {
    if (clock::run_until(
            scheduler_, [this] { return quiet(); }, longest_standstill)) {
      return !checker_->found();
    }
    checker_->fail("stands still", what + checker_->summary());
    return false;
  };
  if (!done("after the sessions began anew")) return;
  // The other side hears of the session a moment later.
  clock::run_for(scheduler_, 1s);
  std::size_t before = checker_->frames().sessions();
  send_to_all();
  if (!done("in a session")) return;
  clock::run_for(scheduler_, 3s);
  if (checker_->frames().sessions() != before) {
    checker_->fail("session ended", "by frames that nobody sent" + checker_->summary());
  }
  end_attacks(true);
}

}  // namespace simulation
