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

  tally run() {
    auto start = std::chrono::steady_clock::now();
    found_.points = tell_once(plan()).points.size();
    for (bool late : {false, true}) {
      for (bool untold : {false, true}) {
        if ((late || untold) && !how_.every_way) continue;
        plan way;
        way.late = late;
        way.untold = untold;
        // Pairs are many: they restart at once and are told.
        crash_everywhere(way, how_.pairs && !late && !untold);
      }
    }
    found_.took = std::chrono::steady_clock::now() - start;
    return std::move(found_);
  }

 private:
  void crash_everywhere(const plan& way, bool pairs) {
    const std::vector<side> points = tell_once(way).points;
    for (std::size_t at = 0; at < points.size(); ++at) {
      for (sides victims : each_victim) {
        plan one = way;
        one.crashes.push_back(make_crash(victims, at + 1));
        const std::vector<side> seen = tell_once(one).points;
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
        tell_once(two);
        ++found_.pairs;
      }
    }
  }

  bool may_be_of_pair(sides victims, side whose_point) const {
    return how_.any_victim || victims == only(whose_point);
  }

  outcome tell_once(const plan& p) {
    outcome o = tell(history_, p, how_.defect);
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
      std::string report = "--replay \"" + words_of(history_, p) + "\"";
      for (const std::string& what : o.failures) report += "\n    " + what;
      found_.reports.push_back(std::move(report));
    }
    return o;
  }

  const history& history_;
  const enumeration& how_;
  tally found_;
};

}  // namespace

tally enumerate(const history& h, const enumeration& how) { return enumerator(h, how).run(); }

std::string words_of(const history& h, const plan& p) {
  std::string words = h.name;
  for (const crash& c : p.crashes) {
    words += " " + name_of_victims(c.victims) + ":" + std::to_string(c.point);
  }
  if (p.late) words += " late";
  if (p.untold) words += " untold";
  return words;
}

plan read_plan(const std::string& words, std::string& history_name) {
  std::istringstream in(words);
  plan p;
  in >> history_name;
  for (std::string word; in >> word;) {
    if (word == "late" || word == "untold") {
      (word == "late" ? p.late : p.untold) = true;
      continue;
    }
    std::size_t colon = word.find(':');
    std::string victims = word.substr(0, colon);
    if (colon == std::string::npos || (victims != "a" && victims != "b" && victims != "ab")) {
      throw std::invalid_argument("\"" + word + "\" is no crash: a:12, b:3 and ab:7 are");
    }
    sides who = victims == "ab" ? both : only(victims == "a" ? side_a : side_b);
    p.crashes.push_back(make_crash(who, std::stoull(word.substr(colon + 1))));
  }
  return p;
}

}  // namespace crash_points
