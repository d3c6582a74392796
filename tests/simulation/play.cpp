#include "simulation/play.hpp"

#include "simulation/player.hpp"

namespace simulation {

void tally::add(const tally& other) {
  for (auto field : {&tally::histories,
                     &tally::messages,
                     &tally::frames,
                     &tally::frames_lost,
                     &tally::frames_repeated,
                     &tally::frames_reordered,
                     &tally::frames_corrupted,
                     &tally::crashes,
                     &tally::power_cuts,
                     &tally::shutdowns,
                     &tally::stores_lost,
                     &tally::rollbacks,
                     &tally::cuts,
                     &tally::partitions,
                     &tally::clogs,
                     &tally::store_failures,
                     &tally::commits,
                     &tally::flipped_bits,
                     &tally::jumps,
                     &tally::events,
                     &tally::repeats,
                     &tally::excused}) {
    this->*field += other.*field;
  }
  slowest = std::max(slowest, other.slowest);
  most_frames = std::max(most_frames, other.most_frames);
}

outcome play(const plan& p, const playing& how) { return player(p, how).play(); }

}  // namespace simulation
