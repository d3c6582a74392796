#include "simulation/plan.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>

namespace simulation {
namespace {

constexpr std::array names = {
    "send",       "faults",     "block",    "unblock",     "clog",       "unclog",
    "stall",      "resume",     "cut",      "mend",        "flap",       "late_frames",
    "crash",      "power_cut",  "start",    "shutdown",    "slow_store", "fail_store",
    "fill_disk",  "cure_store", "flip_bit", "repair_disk", "sync_disk",  "application",
    "lose_store", "copy_store", "put_back", "jump",        "replay",     "guess",
    "build",      "interrupt"};
constexpr std::array role_names = {"plain", "relay", "quick relay", "reader"};

/// The weight of each kind of step; a send has 10.
struct profile {
  std::string name;
  unsigned network = 0;
  unsigned crashes = 0;
  unsigned stores = 0;
  unsigned flips = 0;
  unsigned applications = 0;
  unsigned lost = 0;
  unsigned old_copies = 0;
  unsigned power_cuts = 0;
  unsigned jumps = 0;
  unsigned attacks = 0;
  unsigned builds = 0;
  unsigned interrupts = 0;
  unsigned relays = 0;  ///< of ten peers
};

std::vector<profile> make_profiles() {
  std::vector<profile> all(11);
  all[0].name = "calm";
  all[1].name = "network";
  all[2].name = "crashes";
  all[3].name = "stores";
  all[4].name = "lost";
  all[5].name = "old_copies";
  all[6].name = "attackers";
  all[7].name = "relays";
  all[8].name = "memory";
  all[9].name = "everything";
  all[10].name = "effects";
  for (profile& p : all) {
    if (p.name == "calm") continue;
    p.network = p.name == "network" ? 14 : 4;
    p.applications = 2;
    p.jumps = p.name == "network" || p.name == "everything" ? 1 : 0;
    if (p.name != "network") p.crashes = p.name == "crashes" ? 10 : 4;
    if (p.name == "stores" || p.name == "everything") p.stores = p.name == "stores" ? 10 : 4;
    if (p.name == "stores" || p.name == "everything") p.flips = 2;
    if (p.name == "lost" || p.name == "everything") p.lost = 3;
    if (p.name == "old_copies" || p.name == "everything") p.old_copies = p.power_cuts = 4;
    if (p.name == "attackers") p.lost = p.old_copies = 1;
    if (p.name == "attackers") p.attacks = 10;
    if (p.name == "attackers") p.builds = 3;
    if (p.name == "relays" || p.name == "effects") {
      p.stores = p.applications = p.crashes = 6;
      p.flips = p.lost = p.old_copies = p.power_cuts = 1;
      p.interrupts = 3;
      p.relays = 8;
    }
    if (p.name == "memory") {
      p.stores = p.applications = 6;
      p.lost = p.old_copies = p.power_cuts = p.interrupts = 1;
      p.relays = 3;
    }
    if (p.name == "everything") {
      p.attacks = p.builds = p.interrupts = 1;
      p.relays = 3;
    }
  }
  return all;
}

const std::vector<profile>& all_profiles() {
  static const std::vector<profile> all = make_profiles();
  return all;
}

/// Draws a whole plan from one generator, in a fixed order.
class plan_generator {
 public:
  plan_generator(std::uint64_t seed, const profile& p)
      : random_(seed * 0x9e3779b97f4a7c15 + 1), profile_(p) {
    plan_.seed = seed;
    plan_.profile = p.name;
  }

  plan write() {
    if (profile_.name == "calm") return write_calm();
    std::size_t peers = draw(2) == 0 ? 2 : 2 + draw_size(draw(3) == 0 ? 7 : 3);
    std::size_t sizes[] = {1024, 1500, 9000, 1 << 16};
    plan_.frame_size = sizes[draw_size(4)];
    plan_.mixed_builds = plan_.seed % 4 == 3;
    plan_.syncs = profile_.power_cuts == 0 || draw(3) == 0;
    // One limit for all: a message that its peer does not take blocks its stream for good.
    bool small = draw(3) == 0 || profile_.name == "memory";
    largest_ = small ? 100 + draw_size(800) : plan_.frame_size - 69;
    for (std::size_t i = 0; i < peers; ++i) plan_.options.push_back(draw_options());
    if (profile_.relays != 0) draw_roles();
    plan_.effects = profile_.name == "effects";
    // In half of the histories only one peer loses its store or goes back: then the checker knows
    // exactly which evidence the others keep.
    victim_ = draw(2) == 0 ? static_cast<int>(draw(peers)) : -1;
    nanoseconds at{};
    std::size_t steps = 20 + draw_size(80);
    for (std::size_t i = 0; i < steps; ++i) {
      at += nanoseconds(draw(4) == 0 ? draw(400'000'000) : draw(20'000'000));
      add(at);
    }
    std::stable_sort(plan_.steps.begin(), plan_.steps.end(),
                     [](const step& x, const step& y) { return x.at < y.at; });
    return std::move(plan_);
  }

 private:
  std::uint64_t draw(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  std::size_t draw_size(std::size_t bound) { return static_cast<std::size_t>(draw(bound)); }
  double chance() { return static_cast<double>(draw(1001)) / 1000; }
  nanoseconds draw_time(nanoseconds bound) {
    return nanoseconds(draw(static_cast<std::uint64_t>(bound.count()) + 1));
  }

  /// A thousand messages without faults: shows the speed of the simulator.
  plan write_calm() {
    for (int i = 0; i < 2; ++i) {
      ilm::options o;
      o.seed = plan_.seed * 64 + static_cast<std::uint64_t>(i);
      plan_.options.push_back(o);
    }
    step f = blank(action::faults, 0ns);
    f.faults.delay.least = 1ms;
    for (unsigned i = 0; i < 2; ++i) {
      f.a = i;
      f.b = 1 - i;
      plan_.steps.push_back(f);
    }
    for (unsigned i = 0; i < 20; ++i) {
      step s = blank(action::send, i * 10ms);
      s.a = i % 2;
      s.b = 1 - s.a;
      s.count = 50;
      s.size = 1 + draw_size(300);
      plan_.steps.push_back(s);
    }
    return std::move(plan_);
  }

  ilm::options draw_options() {
    ilm::options o;
    o.seed = plan_.seed * 64 + plan_.options.size();
    o.keepalive_interval = 500ms;
    o.keepalive_timeout = 2s;
    o.maximum_message_size = largest_;
    std::size_t most = plan_.frame_size;
    o.window_messages = 1 + draw_size(100);
    o.credit_messages = 1 + draw_size(100);
    o.window_bytes = most + draw_size(20'000);
    o.credit_bytes = most + draw_size(20'000);
    o.page_messages = 1 + draw_size(20);
    o.page_bytes = 1 + draw_size(20'000);
    o.uncommitted_messages = 1 + draw_size(50);
    o.uncommitted_bytes = most + draw_size(20'000);
    o.frame_fill = 1 + draw_size(plan_.frame_size);
    if (draw(4) == 0) o.outbox_limit = 1 + draw(100);
    o.event_limit = 100'000;
    // For a handful of messages, over all peers.
    if (profile_.name == "memory") o.memory_limit = 4 * largest_ + draw_size(4 * largest_);
    return o;
  }

  void draw_roles() {
    for (ilm::options& o : plan_.options) {
      bool produces = draw(10) < profile_.relays;
      plan_.roles.push_back(produces ? static_cast<role>(1 + draw(3)) : role::plain);
      if (draw(2) == 0) o.uncommitted_messages = 1 + draw_size(4);
      // A full outbox must have room for all that goes with one message.
      if (o.outbox_limit != 0) o.outbox_limit += most_outputs;
    }
    plan_.late_start = plan_.peers() > 2 && draw(2) == 0;
    // Where no store goes back, the checker knows the number of outputs of each input.
    bool produces = profile_.name == "relays" || profile_.name == "effects";
    keeps_stores_ = produces && draw(2) == 0;
    if (keeps_stores_) plan_.syncs = true;
  }

  step blank(action kind, nanoseconds at) {
    step s;
    s.kind = kind;
    s.at = at;
    return s;
  }

  /// Draws the kind of a step by the weights of the profile.
  std::size_t draw_kind() {
    const profile& p = profile_;
    std::array weights = {
        10U,          p.network,    p.crashes, p.stores,  p.flips,  p.applications, p.lost,
        p.old_copies, p.power_cuts, p.jumps,   p.attacks, p.builds, p.interrupts};
    if (keeps_stores_) weights[6] = weights[7] = weights[8] = 0;
    unsigned sum = 0;
    for (unsigned w : weights) sum += w;
    std::uint64_t wanted = draw(sum);
    std::size_t kind = 0;
    while (wanted >= weights[kind]) wanted -= weights[kind++];
    return kind;
  }

  void add(nanoseconds at) {
    std::size_t kind = draw_kind();
    step s = blank(action::send, at);
    s.handlers = draw(2) == 0 ? 0 : static_cast<unsigned>(draw(draw(4) == 0 ? 300 : 40));
    s.a = static_cast<unsigned>(draw(plan_.peers()));
    s.b = (s.a + 1 + static_cast<unsigned>(draw(plan_.peers() - 1))) %
          static_cast<unsigned>(plan_.peers());
    switch (kind) {
      case 0:
        return add_send(s);
      case 1:
        return add_network(s);
      case 2:
        return add_crash(s);
      case 3:
        return add_store(s);
      case 4:
        return add_flip(s);
      case 5:
        return add_application(s);
      case 6:
        return add_loss(s);
      case 7:
        return add_old_copy(s);
      case 8:
        return add_power_cut(s);
      case 9:
        s.kind = action::jump;
        s.time = draw(3) == 0 ? draw_time(3h) : draw_time(2min);
        return plan_.steps.push_back(s);
      case 10:
        return add_attack(s);
      case 11:
        s.kind = action::build;
        s.count = draw(builds);
        plan_.steps.push_back(s);
        s.count = 0;
        return add_crash(s);
      default:
        s.kind = action::interrupt;
        plan_.steps.push_back(s);
    }
  }

  void add_send(step s) {
    s.count = draw(5) == 0 ? 1 + draw(120) : 1 + draw(5);
    std::size_t most = plan_.options[s.a].maximum_message_size;
    s.size = draw(6) == 0 ? draw_size(most + 1) : draw_size(40);
    plan_.steps.push_back(s);
  }

  void add_network(step s) {
    switch (draw(10)) {
      case 0:
        return add_pair(s, action::block, action::unblock, 4s);
      case 1:
        return add_pair(s, action::clog, action::unclog, 2s);
      case 2:
        return add_pair(s, action::stall, action::resume, 2s);
      case 3:
      case 4:
        return add_pair(s, action::cut, action::mend, 2s);
      case 5:
        s.kind = action::flap;
        s.count = 1 + draw(6);
        s.time = draw_time(30ms);
        return plan_.steps.push_back(s);
      case 6:
        s.kind = action::late_frames;
        s.flag = draw(2) == 0;
        return plan_.steps.push_back(s);
      default:
        s.kind = action::faults;
        s.faults = draw_faults();
        plan_.steps.push_back(s);
    }
  }

  /// A fault and its end a while later, each as a step of its own.
  void add_pair(step s, action begin, action end, nanoseconds most) {
    s.kind = begin;
    plan_.steps.push_back(s);
    s.kind = end;
    s.at += draw_time(draw(3) == 0 ? most : most / 20);
    plan_.steps.push_back(s);
  }

  ilm::testing::link_faults draw_faults() {
    ilm::testing::link_faults f;
    if (draw(5) == 0) return f;
    f.loss = draw(2) == 0 ? chance() / 2 : 0;
    f.repetition = draw(2) == 0 ? chance() / 2 : 0;
    f.reordering = draw(2) == 0 ? chance() / 2 : 0;
    f.corruption = draw(3) == 0 ? chance() / 4 : 0;
    f.reordering_delay = draw_time(draw(5) == 0 ? nanoseconds(3s) : nanoseconds(100ms));
    f.delay.form = static_cast<ilm::testing::frame_delay::shape>(draw(3));
    f.delay.least = draw_time(50ms);
    f.delay.spread = draw_time(20ms);
    return f;
  }

  void add_crash(step s) {
    if (draw(5) == 0) {
      s.kind = action::shutdown;
      s.time = draw(3) == 0 ? 0ns : draw_time(1s);
      plan_.steps.push_back(s);
    } else {
      s.kind = action::crash;
      s.flag = draw(2) == 0;
      plan_.steps.push_back(s);
    }
    add_start(s);
  }

  /// A restart: at once, soon, or at the next start that comes.
  void add_start(step s) {
    s.kind = action::start;
    s.handlers = 0;
    if (draw(3) != 0) s.at += draw_time(draw(2) == 0 ? 100ms : 2s);
    plan_.steps.push_back(s);
  }

  void add_store(step s) {
    switch (draw(4)) {
      case 0:
        s.kind = action::slow_store;
        s.time = draw_time(draw(4) == 0 ? 500ms : 20ms);
        s.span = draw_time(5ms);
        break;
      case 1:
        s.kind = action::fail_store;
        s.flag = draw(3) != 0;
        break;
      case 2:
        s.kind = action::fill_disk;
        s.count = draw(30);
        break;
      default:
        s.kind = action::cure_store;
    }
    plan_.steps.push_back(s);
  }

  void add_flip(step s) {
    s.flag = draw(2) == 0;
    s.count = draw(20);
    add_pair(s, action::flip_bit, action::repair_disk, 4s);
    // A message in memory is not read from the disk: a restart forces the read.
    if (draw(2) == 0) {
      s.kind = action::crash;
      plan_.steps.push_back(s);
      add_start(s);
    }
  }

  void add_application(step s) {
    s.kind = action::application;
    s.time = draw(2) == 0 ? draw_time(draw(5) == 0 ? 200ms : 5ms) : 0ns;
    s.count = draw(2) == 0 ? 0 : 1 + draw(4);
    if (profile_.relays != 0) s.flag = draw(2) == 0;
    plan_.steps.push_back(s);
  }

  void add_attack(step s) {
    switch (draw(4)) {
      case 0:
        s.kind = action::replay;
        s.count = 1 + draw(5);
        s.time = draw_time(500ms);
        s.size = draw_size(ways_of_replay);
        return plan_.steps.push_back(s);
      case 1:
        return add_steady_replay(s);
      default:
        s.kind = action::guess;
        s.count = 1 + draw(30);
        s.time = draw(2) == 0 ? draw_time(5ms) : draw_time(200ms);
        s.size = draw(2) == 0 ? 0 : 1 + draw_size(kinds_of_guess);
        s.flag = draw(10) == 0;
        plan_.steps.push_back(s);
    }
  }

  /// In both directions, most at the pace and on the path on which each repetition comes before the
  /// answer to the one before it.
  void add_steady_replay(step s) {
    if (draw(2) == 0) {
      step f = s;
      f.kind = action::faults;
      f.faults.delay.least = 100ms;
      plan_.steps.push_back(f);
      std::swap(f.a, f.b);
      plan_.steps.push_back(f);
    }
    s.kind = action::replay;
    s.count = 10 + draw(40);
    s.time = draw(3) != 0 ? nanoseconds(150ms) : 20ms + draw_time(300ms);
    s.span = draw(2) == 0 ? nanoseconds(100ms) : 0ns;
    s.size = draw_size(ways_of_replay);
    s.flag = draw(4) == 0;
    plan_.steps.push_back(s);
    std::swap(s.a, s.b);
    plan_.steps.push_back(s);
  }

  void choose_victim(step& s) {
    if (victim_ < 0) return;
    s.a = static_cast<unsigned>(victim_);
  }

  void add_loss(step s) {
    choose_victim(s);
    s.kind = action::lose_store;
    plan_.steps.push_back(s);
    add_start(s);
  }

  void add_old_copy(step s) {
    choose_victim(s);
    s.count = draw(4);
    s.kind = draw(3) != 0 ? action::copy_store : action::put_back;
    plan_.steps.push_back(s);
    if (s.kind == action::put_back) add_start(s);
  }

  void add_power_cut(step s) {
    choose_victim(s);
    if (draw(3) == 0) {
      s.kind = action::sync_disk;
      return plan_.steps.push_back(s);
    }
    s.kind = action::power_cut;
    s.count = draw(20);
    s.flag = draw(2) == 0;
    plan_.steps.push_back(s);
    add_start(s);
  }

  std::mt19937_64 random_;
  const profile& profile_;
  plan plan_;
  std::size_t largest_ = 0;
  int victim_ = -1;
  bool keeps_stores_ = false;  ///< none is lost or put back
};

}  // namespace

std::string_view name_of(action kind) { return names.at(static_cast<std::size_t>(kind)); }

const std::vector<std::string>& profiles() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> list;
    for (const profile& p : all_profiles()) list.push_back(p.name);
    return list;
  }();
  return all;
}

plan make_plan(std::uint64_t seed, const std::string& name) {
  for (const profile& p : all_profiles()) {
    if (p.name == name) return plan_generator(seed, p).write();
  }
  throw std::invalid_argument("there is no profile " + name);
}

std::string describe(const step& s) {
  std::ostringstream out;
  out << s.at / 1us << " us";
  if (s.handlers != 0) out << " and " << s.handlers << " handlers";
  out << ": " << name_of(s.kind) << ' ' << peer_name(s.a);
  switch (s.kind) {
    case action::send:
      out << " to " << peer_name(s.b) << ", " << s.count << " of up to " << s.size << " bytes";
      break;
    case action::faults:
      out << " to " << peer_name(s.b) << ", loss " << s.faults.loss << " repetition "
          << s.faults.repetition << " reordering " << s.faults.reordering << " corruption "
          << s.faults.corruption << " delay " << s.faults.delay.least / 1us << " us";
      break;
    case action::block:
    case action::unblock:
    case action::clog:
    case action::unclog:
    case action::stall:
    case action::resume:
    case action::cut:
    case action::mend:
    case action::flap:
    case action::flip_bit:
    case action::replay:
    case action::guess:
      out << ' ' << peer_name(s.b);
      break;
    default:
      break;
  }
  if (s.kind != action::send && s.count != 0) out << " count " << s.count;
  if (s.time != 0ns) out << " time " << s.time / 1us << " us";
  if (s.kind == action::replay || s.kind == action::guess) out << " kind " << s.size;
  if (s.flag) out << " flag";
  return out.str();
}

std::string describe(const plan& p) {
  std::ostringstream out;
  out << "seed " << p.seed << ", profile " << p.profile << ", " << p.peers()
      << " peers, frames of up to " << p.frame_size << " bytes"
      << (p.syncs ? "" : ", disks that do not sync") << (p.mixed_builds ? ", mixed builds" : "")
      << (p.late_start ? ", the last starts late" : "");
  for (std::size_t i = 0; i < p.peers(); ++i) {
    if (p.role_of(i) == role::plain) continue;
    out << ", " << peer_name(i) << ": " << role_names.at(static_cast<std::size_t>(p.role_of(i)));
  }
  out << '\n';
  for (const step& s : p.steps) out << "  " << describe(s) << '\n';
  return out.str();
}

}  // namespace simulation
