#pragma once

// One run: two whole messengers, their stores and the network between them, in simulated time. It
// counts the points that the two pass, and crashes the victims of the plan at its points.

#include "checker.hpp"
#include "crash_plan.hpp"
#include "disk.hpp"

#include <ilm/options.hpp>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <stdexcept>
#include <string>

namespace crash_points {

/// Thrown by the parts of a messenger that has crashed: the operation ends there.
struct has_crashed : std::runtime_error {
  has_crashed() : std::runtime_error("the messenger has crashed") {}
};

/// Thrown out of a script whose expectation is not met in time.
struct is_stuck : std::runtime_error {
  explicit is_stuck(const std::string& expectation) : std::runtime_error(expectation) {}
};

/// The operations of a script. A side crashed by the plan restarts by itself; a step that needs it
/// waits for it.
class world {
 public:
  /// `trace`, if any, gets a line for each thing that happens.
  world(const plan& p, sabotage defect, std::ostream* trace);
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // Before the sides start.

  ilm::options& options(side s);
  disk& store(side s);
  /// The time until an operation of the store has its effect.
  void slow_store(side s, std::chrono::nanoseconds time);
  /// The application of `s` is of this kind.
  void play(side s, role r);
  /// Frames under way when a session ends arrive in the next one.
  void let_frames_be_late();
  /// Both sides have stored a stamp of each other: there is no first contact.
  void use_known_peers();

  // The script's steps. Points count from `begin` on.

  void begin();
  void start(side s);
  /// Sends one message, and waits for nothing.
  void send(side from);
  void send(side from, int count) {
    for (; count > 0; --count) send(from);
  }
  /// Sends until one message is stored, despite crashes.
  void send_surely(side from);
  void wait(std::chrono::nanoseconds time);
  /// Runs until `done`; throws is_stuck if that takes more than a minute.
  void until(const std::function<bool()>& done, const std::string& expectation);
  /// Waits until every send has its result.
  void answered();
  /// Waits until all messages are delivered, recorded and confirmed, and all operations have
  /// completed.
  void converge();
  /// Waits until the two have a session.
  void connected();
  void cut();
  void join();
  /// The application of `s` takes nothing while this is on.
  void decline(side s, bool on);
  /// The store of `s` takes no change while this is on.
  void fill_up(side s, bool on);
  /// Ends the messenger of `s`, if it runs, and starts another on `by`.
  void replace(side s, const disk& by);
  void restart(side s) { replace(s, store(s), false); }
  /// Shuts `s` down, and does not start it again before `start`. If the plan crashes it meanwhile,
  /// it is restarted and shut down again.
  void shut_down(side s, std::chrono::nanoseconds timeout);

  std::size_t consumed(side at) const;

  /// Ends the run: passes no more points, sends once more both ways, and requires convergence.
  outcome finish();
  /// The outcome of a run that ended early.
  outcome so_far() const;

 private:
  void replace(side s, const disk& by, bool another);

  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace crash_points
