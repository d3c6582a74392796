#pragma once

// The promises that must hold in a history, checked from outside. The checker sees sends,
// deliveries and events of applications, the content of disks and the frames on the wire, and
// includes no header of ilm/protocol or ilm/runtime. Each of its parts checks one kind of these.

#include "simulation/event_checker.hpp"
#include "simulation/final_checker.hpp"
#include "simulation/frame_checker.hpp"
#include "simulation/message_checker.hpp"
#include "simulation/observations.hpp"
#include "simulation/relay_checker.hpp"
#include "simulation/store_checker.hpp"

#include <ilm/statistics.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace simulation {

class checker {
 public:
  /// `disks` are read whenever a frame or a delivery depends on their content.
  checker(const std::vector<ilm::options>& options, std::vector<const image*> disks)
      : seen_(options, std::move(disks)) {}
  checker(const checker&) = delete;
  checker& operator=(const checker&) = delete;

  const failure& found() const noexcept { return seen_.failure; }
  /// Deliveries have effects, some of which fail.
  void expect_effects() noexcept { seen_.effects = true; }
  void fail(std::string kind, std::string text) { seen_.fail(std::move(kind), std::move(text)); }

  // The inputs, by their kind.

  message_checker& messages() noexcept { return messages_; }
  event_checker& events() noexcept { return events_; }
  store_checker& stores() noexcept { return stores_; }
  frame_checker& frames() noexcept { return frames_; }
  relay_checker& relays() noexcept { return relays_; }

  /// The process at `at` ended: see store_checker::handle_end.
  void handle_end(std::size_t at, const image& before, const image& after);
  /// `staged`: the most messages that may be sent with consumptions at once.
  void check_bounds(std::size_t at, const ilm::messenger_statistics<std::string>& s,
                    std::size_t staged);

  // The end.

  /// The number of messages on the disks.
  std::size_t outstanding() const { return seen_.outstanding(); }
  /// Sends that have not completed.
  std::size_t open_sends() const noexcept { return seen_.open_sends; }
  void finish();
  /// The state of all streams and the events so far, as text.
  std::string summary() const { return seen_.summary(); }
  const observations& seen() const noexcept { return seen_; }

 private:
  observations seen_;
  message_checker messages_{seen_};
  event_checker events_{seen_};
  relay_checker relays_{seen_};
  store_checker stores_{seen_, relays_};
  frame_checker frames_{seen_};
};

}  // namespace simulation
