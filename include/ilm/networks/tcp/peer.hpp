#pragma once

#include <ilm/network.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/bell.hpp>
#include <ilm/networks/tcp/connection.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

/// What `receive` has yet to give of one peer. Bounded: what is added beyond a bound stays with the
/// socket, and a session of which `receive` has said nothing leaves nothing behind.
template <class PeerId>
class backlog {
 public:
  using event = network_event<PeerId>;

  bool empty() const noexcept { return events_.empty(); }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Whether `receive` gave the `up` of the last session.
  bool announced() const noexcept { return announced_; }

  void begin_session(const PeerId& peer) {
    announced_ = false;
    events_.push_back(event::up(peer));
  }

  void add_frame(const PeerId& peer, byte_string frame) {
    bytes_ += cost(frame);
    events_.push_back(event::frame(peer, std::move(frame)));
  }

  void end_session(const PeerId& peer) {
    if (std::exchange(announced_, false)) return events_.push_back(event::down(peer));
    bool was_up = false;
    while (!was_up && !events_.empty()) {
      was_up = events_.back().kind == event::type::up;
      bytes_ -= cost_of(events_.back());
      events_.pop_back();
    }
  }

  /// The next event; there must be one.
  event take() {
    event next = std::move(events_.front());
    events_.pop_front();
    bytes_ -= cost_of(next);
    if (next.kind == event::type::up) announced_ = true;
    return next;
  }

 private:
  static std::size_t cost(const byte_string& frame) noexcept { return frame.size() + 64; }
  static std::size_t cost_of(const event& e) noexcept {
    return e.kind == event::type::frame ? cost(e.bytes) : 0;
  }

  std::deque<event> events_;
  std::size_t bytes_ = 0;
  bool announced_ = false;
};

/// What is known of a peer: its session, what waits for `receive`, and how it is dialed.
template <class PeerId>
struct peer {
  peer(PeerId whose, byte_string bytes, const asio::any_io_executor& executor)
      : id(std::move(whose)), encoded(std::move(bytes)), dial_bell(executor) {}

  const PeerId id;
  const byte_string encoded;

  std::shared_ptr<connection> session;
  clock::time_point selected_at{};
  backlog<PeerId> news;
  bool listed = false;  ///< is in the list of those that have news

  std::optional<address> where;  ///< if it is in the address book
  bool dial_loop_runs = false;
  bool hinted = false;  ///< the attempt under way is out of date
  std::shared_ptr<connection> dialing;
  clock::time_point dial_at{};
  tcp_options::duration delay{};
  std::error_code dial_error;
  bell dial_bell;
};

}  // namespace ilm::detail::tcp
