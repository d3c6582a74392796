#include "enumerate.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace crash_points {

namespace {

constexpr sides each_victim[] = {only(side_a), only(side_b), both};
constexpr std::size_t most_reports = 5;

std::string name_of_victims(sides victims) {
  std::string name;
  for (side s : {side_a, side_b}) {
    if (has(victims, s)) name += name_of(s);
  }
  return name;
}

crash make_crash(sides victims, std::uint64_t point) {
  crash c;
  c.victims = victims;
  c.point = point;
  return c;
}

class enumerator {
 public:
  enumerator(const history& h, const enumeration& how) : history_(h), how_(how) {
    found_.name = h.name;
  }

  summary run() {
    auto start = std::chrono::steady_clock::now();
    found_.points = run_once(plan()).points.size();
    // A planted defect that shows without a crash is found.
    if (how_.defect != sabotage::none && found_.failed != 0) return std::move(found_);
    for (bool late : {false, true}) {
      for (bool silent : {false, true}) {
        if ((late || silent) && !how_.every_way) continue;
        plan way;
        way.late = late;
        way.silent_network = silent;
        // Pairs are many: they are tried with an immediate restart and a network that reports
        // `down`.
        crash_everywhere(way, how_.pairs && !late && !silent);
      }
    }
    found_.took = std::chrono::steady_clock::now() - start;
    return std::move(found_);
  }

 private:
  void crash_everywhere(const plan& way, bool pairs) {
    const std::vector<side> points = run_once(way).points;
    for (std::size_t at = 0; at < points.size(); ++at) {
      for (sides victims : each_victim) {
        plan one = way;
        one.crashes.push_back(make_crash(victims, at + 1));
        const std::vector<side> seen = run_once(one).points;
        ++found_.singles;
        if (pairs && may_be_of_pair(victims, points[at])) crash_again(one, at + 1, seen);
      }
    }
  }

  /// The second crash comes at every point after the first, those of its restart included.
  void crash_again(const plan& one, std::size_t after, const std::vector<side>& points) {
    for (std::size_t at = after; at < points.size(); ++at) {
      for (sides victims : each_victim) {
        if (!may_be_of_pair(victims, points[at])) continue;
        plan two = one;
        two.crashes.push_back(make_crash(victims, at + 1));
        run_once(two);
        ++found_.pairs;
      }
    }
  }

  bool may_be_of_pair(sides victims, side owner) const {
    return how_.any_victim || victims == only(owner);
  }

  outcome run_once(const plan& p) {
    outcome o = run_history(history_, p, how_.defect);
    if (o.crashed != p.crashes.size()) {
      o.failures.push_back("the run does not repeat itself: a crash did not come about");
    }
    if (o.time > how_.slowest || o.frames > how_.most_frames) {
      o.failures.push_back("it took " + std::to_string(o.time.count() / 1000000) + " ms and " +
                           std::to_string(o.frames) + " frames to come to rest");
    }
    found_.most.frames = std::max(found_.most.frames, o.frames);
    found_.most.time = std::max(found_.most.time, o.time);
    if (o.failures.empty()) return o;
    ++found_.failed;
    if (found_.reports.size() < most_reports) {
      std::string report = "--replay \"" + replay_of(history_, p) + "\"";
      for (const std::string& failure : o.failures) report += "\n    " + failure;
      found_.reports.push_back(std::move(report));
    }
    return o;
  }

  const history& history_;
  const enumeration& how_;
  summary found_;
};

}  // namespace

summary enumerate(const history& h, const enumeration& how) { return enumerator(h, how).run(); }

std::string replay_of(const history& h, const plan& p) {
  std::string text = h.name;
  for (const crash& c : p.crashes) {
    text += " " + name_of_victims(c.victims) + ":" + std::to_string(c.point);
  }
  if (p.late) text += " late";
  if (p.silent_network) text += " untold";
  return text;
}

plan read_plan(const std::string& text, std::string& history_name) {
  std::istringstream in(text);
  plan p;
  in >> history_name;
  for (std::string word; in >> word;) {
    if (word == "late" || word == "untold") {
      (word == "late" ? p.late : p.silent_network) = true;
      continue;
    }
    std::size_t colon = word.find(':');
    std::string victims = word.substr(0, colon);
    if (colon == std::string::npos || (victims != "a" && victims != "b" && victims != "ab")) {
      throw std::invalid_argument("\"" + word + "\" is no crash: a:12, b:3 and ab:7 are");
    }
    sides crashing = victims == "ab" ? both : only(victims == "a" ? side_a : side_b);
    p.crashes.push_back(make_crash(crashing, std::stoull(word.substr(colon + 1))));
  }
  return p;
}

}  // namespace crash_points
