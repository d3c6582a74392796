#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/execution.hpp>

#include <type_traits>
#include <typeinfo>
#include <utility>

namespace ilm::inline v0::runtime {

class engine;

/// The strand of an engine, for the coroutines that call the application: by it an operation that
/// is awaited inside such a call is known, and one that would wait for the call is refused.
class delivery_executor {
 public:
  delivery_executor(asio::any_io_executor inner, const engine* of) noexcept
      : inner_(std::move(inner)), engine_(of) {}

  /// The engine whose delivery executor this is; null if it is another executor.
  static const engine* owner_of(const asio::any_io_executor& e) noexcept {
    // Before 1.26, Asio does not compare the types in `target`.
#ifdef ASIO_NO_TYPEID
    static_cast<void>(e);
    return nullptr;
#else
    // A strand that a handler makes over its executor is inside its call, too.
    using strand = asio::strand<asio::any_io_executor>;
    if (e.target_type() == typeid(strand)) {
      return owner_of(e.target<strand>()->get_inner_executor());
    }
    if (e.target_type() != typeid(delivery_executor)) return nullptr;
    return e.target<delivery_executor>()->engine_;
#endif
  }

  template <class Property>
  requires asio::can_require<const asio::any_io_executor&, Property>::value delivery_executor
  require(const Property& p)
  const { return {asio::require(inner_, p), engine_}; }
  template <class Property>
  requires asio::can_prefer<const asio::any_io_executor&, Property>::value delivery_executor
  prefer(const Property& p)
  const { return {asio::prefer(inner_, p), engine_}; }
  template <class Property>
  requires asio::can_query<const asio::any_io_executor&, Property>::value auto query(
      const Property& p) const
      -> decltype(asio::query(std::declval<const asio::any_io_executor&>(), p)) {
    return asio::query(inner_, p);
  }

  template <class Function>
  void execute(Function&& f) const {
    inner_.execute(std::forward<Function>(f));
  }

  friend bool operator==(const delivery_executor& a, const delivery_executor& b) noexcept {
    return a.inner_ == b.inner_ && a.engine_ == b.engine_;
  }
  friend bool operator!=(const delivery_executor& a, const delivery_executor& b) noexcept {
    return !(a == b);
  }

 private:
  asio::any_io_executor inner_;
  const engine* engine_;
};

}  // namespace ilm::inline v0::runtime
