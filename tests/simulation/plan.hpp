#pragma once

// The steps of a history, drawn from its seed before the history starts: single steps can be left
// out, and the others keep their meaning.

#include <ilm/options.hpp>
#include <ilm/testing/simulated_network.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace simulation {

using namespace std::chrono_literals;
using nanoseconds = std::chrono::nanoseconds;

enum class action : std::uint8_t {
  send,    ///< a sends `count` messages of up to `size` bytes to b
  faults,  ///< the frames from a to b meet `faults`
  block,   ///< a partition in one direction
  unblock,
  clog,  ///< frames from a to b are held back
  unclog,
  stall,  ///< sends from a to b wait
  resume,
  cut,  ///< the session of a and b ends
  mend,
  flap,         ///< it ends and begins `count` times, `time` apart
  late_frames,  ///< whether frames outlive their session
  crash,        ///< a's process ends; a commit under way lands if `flag`
  power_cut,    ///< a's machine stops: the first `count` unsynced commits are kept
  start,        ///< a starts if it does not run
  shutdown,     ///< a shuts down within `time`, then ends
  slow_store,   ///< a's commits take `time`, then `span` to answer, and reads `time`
  fail_store,   ///< a's commits, if `flag`, or reads fail
  fill_disk,    ///< a's disk takes `count` more messages
  cure_store,   ///< a's store works, at once
  flip_bit,     ///< of a stored message from or to b: of the inbox if `flag`, the `count`th
  repair_disk,
  sync_disk,
  application,  ///< a's takes `time` for a message, and fails every `count`th offer (1: all); if
                ///< `flag`, its readers are cancelled again and again
  lose_store,   ///< a crashes and its store is gone
  copy_store,   ///< a copy of a's store is made
  put_back,     ///< a crashes and the `count`th copy takes the place of its store
  jump,         ///< the clock jumps by `time`
  /// The network hands `count` old frames of the handshake from a to b over again, `time` apart,
  /// the `size`th way; and goes on in the calm, with delays of `span`, if `flag`.
  replay,
  guess,      ///< somebody who sees no frame of a and b sends such in a's name to b, as above
  build,      ///< a's next starts are of the `count`th build
  interrupt,  ///< the readers of a's inbox are cancelled, wherever they are, and others begin
};

std::string_view name_of(action kind);

/// The ways of an action::replay, and the kinds of frames of an action::guess.
inline constexpr std::size_t ways_of_replay = 4;
inline constexpr std::size_t kinds_of_guess = 9;

/// Versions and features of the builds of an action::build: 0 is any.
inline constexpr std::uint64_t builds = 5;

struct step {
  nanoseconds at{};       ///< since the beginning
  unsigned handlers = 0;  ///< and then after so many more handlers
  action kind{};
  unsigned a = 0;
  unsigned b = 0;
  std::uint64_t count = 0;
  std::size_t size = 0;
  nanoseconds time{};
  nanoseconds span{};
  bool flag = false;
  ilm::testing::link_faults faults;
};

/// The kind of an application: some send messages with the consumption of those that they get.
enum class role : std::uint8_t {
  plain,        ///< consumes, and sends nothing
  relay,        ///< a coroutine
  quick_relay,  ///< a function that returns at once
  reader,       ///< the readers of an inbox
};

/// The most messages that an application sends with the consumption of one.
inline constexpr std::uint64_t most_outputs = 3;

struct plan {
  std::uint64_t seed = 0;
  std::string profile;
  std::size_t frame_size = 1 << 16;
  bool syncs = true;                  ///< whether disks keep commits at a power cut
  bool mixed_builds = false;          ///< whether each start is of another build
  std::vector<ilm::options> options;  ///< one for each peer
  std::vector<role> roles;            ///< of the first peers; the others are plain
  std::vector<step> steps;            ///< in order of time
  /// Whether the last peer starts late: the others send to it before they have met it.
  bool late_start = false;
  /// Whether applications that send with a consumption have effects with it, some of which fail.
  bool effects = false;

  std::size_t peers() const noexcept { return options.size(); }
  role role_of(std::size_t peer) const { return peer < roles.size() ? roles[peer] : role::plain; }
};

/// The names of the profiles: each selects kinds of faults.
const std::vector<std::string>& profiles();

/// Draws a plan. Throws std::invalid_argument for an unknown profile.
plan make_plan(std::uint64_t seed, const std::string& profile);

/// One line for a step, and all lines of a plan.
std::string describe(const step& s);
std::string describe(const plan& p);

/// The name of a peer: "a", "b", ...
inline std::string peer_name(std::size_t number) {
  return std::string(1, static_cast<char>('a' + number));
}

/// The number of the peer of this name.
inline std::size_t number_of(const std::string& peer) {
  return static_cast<std::size_t>(peer[0] - 'a');
}

}  // namespace simulation
