#include "simulation/shrink.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace simulation {
namespace {

class shrinker {
 public:
  shrinker(const plan& failing, const playing& how, std::size_t limit) : how_(how), limit_(limit) {
    best_.plan = failing;
    best_.outcome = simulation::play(failing, how);
    ++best_.plays;
  }

  shrunk run() {
    if (!best_.outcome.failure) return std::move(best_);
    for (bool better = true; better && best_.plays < limit_;) {
      better = drop_steps();
      better = simplify() || better;
      better = drop_peer() || better;
    }
    return std::move(best_);
  }

 private:
  /// Keeps a plan if it fails in the same way.
  bool attempt(plan p) {
    if (best_.plays >= limit_) return false;
    ++best_.plays;
    outcome o = simulation::play(p, how_);
    if (o.failure.kind != best_.outcome.failure.kind) return false;
    best_.plan = std::move(p);
    best_.outcome = std::move(o);
    return true;
  }

  /// Leaves out runs of steps: half of them, then a quarter, down to single ones (after Zeller and
  /// Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
  bool drop_steps() {
    bool any = false;
    for (std::size_t run = std::max<std::size_t>(best_.plan.steps.size() / 2, 1);; run /= 2) {
      for (std::size_t from = 0; from < best_.plan.steps.size();) {
        plan p = best_.plan;
        auto first = p.steps.begin() + static_cast<std::ptrdiff_t>(from);
        auto last =
            p.steps.begin() + static_cast<std::ptrdiff_t>(std::min(from + run, p.steps.size()));
        p.steps.erase(first, last);
        if (attempt(std::move(p))) {
          any = true;
        } else {
          from += run;
        }
      }
      if (run <= 1) return any;
    }
  }

  bool change(std::size_t i, void (*simpler)(step&)) {
    plan p = best_.plan;
    step& s = p.steps[i];
    step before = s;
    simpler(s);
    bool same = s.count == before.count && s.size == before.size && s.handlers == before.handlers &&
                s.time == before.time && s.span == before.span && s.flag == before.flag &&
                s.faults.loss == before.faults.loss &&
                s.faults.repetition == before.faults.repetition &&
                s.faults.reordering == before.faults.reordering &&
                s.faults.corruption == before.faults.corruption &&
                s.faults.delay.least == before.faults.delay.least &&
                s.faults.delay.spread == before.faults.delay.spread;
    return !same && attempt(std::move(p));
  }

  /// Fewer and smaller messages, then milder faults.
  bool simplify() {
    bool any = false;
    for (std::size_t i = 0; i < best_.plan.steps.size(); ++i) {
      auto counted = [&] {
        action k = best_.plan.steps[i].kind;
        return k == action::send || k == action::replay || k == action::guess;
      };
      while (counted() &&
             change(i, [](step& s) { s.count = std::max<std::uint64_t>(s.count / 2, 1); })) {
        any = true;
      }
      any = change(i, [](step& s) { s.size = s.kind == action::send ? 8 : s.size; }) || any;
      any = change(i, [](step& s) { s.handlers = 0; }) || any;
      any = change(i,
                   [](step& s) {
                     if (s.kind == action::replay || s.kind == action::guess) s.flag = false;
                   }) ||
            any;
      any = change(i, [](step& s) { s.time = s.span = 0ns; }) || any;
      any = change(i, [](step& s) { s.faults.corruption = 0; }) || any;
      any = change(i, [](step& s) { s.faults.repetition = 0; }) || any;
      any = change(i, [](step& s) { s.faults.reordering = 0; }) || any;
      any = change(i, [](step& s) { s.faults.loss = 0; }) || any;
      any = change(i, [](step& s) { s.faults.delay = {}; }) || any;
    }
    return any;
  }

  /// Leaves out the last peer if no step needs it.
  bool drop_peer() {
    std::size_t last = best_.plan.peers() - 1;
    bool used = last < 2 || std::any_of(best_.plan.steps.begin(), best_.plan.steps.end(),
                                        [&](const step& s) { return s.a == last || s.b == last; });
    if (used) return false;
    plan p = best_.plan;
    p.options.pop_back();
    return attempt(std::move(p));
  }

  playing how_;
  std::size_t limit_;
  shrunk best_;
};

}  // namespace

shrunk shrink(const plan& failing, const playing& how, std::size_t limit) {
  return shrinker(failing, how, limit).run();
}

}  // namespace simulation
