#include "simulation/play.hpp"

#include "simulation/player.hpp"

namespace simulation {

void totals::add(const totals& other) {
  for (auto field : {&totals::histories,        &totals::messages,
                     &totals::frames,           &totals::frames_lost,
                     &totals::frames_repeated,  &totals::frames_reordered,
                     &totals::frames_corrupted, &totals::frames_injected,
                     &totals::crashes,          &totals::power_cuts,
                     &totals::shutdowns,        &totals::stores_lost,
                     &totals::rollbacks,        &totals::cuts,
                     &totals::partitions,       &totals::clogs,
                     &totals::store_failures,   &totals::commits,
                     &totals::flipped_bits,     &totals::jumps,
                     &totals::events,           &totals::repeats,
                     &totals::excused,          &totals::outputs}) {
    this->*field += other.*field;
  }
  slowest = std::max(slowest, other.slowest);
  most_frames = std::max(most_frames, other.most_frames);
}

outcome play(const plan& p, const playing& how) { return player(p, how).play(); }

}  // namespace simulation
