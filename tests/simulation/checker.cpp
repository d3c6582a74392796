#include "simulation/checker.hpp"

#include "simulation/plan.hpp"

namespace simulation {

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
