#pragma once

// How much work something is, in steps: the basic blocks of the code that run. The compiler puts a
// call before each (-fsanitize-coverage=trace-pc), in all that this suite compiles: the library's
// headers, and the standard library's. So a figure is the same on every machine and at every load.

#include <cstdint>

namespace test {

/// The steps of this thread so far.
std::uint64_t steps() noexcept;

/// The steps that `work()` takes.
template <class Work>
double steps_of(Work work) {
  std::uint64_t before = steps();
  work();
  return static_cast<double>(steps() - before);
}

}  // namespace test
