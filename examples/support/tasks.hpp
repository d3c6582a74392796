#pragma once

#include "program.hpp"

#include <ilm/error.hpp>
#include <ilm/event.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace example {

/// The coroutines of a program. The first that fails ends it; a shutdown of the messenger ends them
/// without a failure.
class tasks {
 public:
  explicit tasks(asio::io_context& context) : context_(context) {}

  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(context_, std::move(work), [this](std::exception_ptr failed) {
      try {
        if (failed) std::rethrow_exception(failed);
      } catch (const std::system_error& e) {
        if (e.code() != ilm::error::shut_down) fail(failed);
      } catch (...) {
        fail(failed);
      }
    });
  }
  void fail(std::exception_ptr why) {
    if (!failed_) failed_ = std::move(why);
    context_.stop();
  }

  /// Returns when all have ended, or the context was stopped; throws the failure.
  void run() {
    context_.run();
    if (failed_) std::rethrow_exception(failed_);
  }

 private:
  asio::io_context& context_;
  std::exception_ptr failed_;
};

/// The reason that an event gives.
inline std::string reason_of(const ilm::event_record& e) {
  return ilm::printable(e.text.empty() ? e.error.message() : e.text);
}

/// Throws for an event after which the program is of no use: a messenger tries for ever to open a
/// store, but a mistyped name is to be told.
inline void require_useful(const ilm::event_record& e, bool store_is_open,
                           const std::string& store) {
  std::string reason = reason_of(e);
  if (e.kind == ilm::event_kind::network_ended) {
    throw std::runtime_error("the network has ended; start again: " + reason);
  }
  if (e.kind != ilm::event_kind::store_failed || store_is_open) return;
  throw std::runtime_error(line_about(store, reason));
}

}  // namespace example
