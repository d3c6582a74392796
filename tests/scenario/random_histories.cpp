#include "support/catch.hpp"
#include "support/history.hpp"

#include <cstdlib>
#include <iostream>
#include <string>

// ILM_SEEDS=FIRST..LAST plays other seeds, ILM_SEEDS=N plays one and shows its log.

namespace {

struct seeds {
  std::uint64_t first;
  std::uint64_t last;
  bool show = false;
};

seeds chosen(std::uint64_t usual) {
  const char* text = std::getenv("ILM_SEEDS");
  if (text == nullptr) return {1, usual};
  std::string wish = text;
  auto dots = wish.find("..");
  std::uint64_t first = std::stoull(wish);
  if (dots == std::string::npos) return {first, first, true};
  return {first, std::stoull(wish.substr(dots + 2))};
}

void play_all(const char* name, const test::history_profile& profile, std::uint64_t usual) {
  seeds s = chosen(usual);
  test::history_result sum;
  std::uint64_t failed = 0;
  for (std::uint64_t seed = s.first; seed <= s.last; ++seed) {
    test::history_result r = test::play(seed, profile);
    sum.messages += r.messages;
    sum.crashes += r.crashes;
    sum.stores_lost += r.stores_lost;
    sum.frames += r.frames;
    if (s.show) std::cout << r.log;
    if (r.failure.empty()) continue;
    ++failed;
    UNSCOPED_INFO("ILM_SEEDS=" << seed << " [" << name << "]: " << r.failure);
    std::cerr << "ILM_SEEDS=" << seed << " [" << name << "]: " << r.failure << '\n';
    if (failed >= 5) break;
  }
  std::cout << name << ": " << s.last - s.first + 1 << " histories, " << sum.messages
            << " messages, " << sum.frames << " frames, " << sum.crashes << " crashes, "
            << sum.stores_lost << " stores lost, " << failed << " failed\n";
  CHECK(failed == 0);
}

}  // namespace

TEST_CASE("random histories lose, repeat and reorder nothing", "[histories]") {
  play_all("faults", {}, 1000);
}

TEST_CASE("a store that went back is never passed over in silence", "[histories]") {
  test::history_profile profile;
  profile.old_copies = true;
  play_all("old copies", profile, 300);
}
