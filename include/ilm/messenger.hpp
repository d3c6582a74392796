#pragma once

#include <ilm/backend.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/check_parts.hpp>
#include <ilm/messenger_handle.hpp>
#include <ilm/network.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/adapters.hpp>
#include <ilm/runtime/clock_adapter.hpp>
#include <ilm/runtime/engine.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

namespace detail {

/// The clock of a network that has one of its own (simulated time); otherwise the steady clock.
template <class Network>
struct clock_of {
  using type = std::chrono::steady_clock;
};
template <class Network>
requires requires { typename Network::clock_type; }
struct clock_of<Network> {
  using type = typename Network::clock_type;
};

}  // namespace detail

/// Constructs a messenger that does nothing before `messenger::start`.
struct start_later_t {
  explicit start_later_t() = default;
};
inline constexpr start_later_t start_later{};

/// Durable, ordered, exactly-once messages between peers, across sessions and restarts.
///
/// It owns its backend, network and delivery, and runs from construction until it is shut down or
/// destroyed. Destroying it without `shutdown` is a crash, and as safe as one: the store is free
/// for the next messenger as soon as the executor has run the handlers posted to it, and no call of
/// the delivery runs any more. Members may be called from any thread; the parts are called on one
/// strand of the executor.
///
/// Every asynchronous member takes an Asio completion token, `use_awaitable` by default. Errors are
/// of ilm::error_category() or the backend's; `asio::error::operation_aborted` means that the
/// messenger was destroyed meanwhile, and that a send may or may not have been stored.
template <class Backend, class Network, class Delivery>
class messenger : public messenger_handle<detail::checked_peer_id<Backend, Network, Delivery>> {
 public:
  using peer_id = detail::checked_peer_id<Backend, Network, Delivery>;

  /// Starts on `executor`. Throws std::system_error: error::invalid_options with a text that says
  /// which options contradict one another, error::invalid_peer_id.
  messenger(asio::any_io_executor executor, Backend store, Network net, Delivery deliver,
            options o = {})
      : messenger(std::move(executor), std::move(store), std::move(net), std::move(deliver),
                  std::move(o), start_later) {
    start();
  }
  /// Does not open its store, and hence delivers nothing, before `start`: for a delivery that needs
  /// the variable in which the messenger will be. Operations wait until then; a shutdown starts it.
  messenger(asio::any_io_executor executor, Backend store, Network net, Delivery deliver, options o,
            start_later_t) {
    detail::assert_parts<Backend, Network, Delivery>();
    if constexpr (detail::parts_fit<Backend, Network, Delivery>) {
      this->names_ = std::make_shared<runtime::name_table<peer_id>>(net.local_id());
      this->stamp_sent_at_ = o.stamp_sent_at;
      using namespace runtime;
      engine_parts parts;
      parts.executor = std::move(executor);
      parts.clock = make_clock(parts.executor);
      parts.local = &this->names_->local();
      parts.names = this->names_;
      parts.settings = std::move(o);
      parts.store =
          std::make_unique<store_adapter<peer_id, Backend>>(this->names_, std::move(store));
      parts.network =
          std::make_unique<network_adapter<peer_id, Network>>(this->names_, std::move(net));
      parts.delivery = std::make_unique<delivery_adapter<peer_id, Delivery>>(
          this->names_, this->stamp_sent_at_, std::move(deliver));
      running_ = make_engine(std::move(parts));
      running_->start();
      this->engine_ = running_;
    }
  }

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> messenger(
      Context& context, Backend store, Network net, Delivery deliver, options o = {})
      : messenger(asio::any_io_executor(context.get_executor()), std::move(store), std::move(net),
                  std::move(deliver), std::move(o)) {}
  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> messenger(
      Context& context, Backend store, Network net, Delivery deliver, options o, start_later_t)
      : messenger(asio::any_io_executor(context.get_executor()), std::move(store), std::move(net),
                  std::move(deliver), std::move(o), start_later) {}

  messenger(messenger&&) noexcept = default;
  messenger& operator=(messenger&& other) noexcept {
    stop();
    this->names_ = std::move(other.names_);
    this->engine_ = std::move(other.engine_);
    running_ = std::move(other.running_);
    this->stamp_sent_at_ = other.stamp_sent_at_;
    return *this;
  }
  ~messenger() { stop(); }

  /// Begins, after a construction with `start_later`; otherwise it has no effect. From any thread.
  void start() {
    if (running_) running_->open();
  }

 private:
  static std::unique_ptr<runtime::clock_port> make_clock(const asio::any_io_executor& executor) {
    using clock = typename detail::clock_of<Network>::type;
    if constexpr (std::same_as<clock, std::chrono::steady_clock>) {
      return nullptr;  // the engine brings it
    } else {
      return std::make_unique<runtime::clock_adapter<clock>>(executor);
    }
  }

  void stop() {
    if (running_) running_->stop();
    running_.reset();
  }

  std::shared_ptr<runtime::engine> running_;
};

}  // namespace ilm::inline v0
