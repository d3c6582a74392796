#pragma once

// Exceptions at a step chosen by number, for tests that let each step of a scenario throw in turn.

#include "support/sanitizer.hpp"

#include <ilm/bytes.hpp>
#include <ilm/codecs/bytes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

// In WebAssembly more of Asio's allocations are new ones: those that start an operation end the
// process where they fail, whatever a library does.
#if !defined(ILM_TEST_HAS_SANITIZER) && !defined(__EMSCRIPTEN__)
#define ILM_TEST_TRAPS_MEMORY 1
#endif

namespace test {

/// The steps of one kind are counted while the trap is set; the one with the number throws.
class trap {
 public:
  enum class kind : std::uint8_t { none, copy, comparison, codec, handler, store, network, memory };

  static void set(kind k, std::uint64_t number) noexcept { self() = trap(k, number); }
  static void clear() noexcept { self() = trap(); }
  /// Whether a step threw since `set`.
  static bool sprang() noexcept { return self().sprang_; }

  static void step(kind k) {
    if (self().is_due(k)) throw std::runtime_error("a planted exception");
  }
  static void step_of_memory(std::size_t size) {
    if (self().measures_) spared().last = size;
    for (std::size_t s : spared().sizes) {
      if (s == size) return;
    }
    if (self().is_due(kind::memory)) throw std::bad_alloc();
  }

  /// Allocations as large as the last one of `function` are no steps.
  template <class Function>
  static void measure(Function function) {
    self().measures_ = true;
    function();
    self().measures_ = false;
    for (std::size_t& s : spared().sizes) {
      if (s == 0 || s == spared().last) {
        s = spared().last;
        return;
      }
    }
  }

  /// Code of the test itself, which never throws.
  class pause {
   public:
    pause() noexcept : before_(self().kind_) { self().kind_ = kind::none; }
    ~pause() { self().kind_ = before_; }
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;

   private:
    kind before_;
  };

 private:
  struct sizes_spared {
    std::array<std::size_t, 4> sizes{};
    std::size_t last = 0;
  };
  static sizes_spared& spared() noexcept {
    static thread_local sizes_spared instance;
    return instance;
  }

  trap() = default;
  trap(kind k, std::uint64_t number) noexcept : kind_(k), left_(number) {}

  static trap& self() noexcept {
    static thread_local trap instance;
    return instance;
  }
  bool is_due(kind k) noexcept {
    if (kind_ != k || left_ == 0 || --left_ != 0) return false;
    return sprang_ = true;
  }

  kind kind_ = kind::none;
  std::uint64_t left_ = 0;
  bool sprang_ = false;
  bool measures_ = false;
};

/// A peer id whose copies, comparisons and codec may throw.
struct trapped_id {
  trapped_id() = default;
  trapped_id(const char* text) : name(text) {}
  trapped_id(const trapped_id& other) : name((trap::step(trap::kind::copy), other.name)) {}
  trapped_id(trapped_id&&) noexcept = default;
  trapped_id& operator=(const trapped_id& other) {
    trap::step(trap::kind::copy);
    name = other.name;
    return *this;
  }
  trapped_id& operator=(trapped_id&&) noexcept = default;

  friend bool operator==(const trapped_id& a, const trapped_id& b) {
    trap::step(trap::kind::comparison);
    return a.name == b.name;
  }
  friend auto operator<=>(const trapped_id& a, const trapped_id& b) {
    trap::step(trap::kind::comparison);
    return a.name <=> b.name;
  }

  std::string name;
};

}  // namespace test

template <>
struct ilm::codec<test::trapped_id> {
  static void encode(const test::trapped_id& id, std::vector<std::byte>& out) {
    test::trap::step(test::trap::kind::codec);
    codec<std::string>::encode(id.name, out);
  }
  static test::trapped_id decode(std::span<const std::byte> in) {
    test::trap::step(test::trap::kind::codec);
    test::trapped_id id;
    id.name = codec<std::string>::decode(in);
    return id;
  }
};
