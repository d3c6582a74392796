#include "simulation/observations.hpp"

#include "simulation/plan.hpp"

#include <algorithm>
#include <sstream>

namespace simulation {

std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

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

std::optional<std::size_t> number_in(std::span<const std::byte> contents) {
  if (contents.size() < 8) return std::nullopt;
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < 8; ++i) key |= std::to_integer<std::uint64_t>(contents[i]) << (i * 8);
  return key < 64 ? std::nullopt : std::optional<std::size_t>(key / 64 - 1);
}

std::vector<std::byte> attributes_of(std::size_t number, std::size_t size) {
  std::vector<std::byte> out;
  if (number % 3 != 1 || size > 200) return out;
  auto put = [&](std::size_t type, const std::vector<std::size_t>& value) {
    out.push_back(static_cast<std::byte>(type));
    out.push_back(static_cast<std::byte>(value.size()));
    for (std::size_t b : value) out.push_back(static_cast<std::byte>(b));
  };
  put(0x81, {1, 'n', number % 256, number / 256 % 256});
  if (number % 2 == 1) put(0x82, {0, 6, 0, 0, 0, 0, number / 256 % 256, number % 256});
  if (number % 4 == 3) put(0xa0 + number % 16, std::vector<std::size_t>(number % 40, number % 256));
  return out;
}

observations::observations(const std::vector<ilm::options>& known_options,
                           std::vector<const image*> known_disks)
    : options(known_options), disks(std::move(known_disks)), processes(options.size(), 0) {}

void observations::fail(std::string kind, std::string text) {
  if (failure) return;
  failure.kind = std::move(kind);
  std::ostringstream out;
  out << "at " << now().count() / 1000 << " us: " << text;
  failure.text = out.str();
}

std::string observations::title(std::size_t from, std::size_t to, std::size_t number) const {
  std::string text =
      peer_name(from) + "'s message " + std::to_string(number) + " to " + peer_name(to);
  auto s = streams.find({from, to});
  if (s != streams.end() && number < s->second.messages.size()) {
    text += " (sequence " + std::to_string(s->second.messages[number].sequence) + ")";
  }
  return text;
}

const image::peer_record* observations::peer_record_at(const image& disk, std::size_t about) {
  auto at = disk.peers.find(peer_name(about));
  return at != disk.peers.end() ? &at->second : nullptr;
}

const ilm::cursors* observations::cursors_at(std::size_t at, std::size_t about) const {
  const image::peer_record* s = peer_record_at(*disks[at], about);
  return s != nullptr ? &s->where : nullptr;
}

/// Whether the store of `at` went back without a session with `about` since: two histories with the
/// same numbers exist, and neither side knows.
bool observations::went_back_unnoticed(std::size_t at, std::size_t about) const {
  auto list = store_resets.find({at, about});
  if (list == store_resets.end()) return false;
  nanoseconds last = last_meeting(at, about);
  return std::any_of(list->second.begin(), list->second.end(),
                     [&](const store_reset& a) { return !a.lost && a.at >= last; });
}

/// When the last session began that both of them saw.
nanoseconds observations::last_meeting(std::size_t at, std::size_t about) const {
  auto began = [&](std::size_t self, std::size_t peer) {
    auto found = last_session.find({self, peer});
    return found != last_session.end() ? found->second : nanoseconds(-1);
  };
  return std::min(began(at, about), began(about, at));
}

/// Whether an event at `at` about `about` names the sequence.
bool observations::named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
                         nanoseconds since) const {
  auto list = reported.find({at, about});
  if (list == reported.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
    if (t.at < since || t.event.kind == ilm::event_kind::store_failed) return false;
    return (outbound ? t.event.outbound : t.event.inbound).contains(sequence);
  });
}

bool observations::was_any_refused(std::size_t at) const {
  return std::any_of(reported.begin(), reported.end(), [&](const auto& of) {
    if (of.first.first != at) return false;
    return std::any_of(of.second.begin(), of.second.end(), [&](const reported_event& t) {
      return t.process == processes[at] && t.event.kind == ilm::event_kind::store_failed &&
             t.event.outbound.empty() && t.event.inbound.empty();
    });
  });
}

bool observations::was_reported(std::size_t at, std::size_t about, nanoseconds since,
                                std::initializer_list<ilm::event_kind> kinds) const {
  auto list = reported.find({at, about});
  if (list == reported.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
    return t.at >= since && std::find(kinds.begin(), kinds.end(), t.event.kind) != kinds.end();
  });
}

std::size_t observations::outstanding() const {
  std::size_t sum = 0;
  for (const image* disk : disks) sum += disk->messages();
  return sum;
}

std::string observations::summary() const {
  std::ostringstream out;
  for (const auto& [name, s] : streams) {
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
  for (const auto& [name, list] : reported) {
    for (const reported_event& t : list) {
      out << "\n  at " << t.at.count() / 1000 << " us " << peer_name(name.first) << " about "
          << peer_name(name.second) << ": " << ilm::describe(t.event);
    }
  }
  return out.str();
}

}  // namespace simulation
