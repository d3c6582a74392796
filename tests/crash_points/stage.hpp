#pragma once

// The world of one run: two whole messengers, their stores, the network between them, in simulated
// time. It counts the points that the two pass, and crashes whom the plan says where it says.

#include "disk.hpp"
#include "judge.hpp"
#include "words.hpp"

#include <ilm/options.hpp>

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <stdexcept>
#include <string>

namespace crash_points {

/// Thrown out of an operation of a messenger that has crashed: nothing after it happens.
struct has_crashed : std::runtime_error {
  has_crashed() : std::runtime_error("the messenger has crashed") {}
};

/// Thrown out of a script that waits for what does not happen.
struct is_stuck : std::runtime_error {
  explicit is_stuck(const std::string& what) : std::runtime_error(what) {}
};

/// What a script does with the two sides. A side that the plan has crashed restarts by itself; a
/// step that needs it waits for it.
class stage {
 public:
  /// `trace`, if any, gets a line for each thing that happens.
  stage(const plan& p, sabotage defect, std::ostream* trace);
  ~stage();
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  // Before the sides start.

  ilm::options& options(side s);
  disk& store(side s);
  /// How long an operation of the store takes before it has its effect.
  void slow_store(side s, std::chrono::nanoseconds time);
  /// Frames under way when a session ends arrive in the next one.
  void let_frames_be_late();
  /// Both have met before: spares a history the first contact.
  void acquaint();

  // The script's steps. Points count from `begin` on.

  void begin();
  void start(side s);
  /// Sends one message, and waits for nothing.
  void send(side from);
  void send(side from, int count) {
    for (; count > 0; --count) send(from);
  }
  /// Sends until one is stored, whatever crashes interrupt.
  void send_surely(side from);
  void wait(std::chrono::nanoseconds time);
  /// Runs until `done`; throws is_stuck if that takes more than a minute.
  void until(const std::function<bool()>& done, const std::string& what);
  /// Until every send is answered.
  void answered();
  /// Until all is delivered, recorded and confirmed, and all who wait have their answers.
  void settle();
  /// Until the two have a session, for the first time or again.
  void connected();
  void cut();
  void join();
  /// The application of `s` takes nothing while this is on.
  void turn_down(side s, bool on);
  /// The store of `s` takes no change while this is on.
  void fill_up(side s, bool on);
  /// Ends the messenger of `s`, if it runs, and starts another on `by`.
  void replace(side s, const disk& by);
  void restart(side s) { replace(s, store(s), false); }
  /// Shuts `s` down, and does not start it again before `start`. If the plan crashes it meanwhile,
  /// it is restarted and shut down again.
  void shut_down(side s, std::chrono::nanoseconds timeout);

  std::size_t taken(side at) const;

  /// The run is over: no more points; both go on as they should; all must come to rest.
  outcome finish();
  /// What is known of a run that did not come so far.
  outcome so_far() const;

 private:
  void replace(side s, const disk& by, bool another);

  struct body;
  std::unique_ptr<body> body_;
};

}  // namespace crash_points
