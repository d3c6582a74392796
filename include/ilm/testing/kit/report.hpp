#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

/// The outcome of a clause: kept as far as the kit can see, broken, or not tried.
enum class kit_outcome : std::uint8_t { kept, broken, skipped };

/// A kit's report, given once for each clause of the contract.
template <class Clause>
struct kit_report {
  kit_report(Clause c, kit_outcome o, std::string_view says, std::string what)
      : clause(c), outcome(o), text(says), found(std::move(what)) {}

  Clause clause;
  kit_outcome outcome;
  /// The clause in words.
  std::string_view text;
  /// The operation and its result, if the clause is broken; the reason, if it was skipped.
  std::string found;
};

/// The outcome of all clauses. True if none is broken.
template <class Clause>
struct kit_summary {
  std::size_t kept = 0;
  std::size_t skipped = 0;
  /// In the order in which they were found: the first is the most telling, others may follow from
  /// it.
  std::vector<Clause> broken;

  explicit operator bool() const noexcept { return broken.empty(); }
};

namespace kit {

/// Thrown by a check: a broken clause and the finding.
template <class Clause>
struct violation {
  Clause clause;
  std::string found;
};

/// Thrown by a check that cannot go on, with the reason.
struct cannot_try {
  std::string why;
};

/// Reports each clause once: a broken clause at once, the others in `finish`, for a later check may
/// still break an earlier clause.
template <class Clause>
class clause_results {
 public:
  using report_handler = std::function<void(const kit_report<Clause>&)>;

  explicit clause_results(report_handler handler) : report_(std::move(handler)) {}

  // By reference: g++ 12 warns of moves of strings that it has seen the length of.
  void broken(Clause c, const std::string& found) {
    if (!broken_.insert(c).second) return;
    summary_.broken.push_back(c);
    report(c, kit_outcome::broken, found);
  }
  void skipped(Clause c, std::string why) { skipped_.emplace(c, std::move(why)); }
  void kept(Clause c) { kept_.insert(c); }

  const kit_summary<Clause>& summary() const noexcept { return summary_; }

  kit_summary<Clause> finish() {
    for (const auto& [c, why] : skipped_) {
      if (broken_.contains(c)) continue;
      ++summary_.skipped;
      report(c, kit_outcome::skipped, why);
    }
    for (Clause c : kept_) {
      if (broken_.contains(c) || skipped_.contains(c)) continue;
      ++summary_.kept;
      report(c, kit_outcome::kept, {});
    }
    return std::move(summary_);
  }

 private:
  void report(Clause c, kit_outcome outcome, std::string found) {
    if (report_) report_(kit_report<Clause>(c, outcome, text_of(c), std::move(found)));
  }

  report_handler report_;
  std::set<Clause> broken_, kept_;
  std::map<Clause, std::string> skipped_;
  kit_summary<Clause> summary_;
};

}  // namespace kit
}  // namespace ilm::inline v0::testing
