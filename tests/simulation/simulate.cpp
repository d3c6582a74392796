// ilm_simulate: plays any number of random histories, and shows a short history for each failure.

#include "simulation/play.hpp"
#include "simulation/shrink.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using simulation::totals;
using wall_clock = std::chrono::steady_clock;

constexpr const char* usage =
    R"(Plays random histories of whole messengers in simulated time, and checks them from outside.

  ilm_simulate [options]

  --seeds A..B      the seeds to play, or one (1..1000)
  --minutes M       go on with further seeds until M minutes have passed
  --profile NAME    the kind of trouble; may be repeated; all of them by default
  --replay SEED     play one seed of one profile twice, compare, and print the hash of its trace
  --trace           with --replay: print what happens
  --shrink          with --replay: leave out of a failing history what it does not need
  --jobs N          threads (1)
  --keep-going      do not stop at the tenth failure
  --help            this text

Profiles:)";

struct simulate_options {
  std::uint64_t first = 1;
  std::uint64_t last = 1000;
  double minutes = 0;
  std::vector<std::string> profiles;
  std::optional<std::uint64_t> replay;
  bool trace = false;
  bool shrink = false;
  bool keep_going = false;
  unsigned jobs = 1;
};

void print_usage(std::ostream& out) {
  out << usage;
  for (const std::string& p : simulation::profiles()) out << ' ' << p;
  out << '\n';
}

simulate_options read_arguments(const std::vector<std::string>& arguments) {
  simulate_options w;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    auto value = [&]() -> const std::string& {
      if (++i == arguments.size()) throw std::invalid_argument(name + " needs a value");
      return arguments[i];
    };
    if (name == "--seeds") {
      const std::string& range = value();
      auto dots = range.find("..");
      w.first = std::stoull(range);
      w.last = dots == std::string::npos ? w.first : std::stoull(range.substr(dots + 2));
    } else if (name == "--minutes") {
      w.minutes = std::stod(value());
    } else if (name == "--profile") {
      w.profiles.push_back(value());
      const auto& all = simulation::profiles();
      if (std::find(all.begin(), all.end(), w.profiles.back()) == all.end()) {
        throw std::invalid_argument("there is no profile " + w.profiles.back());
      }
    } else if (name == "--replay") {
      w.replay = std::stoull(value());
    } else if (name == "--jobs") {
      w.jobs = static_cast<unsigned>(std::clamp(std::stoul(value()), 1UL, 256UL));
    } else if (name == "--trace") {
      w.trace = true;
    } else if (name == "--shrink") {
      w.shrink = true;
    } else if (name == "--keep-going") {
      w.keep_going = true;
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  if (w.profiles.empty()) w.profiles = simulation::profiles();
  return w;
}

std::string replay_command(std::uint64_t seed, const std::string& profile) {
  return "ilm_simulate --profile " + profile + " --replay " + std::to_string(seed);
}

int replay(const simulate_options& w) {
  int result = 0;
  for (const std::string& profile : w.profiles) {
    simulation::plan p = simulation::make_plan(*w.replay, profile);
    simulation::playing how;
    how.trace = w.trace;
    if (w.shrink) {
      simulation::shrunk s = simulation::shrink(p, {});
      std::cout << "shrunk to " << s.plan.steps.size() << " steps in " << s.plays << " plays\n";
      p = s.plan;
    }
    simulation::outcome first = simulation::play(p, how);
    simulation::outcome second = simulation::play(p);
    std::cout << describe(p);
    for (const std::string& line : first.trace) std::cout << line << '\n';
    std::cout << "hash of the trace: " << std::hex << first.hash << std::dec << '\n';
    if (first.hash != second.hash) std::cout << "A SECOND TIME IT WENT ANOTHER WAY\n";
    if (first.failure) std::cout << first.failure.kind << ": " << first.failure.text << '\n';
    if (first.failure || first.hash != second.hash) result = 1;
  }
  return result;
}

/// Plays seeds in several threads, and sums up the results.
class campaign {
 public:
  explicit campaign(const simulate_options& w) : options_(w), totals_(w.profiles.size()) {}

  int run() {
    next_ = options_.first * options_.profiles.size();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options_.jobs; ++i) threads.emplace_back([this] { play_seeds(); });
    play_seeds();
    for (std::thread& t : threads) t.join();
    if (progress_shown_) std::cerr << '\n';
    print_table();
    return failures_.empty() ? 0 : 1;
  }

 private:
  struct failed {
    std::string profile;
    std::uint64_t seed;
    simulation::failure failure;
  };

  double seconds() const {
    return std::chrono::duration<double>(wall_clock::now() - began_).count();
  }

  bool goes_on(std::uint64_t seed) {
    if (options_.minutes > 0 ? seconds() > options_.minutes * 60 : seed > options_.last)
      return false;
    std::lock_guard lock(mutex_);
    return options_.keep_going || failures_.size() < 10;
  }

  void play_seeds() {
    std::size_t kinds = options_.profiles.size();
    for (;;) {
      std::uint64_t turn = next_++;
      std::uint64_t seed = turn / kinds;
      if (!goes_on(seed)) return;
      const std::string& profile = options_.profiles[turn % kinds];
      auto begin = wall_clock::now();
      simulation::outcome o = simulation::play(simulation::make_plan(seed, profile));
      double spent = std::chrono::duration<double>(wall_clock::now() - begin).count();
      if (o.failure) report(seed, profile, o.failure);
      std::lock_guard lock(mutex_);
      totals_[turn % kinds].sum.add(o.totals);
      totals_[turn % kinds].seconds += spent;
      if (o.failure) ++totals_[turn % kinds].failures;
      show_progress(seed);
    }
  }

  void report(std::uint64_t seed, const std::string& profile, const simulation::failure& f) {
    {
      std::lock_guard lock(mutex_);
      failures_.push_back({profile, seed, f});
      if (failures_.size() > 3) {
        std::cout << "\nFAILED: " << f.kind << ": " << replay_command(seed, profile) << std::endl;
        return;
      }
    }
    simulation::shrunk s = simulation::shrink(simulation::make_plan(seed, profile), {});
    std::lock_guard lock(mutex_);
    std::cout << "\nFAILED: " << f.kind << ": " << f.text
              << "\nreplay it: " << replay_command(seed, profile)
              << "\na short history that fails so:\n"
              << describe(s.plan) << s.outcome.failure.text << std::endl;
  }

  void show_progress(std::uint64_t seed) {
    double now = seconds();
    if (now < shown_at_ + 1) return;
    shown_at_ = now;
    progress_shown_ = true;
    totals all;
    for (const total& t : totals_) all.add(t.sum);
    std::cerr << "\rseed " << seed << ": " << all.histories << " histories, " << all.messages
              << " messages, " << all.crashes << " crashes, " << failures_.size() << " failures, "
              << static_cast<std::uint64_t>(now) << " s " << std::flush;
  }

  void print_table() const {
    totals all;
    std::cout << std::left << std::setw(12) << "profile" << std::right;
    for (const char* column : {"histories", "messages", "frames", "crashes", "lost", "rollbacks",
                               "failures", "hist./s", "msg./s", "slowest", "frames/msg"}) {
      std::cout << std::setw(11) << column;
    }
    std::cout << '\n';
    for (std::size_t i = 0; i < totals_.size(); ++i) {
      const total& t = totals_[i];
      all.add(t.sum);
      double time = std::max(t.seconds, 1e-9);
      std::cout << std::left << std::setw(12) << options_.profiles[i] << std::right << std::setw(11)
                << t.sum.histories << std::setw(11) << t.sum.messages << std::setw(11)
                << t.sum.frames << std::setw(11) << t.sum.crashes + t.sum.power_cuts
                << std::setw(11) << t.sum.stores_lost << std::setw(11) << t.sum.rollbacks
                << std::setw(11) << t.failures << std::fixed << std::setprecision(0)
                << std::setw(11) << static_cast<double>(t.sum.histories) / time << std::setw(11)
                << static_cast<double>(t.sum.messages) / time << std::setprecision(1)
                << std::setw(10) << std::chrono::duration<double>(t.sum.slowest).count() << 's'
                << std::setw(11) << t.sum.most_frames << '\n';
    }
    std::cout << all.histories << " histories in " << seconds() << " s: " << all.messages
              << " messages, of which " << all.outputs
              << " were sent with the consumption of another, " << all.commits << " commits, "
              << all.frames << " frames (" << all.frames_lost << " lost, " << all.frames_repeated
              << " repeated, " << all.frames_reordered << " reordered, " << all.frames_corrupted
              << " corrupted, " << all.frames_injected << " repeated late or guessed), "
              << all.crashes << " crashes, " << all.power_cuts << " power cuts, " << all.shutdowns
              << " shutdowns, " << all.stores_lost << " stores lost, " << all.rollbacks
              << " put back, " << all.store_failures << " failures of stores, " << all.flipped_bits
              << " flipped bits, " << all.cuts << " cuts, " << all.partitions << " partitions, "
              << all.clogs << " clogs, " << all.jumps << " jumps of the clock, " << all.events
              << " events, " << all.repeats << " repetitions in the window or named, "
              << all.excused << " of which nobody could know, " << failures_.size()
              << " failures\n";
    for (const failed& f : failures_) {
      std::cout << "FAILED: " << f.failure.kind << ": " << replay_command(f.seed, f.profile)
                << '\n';
    }
  }

  struct total {
    totals sum;
    double seconds = 0;
    std::uint64_t failures = 0;
  };

  const simulate_options& options_;
  std::atomic<std::uint64_t> next_{0};
  wall_clock::time_point began_ = wall_clock::now();
  std::mutex mutex_;
  std::vector<total> totals_;
  std::vector<failed> failures_;
  double shown_at_ = 0;
  bool progress_shown_ = false;
};

}  // namespace

int main(int count, char** values) {
  try {
    std::vector<std::string> arguments(values + 1, values + count);
    if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
      print_usage(std::cout);
      return 0;
    }
    simulate_options w = read_arguments(arguments);
    return w.replay ? replay(w) : campaign(w).run();
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    print_usage(std::cerr);
    return 2;
  }
}
