#pragma once

// What the tests of the kits share.

#include "support/catch.hpp"

#include <ilm/testing/kit/report.hpp>

namespace test {

/// Fails the test for each broken clause.
template <class Clause>
void tell(const ilm::testing::kit_report<Clause>& r) {
  if (r.outcome != ilm::testing::kit_outcome::broken) return;
  FAIL_CHECK(r.text << "\n  found: " << r.found);
}

}  // namespace test
