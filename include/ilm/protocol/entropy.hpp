#pragma once

#include <cstdint>

namespace ilm::inline v0::protocol {

/// Random numbers that nobody can guess, and that no copy of this process or machine draws again:
/// nonces, stamps and salts. Not from a generator in memory, which a snapshot copies.
class entropy {
 public:
  virtual std::uint64_t next() = 0;

 protected:
  entropy() = default;
  entropy(const entropy&) = default;
  entropy& operator=(const entropy&) = default;
  ~entropy() = default;
};

/// Never 0, which stands for "none" wherever a random number is a name.
inline std::uint64_t next_nonzero(entropy& from) {
  std::uint64_t value = from.next();
  return value != 0 ? value : 1;
}

}  // namespace ilm::protocol
