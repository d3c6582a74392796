#include "support/catch.hpp"
#include "support/world.hpp"

#include <algorithm>
#include <string>

using namespace test;

namespace {

struct outcome {
  std::chrono::nanoseconds time{};
  std::uint64_t frames = 0;
};

/// Sends 10,000 messages one way at a round trip of 20 ms.
outcome ten_thousand(std::uint64_t seed, double fault, std::size_t frame_size) {
  world w(seed, frame_size);
  peer a = w.make("a"), b = w.make("b");
  ilm::options o;
  o.maximum_message_size = 900;
  o.seed = seed;
  ilm::faults f;
  f.loss = f.repetition = f.reordering = fault;
  f.delay = 10ms;
  w.net.set_faults(f);
  a.start(o);
  o.seed = seed + 1000;
  b.start(o);
  for (const std::string& text : numbered(10'000)) a.send("b", text);
  REQUIRE(w.until([&] { return b.app().consumed.size() == 10'000; }, 600s));
  REQUIRE(b.app().texts() == numbered(10'000));
  return {clock::now().time_since_epoch(), w.net.counts().sent};
}

}  // namespace

TEST_CASE("a tenth lost, a tenth repeated and a tenth overtaken costs less than 25 times the time",
          "[volume]") {
  for (std::size_t frame_size : {std::size_t{1200}, std::size_t{9000}, std::size_t{1} << 20}) {
    outcome calm = ten_thousand(1, 0, frame_size);
    std::chrono::nanoseconds worst{};
    std::uint64_t most_frames = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      outcome rough = ten_thousand(seed, 0.1, frame_size);
      worst = std::max(worst, rough.time);
      most_frames = std::max(most_frames, rough.frames);
    }
    INFO("frames of " << frame_size << " bytes: " << calm.time / 1us << " us without faults, "
                      << worst / 1us << " us at worst with them; " << calm.frames << " and "
                      << most_frames << " frames");
    CHECK(worst < calm.time * 25);
    // No livelock: retransmissions stay in proportion.
    CHECK(most_frames < calm.frames * 5 + 100);
  }
}
