#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/execution.hpp>
#include <asio/io_context.hpp>

#include <memory>
#include <new>
#include <utility>

namespace test {

/// The executor of a context, of which the next `refusals` calls find no memory.
class poor_executor {
 public:
  using rich = asio::io_context::executor_type;

  poor_executor(rich inner, std::shared_ptr<int> refusals)
      : inner_(std::move(inner)), refusals_(std::move(refusals)) {}

  poor_executor require(asio::execution::blocking_t::never_t) const { return *this; }
  template <class Property>
  requires asio::can_query<const rich&, Property>::value decltype(auto) query(
      const Property& p) const {
    return asio::query(inner_, p);
  }

  template <class Function>
  void execute(Function&& f) const {
    if (*refusals_ > 0) {
      --*refusals_;
      throw std::bad_alloc();
    }
    asio::require(asio::any_io_executor(inner_), asio::execution::blocking.never)
        .execute(std::forward<Function>(f));
  }

  bool operator==(const poor_executor&) const noexcept = default;

 private:
  rich inner_;
  std::shared_ptr<int> refusals_;
};

}  // namespace test
