#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>

#include <optional>

namespace ilm::inline v0::runtime {

/// A strand over the executor, if that is a Context's.
template <class Context>
std::optional<asio::any_io_executor> strand_over(const asio::any_io_executor& e) {
  using concrete = typename Context::executor_type;
  // Before 1.26, Asio does not compare the types in `target`.
#ifndef ASIO_NO_TYPEID
  if (e.target_type() == typeid(concrete)) {
    return asio::any_io_executor(asio::make_strand(*e.template target<concrete>()));
  }
#endif
  return std::nullopt;
}

/// A strand over the executor. One that knows the executor's type is worth it: a post by it takes
/// half of the instructions of a post by a strand that does not.
inline asio::any_io_executor strand_over(const asio::any_io_executor& e) {
  if (auto made = strand_over<asio::io_context>(e)) return *made;
  if (auto made = strand_over<asio::thread_pool>(e)) return *made;
  return asio::any_io_executor(asio::make_strand(e));
}

}  // namespace ilm::inline v0::runtime
