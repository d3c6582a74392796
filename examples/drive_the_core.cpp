// Two protocol cores driven by hand, without Asio: each gets its inputs, then its outputs are
// drained. A vector stands for each store, an array of frames for the network, which loses every
// third; time is a number. A shell around ilm/protocol/ does the same with real ones.

#include <ilm/protocol/association.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

using frame_bytes = std::vector<std::byte>;

association_setup setup_of(std::string_view me, std::string_view peer, entropy& random) {
  association_setup s;
  s.local_id = ilm::bytes(me);
  s.peer_id = ilm::bytes(peer);
  s.entropy = &random;
  s.frame_limit = s.maximum_message = 1024;
  return s;
}

struct side {
  side(const ilm::options& o, std::string_view me, std::string_view peer, std::uint64_t seed)
      : name(me),
        random(seed),
        core(o, setup_of(me, peer, random), begin_history({seed, seed}, ilm::bytes(peer).view())) {}

  // [drain]
  void drain(timestamp now) {
    while (std::optional<store_change> change = core.poll_change(now)) {
      outbox.insert(outbox.end(), change->outbox.begin(), change->outbox.end());
      core.handle_committed(now);
    }
    while (std::optional<page_request> asked = core.poll_page(now)) {
      // Nothing is ever erased here, so that message 1 is the first.
      auto at = static_cast<std::size_t>(asked->from - 1);
      core.handle_page(*asked, std::span(outbox).subspan(at), now);
    }
    while (const ilm::stored_message* message = core.poll_delivery(now)) {
      std::cout << name << " gets " << message->contents.text() << '\n';
      ++consumed;
      core.handle_consumed(now);
    }
    while (std::optional<send_result> sent = core.poll_send_result()) {
      std::cout << name << " has stored message " << sent->sequence << '\n';
    }
    while (std::optional<ilm::event_record> event = core.poll_event()) {
      std::cout << name << ": " << describe(*event) << '\n';
    }
    frame_bytes frame;
    while (core.poll_frame(frame, now)) frames.push_back(frame);
  }
  // [drain]

  std::string_view name;
  seeded_entropy random;
  association core;
  std::vector<ilm::stored_message> outbox;
  std::vector<frame_bytes> frames;  ///< on their way to the peer
  int consumed = 0;
};

}  // namespace

int main() {
  const ilm::options o;
  side alice(o, "alice", "bob", 1), bob(o, "bob", "alice", 2);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    std::string text = "number " + std::to_string(i);
    if (alice.core.handle_send(send_id{i}, ilm::bytes(text))) return 1;
  }
  alice.core.handle_session_up(0s);
  bob.core.handle_session_up(0s);
  int sent = 0;
  for (timestamp now = 0s; now < 60s && alice.core.outbox_depth() > 0; now += 1ms) {
    for (auto [from, to] : {std::pair(&alice, &bob), std::pair(&bob, &alice)}) {
      if (from->core.deadline() <= now) from->core.handle_timeout(now);
      from->drain(now);
      for (const frame_bytes& frame : std::exchange(from->frames, {})) {
        if (++sent % 3 != 0) to->core.handle_frame(frame, now);
      }
    }
  }
  std::cout << sent << " frames, of which every third was lost\n";
  return bob.consumed == 3 && alice.core.outbox_depth() == 0 ? 0 : 1;
}
