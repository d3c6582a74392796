#pragma once

// Shared by the tests of the kits.

#include "support/catch.hpp"

#include <ilm/testing/kit/report.hpp>

#include <string>

namespace test {

/// Fails the test for each broken clause.
template <class Clause>
void fail_if_broken(const ilm::testing::kit_report<Clause>& r) {
  if (r.outcome != ilm::testing::kit_outcome::broken) return;
  FAIL_CHECK(r.text << "\n  found: " << r.found);
}

/// Adds a broken clause to `findings`.
template <class Clause>
void note(const ilm::testing::kit_report<Clause>& r, std::string& findings) {
  if (r.outcome != ilm::testing::kit_outcome::broken) return;
  findings.append(r.text).append("\n  found: ").append(r.found).append("\n");
}

/// For each flaw and the clause that it breaks: the first finding of `try_flaw` must name that.
template <class Table, class Try>
void require_named(const Table& flaws, Try try_flaw) {
  for (auto [what, clause] : flaws) {
    auto v = try_flaw(what);
    INFO("flaw " << static_cast<int>(what) << ", expected: " << text_of(clause) << "\n"
                 << v.findings);
    CHECK_FALSE(v.summary);
    if (!v.summary) CHECK(v.summary.broken.front() == clause);
  }
}

}  // namespace test
