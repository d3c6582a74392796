// Crashes two messengers at every point of short histories, and at every pair of points, and checks
// the results: see `usage`.

#include "enumerate.hpp"
#include "histories.hpp"

#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace crash_points;

constexpr const char* usage = R"(usage: ilm_crash_points [OPTION]...
Tells short histories of two peers, and crashes a, b or both at every point that the two pass:
before and after each operation of a store, before and after a frame is sent, before it is received
and after it was handled, before, while and after the application takes a message.

  --pairs              also every second crash after every first one, each of the side whose point
                       it is
  --any-victim         these also of the other side, and of both: nine times as many
  --every-way          single crashes also with a late restart, and on a network that does not
                       tell when a peer goes
  --history NAME       only this one; may be given again
  --list               name the histories
  --replay "NAME CRASH... [late] [untold]"
                       tell one run step by step; a CRASH is a:12, b:12 or ab:12
  --sabotage WHAT      plant a defect, and fail unless it is found:
                       forgetful, repeating, dropping, lying, apart
)";

struct arguments {
  std::vector<history> histories;
  enumeration how;
  std::string replay;
};

sabotage sabotage_of(const std::string& name) {
  if (name == "forgetful") return sabotage::forgetful;
  if (name == "repeating") return sabotage::repeating;
  if (name == "dropping") return sabotage::dropping;
  if (name == "lying") return sabotage::lying;
  if (name == "apart") return sabotage::apart;
  throw std::invalid_argument("\"" + name + "\" is no sabotage");
}

arguments read(const std::vector<std::string>& words) {
  arguments given;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    auto value = [&] {
      if (++i == words.size()) throw std::invalid_argument(word + " needs a value");
      return words[i];
    };
    if (word == "--pairs") {
      given.how.pairs = true;
    } else if (word == "--any-victim") {
      given.how.any_victim = true;
    } else if (word == "--every-way") {
      given.how.every_way = true;
    } else if (word == "--history") {
      given.histories.push_back(find_history(value()));
    } else if (word == "--replay") {
      given.replay = value();
    } else if (word == "--sabotage") {
      given.how.defect = sabotage_of(value());
    } else if (word == "--list") {
      for (const history& h : all_histories()) {
        std::cout << std::left << std::setw(18) << h.name << h.about << '\n';
      }
      std::exit(EXIT_SUCCESS);
    } else if (word == "--help") {
      std::cout << usage;
      std::exit(EXIT_SUCCESS);
    } else {
      throw std::invalid_argument("unknown option " + word + "\n" + usage);
    }
  }
  if (given.histories.empty()) given.histories = all_histories();
  return given;
}

bool replay(const arguments& given) {
  std::string name;
  plan p = read_plan(given.replay, name);
  outcome o = run_history(find_history(name), p, given.how.defect, &std::cout);
  for (const std::string& failure : o.failures) std::cout << "FAILED: " << failure << '\n';
  std::cout << o.points.size() << " points, " << o.crashed << " crashes\n";
  return o.failures.empty();
}

void row(const summary& t) {
  using milliseconds = std::chrono::duration<double, std::milli>;
  std::cout << std::left << std::setw(18) << t.name << std::right << std::setw(8) << t.points
            << std::setw(9) << t.singles << std::setw(9) << t.pairs << std::setw(9) << t.failed
            << std::setw(8) << t.most.frames << std::setw(8) << std::fixed << std::setprecision(0)
            << milliseconds(t.most.time).count() << std::setw(8) << std::setprecision(1)
            << std::chrono::duration<double>(t.took).count() << std::endl;
}

bool enumerate_all(const arguments& given) {
  std::cout << "history             points  singles    pairs   failed  frames      ms seconds\n";
  summary total;
  total.name = "total";
  for (const history& h : given.histories) {
    summary t = enumerate(h, given.how);
    row(t);
    total.points += t.points;
    total.singles += t.singles;
    total.pairs += t.pairs;
    total.failed += t.failed;
    total.took += t.took;
    total.most.frames = std::max(total.most.frames, t.most.frames);
    total.most.time = std::max(total.most.time, t.most.time);
    for (const std::string& report : t.reports) std::cout << "  " << report << '\n';
  }
  row(total);
  std::cout << "frames, ms: most between the last restart and rest\n";
  if (given.how.defect == sabotage::none) return total.failed == 0;
  std::cout << (total.failed != 0 ? "the planted defect was found\n"
                                  : "THE PLANTED DEFECT WAS NOT FOUND\n");
  return total.failed != 0;
}

}  // namespace

int main(int count, char** values) {
  try {
    arguments given = read(std::vector<std::string>(values + 1, values + count));
    bool good = given.replay.empty() ? enumerate_all(given) : replay(given);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 2;
  }
}
