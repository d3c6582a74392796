#pragma once

#include <ilm/detail/compiled.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/named.hpp>
#include <ilm/runtime/names.hpp>
#include <ilm/runtime/ports.hpp>
#include <ilm/runtime/requests.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>

namespace ilm::inline v0::runtime {

/// The parts of an engine.
struct engine_parts {
  engine_parts() = default;

  asio::any_io_executor executor;  ///< the engine makes a strand of it
  std::unique_ptr<store_port> store;
  std::unique_ptr<network_port> network;
  std::unique_ptr<delivery_port> delivery;
  std::unique_ptr<clock_port> clock;  ///< none: the steady clock
  peer_name* local = nullptr;
  std::shared_ptr<name_keeper> names;
  options settings;
};

/// Runs a messenger. Its members may be called from any thread.
class engine {
 public:
  virtual ~engine() = default;

  virtual void start() = 0;
  /// Opens the store, once; nothing is sent, delivered or answered before.
  virtual void open() = 0;

  virtual void send(std::unique_ptr<send_request> request) = 0;
  virtual void wait_delivered(std::unique_ptr<delivered_request> request) = 0;
  virtual void undelivered(std::unique_ptr<undelivered_request> request) = 0;
  virtual void forget(std::unique_ptr<forget_request> request) = 0;
  virtual void connected(std::unique_ptr<connected_request> request) = 0;
  virtual void next_event(std::uint64_t operation,
                          detail::completion<std::error_code, named_event> done) = 0;
  /// Calls `w` on the strand with each event from then on; null for none.
  virtual void watch_events(std::function<void(const named_event&)> w) = 0;
  /// Puts back an event that was read and that nobody has.
  virtual void return_event(named_event e) = 0;
  virtual void shutdown(std::chrono::nanoseconds timeout,
                        detail::completion<std::error_code, named_report> done) = 0;
  virtual void cancel(std::uint64_t operation) = 0;
  virtual named_statistics statistics() const = 0;

  /// Ends everything at once, as a crash would; the callers that wait are told. If the context
  /// never runs again, waiting coroutines and callers are destroyed with it.
  virtual void stop() = 0;

  /// For handlers that have no executor of their own.
  virtual const asio::any_io_executor& executor() const noexcept = 0;
  virtual std::uint64_t next_operation() noexcept = 0;
};

/// Throws std::system_error with error::invalid_options if the settings contradict one another.
ILM_INLINE std::shared_ptr<engine> make_engine(engine_parts parts);

}  // namespace ilm::inline v0::runtime

#ifndef ILM_COMPILED
#include <ilm/runtime/shell.hpp>
#endif
