#pragma once

#include <ilm/detail/check_peer_id.hpp>

#include <map>
#include <memory>

namespace ilm::inline v0::detail {

/// Compares and copies the peer ids of one type for code that is compiled once, for all of them.
struct id_type {
  bool (*less)(const void*, const void*);
  std::shared_ptr<const void> (*copy)(const void*);
};

template <class PeerId>
struct id_functions {
  static bool less(const void* a, const void* b) {
    if constexpr (is_ordered_id<PeerId>) {
      return *static_cast<const PeerId*>(a) < *static_cast<const PeerId*>(b);
    } else {
      return assert_ordered_id<PeerId>(), false;
    }
  }
  static std::shared_ptr<const void> copy(const void* id) {
    if constexpr (is_ordered_id<PeerId>) {
      return std::make_shared<const PeerId>(*static_cast<const PeerId*>(id));
    } else {
      return assert_ordered_id<PeerId>(), nullptr;
    }
  }

  static constexpr id_type type{&less, &copy};
};

/// Orders ids of one type, owned (as keys of a map) and borrowed (to look for).
class id_less {
 public:
  using is_transparent = void;

  explicit id_less(const id_type& type) noexcept : less_(type.less) {}

  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return less_(address(a), address(b));
  }

 private:
  static const void* address(const void* id) noexcept { return id; }
  static const void* address(const std::shared_ptr<const void>& id) noexcept { return id.get(); }

  bool (*less_)(const void*, const void*);
};

/// A map from ids of one type, in their order.
template <class Value>
using id_map = std::map<std::shared_ptr<const void>, Value, id_less>;

}  // namespace ilm::inline v0::detail
