#pragma once

#include <ilm/network.hpp>
#include <ilm/testing/kit/fixture.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/network_clause.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace ilm::inline v0::testing::kit {

/// Shared by the checks of a network: the user's factory, and the first violation seen in an event.
template <class Clock, class Factory>
class network_fixture : public fixture<Clock>, public examiner<network_clause> {
 public:
  using factory_type = Factory;
  using network_type = std::decay_t<std::invoke_result_t<Factory&, unsigned>>;
  static_assert(network<network_type>, "the factory must give networks");
  using peer_id = peer_id_of<network_type>;
  using found = violation<network_clause>;
  static constexpr bool reliable = network_type::reliable;

  /// Whether the network can tell when a peer goes.
  static constexpr bool tells_presence = [] {
    if constexpr (requires { Factory::tells_presence; }) return bool(Factory::tells_presence);
    return true;
  }();
  /// Whether frames may be changed on their way, as by a radio.
  static constexpr bool may_corrupt = [] {
    if constexpr (requires { Factory::may_corrupt; }) return bool(Factory::may_corrupt);
    return false;
  }();

  network_fixture(asio::io_context& context, Factory& f, const kit_options& o,
                  clause_results<network_clause>::report_handler to)
      : fixture<Clock>(context, o), examiner<network_clause>(std::move(to)), factory_(f) {}

  Factory& factory() noexcept { return factory_; }
  unsigned next_place() noexcept { return ++last_place_; }

  void report_violation(network_clause c, std::string what) {
    if (!violation_) violation_ = found{c, std::move(what)};
  }
  void clear_violation() { violation_.reset(); }

  /// Counts a frame or event that was sent or received.
  void progress() noexcept { ++progress_; }
  std::uint64_t progressed() const noexcept { return progress_; }

  /// Waits, and throws the first violation reported meanwhile.
  template <class Predicate>
  bool wait_until(Predicate done, std::chrono::nanoseconds limit) {
    bool held = this->until([&] { return violation_ || done(); }, limit);
    if (violation_) {
      found f = std::move(*violation_);
      violation_.reset();
      throw f;
    }
    return held;
  }
  template <class Predicate>
  bool wait_until(Predicate done) {
    return wait_until(std::move(done), this->limit());
  }
  /// Waits a moment in which no violation may be reported.
  void expect_quiet() {
    wait_until([] { return false; }, limits::quiet_time);
  }

 private:
  Factory& factory_;
  std::optional<found> violation_;
  std::uint64_t progress_ = 0;
  unsigned last_place_ = 0;
};

}  // namespace ilm::inline v0::testing::kit
