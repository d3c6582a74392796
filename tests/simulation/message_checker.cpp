#include "simulation/message_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {

std::size_t message_checker::handle_send(std::size_t from, std::size_t to, std::size_t size) {
  stream& s = seen_.stream_of(from, to);
  record& r = s.messages.emplace_back();
  r.size = size;
  r.process = seen_.processes[from];
  ++seen_.open_sends;
  ++seen_.messages;
  return s.messages.size() - 1;
}

void message_checker::handle_sent(std::size_t from, std::size_t to, std::size_t number, fate f,
                                  std::uint64_t sequence) {
  record& r = seen_.stream_of(from, to).messages[number];
  if (r.sent == fate::open) --seen_.open_sends;
  r.sent = f;
  if (f == fate::accepted && !r.stored) {
    seen_.fail("accepted but not stored",
               seen_.title(from, to, number) + " was accepted and never stored");
  }
  if (f == fate::accepted && r.sequence != sequence) {
    seen_.fail("wrong sequence", seen_.title(from, to, number) + " was accepted as sequence " +
                                     std::to_string(sequence));
  }
  if (f == fate::failed && r.stored) {
    seen_.fail("failed but stored",
               seen_.title(from, to, number) + " failed and is stored all the same");
  }
}

void message_checker::handle_consumed(std::size_t at, std::size_t from,
                                      const ilm::message<std::string>& consumed) {
  const std::uint64_t index = consumed.index, sequence = consumed.sequence;
  const image::peer_record* stored = seen_.peer_record_at(*seen_.disks[at], from);
  stream& s = seen_.stream_of(from, at);
  std::uint64_t expected = s.last_index + 1;
  if (s.last_index == 0) expected = stored != nullptr ? stored->where.inbox.first : 1;
  if (index != expected) {
    seen_.fail("out of order", peer_name(at) + " consumed index " + std::to_string(index) + " of " +
                                   peer_name(from) + ", not " + std::to_string(expected));
  }
  s.last_index = index;
  const ilm::stored_message* m = nullptr;
  if (stored != nullptr && !stored->inbox.empty() && index >= stored->inbox.front().index &&
      index - stored->inbox.front().index < stored->inbox.size()) {
    m = &stored->inbox[static_cast<std::size_t>(index - stored->inbox.front().index)];
  }
  if (m == nullptr || m->sequence != sequence) {
    return seen_.fail("consumed but not stored",
                      peer_name(at) + " consumed index " + std::to_string(index) + " of " +
                          peer_name(from) + ", which its store does not hold");
  }
  auto known = s.known.find(name_of(m->hash));
  if (known == s.known.end()) {
    return seen_.fail("never sent", peer_name(at) + " consumed a message that " + peer_name(from) +
                                        " never sent");
  }
  record& r = s.messages[known->second];
  std::vector<std::byte> wanted = contents_of(from, at, known->second, r.size);
  if (!std::ranges::equal(wanted, consumed.contents.view()) ||
      !std::ranges::equal(attributes_of(known->second, r.size),
                          consumed.attributes.encoded().view())) {
    return seen_.fail("changed", seen_.title(from, at, known->second) + " was changed on its way");
  }
  if (r.sent == fate::failed) {
    seen_.fail("failed but consumed",
               seen_.title(from, at, known->second) + " failed and was consumed");
  }
  if (r.consumed++ > 0) note_repeat(at, from, known->second, r);
}

void message_checker::note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r) {
  ++seen_.repeats;
  // The window: the receiver ended after the application consumed the message and before its store
  // recorded that.
  if (std::exchange(r.may_repeat, false)) return;
  if (!seen_.was_reset(at, from) && !seen_.was_reset(from, at)) {
    return seen_.fail("repeated", seen_.title(from, at, number) + " was consumed twice");
  }
  // When one of the stores went back, neither store had evidence of this repetition.
  if (std::exchange(r.silent_repeat, false)) {
    ++seen_.excused;
    return;
  }
  r.repeats.emplace_back(now(), seen_.processes[at]);
}

void message_checker::handle_receipt(std::size_t from, std::size_t to, std::size_t number) {
  if (seen_.stream_of(from, to).messages[number].consumed == 0) {
    seen_.fail("false receipt",
               seen_.title(from, to, number) + " has a receipt and was not consumed");
  }
}

}  // namespace simulation
