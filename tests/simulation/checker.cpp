#include "simulation/checker.hpp"

#include "simulation/plan.hpp"

namespace simulation {
namespace {

/// The bytes that count for a message in memory besides its contents.
constexpr std::size_t overhead = 160;

/// The largest frame of a plan, and how many messages one may hold.
constexpr std::size_t largest_frame = 1 << 16;
constexpr std::size_t frame_messages = 100;

}  // namespace

void checker::handle_end(std::size_t at, const image& before, const image& after) {
  stores_.handle_end(at, before, after);
}

void checker::check_bounds(std::size_t at, const ilm::messenger_statistics<std::string>& s,
                           std::size_t staged) {
  const ilm::options& o = seen_.options[at];
  auto within = [&](const char* bound, std::uint64_t value, std::uint64_t most) {
    if (value <= most) return;
    seen_.fail("bound exceeded", peer_name(at) + "'s " + bound + " is " + std::to_string(value) +
                                     ", beyond " + std::to_string(most));
  };
  // Deliveries have the same bound once more, which those under way may exceed.
  std::size_t times = staged != 0 ? 2 : 1;
  within("uncommitted messages", s.uncommitted_messages, times * o.uncommitted_messages + staged);
  within("uncommitted bytes", s.uncommitted_bytes,
         times * o.uncommitted_bytes + staged * o.maximum_message_size);
  if (o.memory_limit != 0) {
    // Of each peer stay a message to send, one to deliver, one that is read, and a record of each
    // in flight; and the messages of a frame go beyond the share of those that are not stored.
    std::size_t message = o.maximum_message_size + overhead;
    std::size_t stays = 3 * message + o.window_messages * overhead;
    within("memory", s.held_bytes,
           o.memory_limit + s.peers.size() * stays + largest_frame + frame_messages * overhead);
  }
  for (const auto& p : s.peers) {
    within("messages in flight", p.in_flight, o.window_messages);
    within("inbox", p.inbox_depth, o.credit_messages);
    if (o.outbox_limit != 0) within("outbox", p.outbox_depth, o.outbox_limit);
  }
}

void checker::finish() {
  final_checker(seen_).finish();
  relays_.finish();
  for (std::size_t at = 0; at < seen_.options.size(); ++at) stores_.finish_unread(at);
}

}  // namespace simulation
