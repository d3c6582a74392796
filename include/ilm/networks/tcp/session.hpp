#pragma once

#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/configuration.hpp>
#include <ilm/networks/tcp/connection.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/output_queue.hpp>

#include <asio/error.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// A proven connection that carries frames. `read_frames`, `write_frames` and `watch` run at once
/// from `begin` on; each completes with the reason why the session has to end, or throws it.
class session {
 public:
  using instance_id = std::array<std::byte, 16>;

  session(std::shared_ptr<const configuration> c, std::shared_ptr<event_source> events,
          std::shared_ptr<connection> over, const instance_id& peer_instance, frame_macs macs = {})
      : configuration_(std::move(c)),
        events_(std::move(events)),
        connection_(std::move(over)),
        peer_instance_(peer_instance),
        outgoing_(std::move(macs.outgoing)),
        incoming_(std::move(macs.incoming)),
        output_ready_(connection_->over().executor()),
        room_to_send_(connection_->over().executor()),
        tick_(connection_->over().executor()) {}

  const connection& over() const noexcept { return *connection_; }
  const instance_id& peer_instance() const noexcept { return peer_instance_; }
  clock::time_point began_at() const noexcept { return began_at_; }
  /// When the last frame with bytes arrived; the begin, if none did.
  clock::time_point frame_at() const noexcept { return frame_at_; }
  bool is_open() const noexcept { return !closed_ && connection_->is_open(); }
  /// The process whose session it took over, if it did.
  const std::optional<instance_id>& predecessor() const noexcept { return predecessor_; }
  void set_predecessor(std::optional<instance_id> predecessor) { predecessor_ = predecessor; }
  /// The body of a refusal that ended it; empty if none did.
  byte_view refusal() const noexcept { return refusal_; }
  /// Whether `receive` gave its `up`.
  bool announced() const noexcept { return pending_ != nullptr && pending_->announced(); }

  void begin(const byte_string& peer) {
    assert(!pending_ && !closed_ && is_open());
    connection_->clear_deadline();
    began_at_ = heard_at_ = frame_at_ = sent_at_ = clock::now();
    pending_ = events_->begin_session(peer);
    assert(invariants_hold());
  }

  void close(std::error_code why = {}) {
    if (std::exchange(closed_, true)) return;
    connection_->close(why);
    finish();
  }

  /// As `close`, but leaves the connection open if it could carry a message: if nothing waits to
  /// be written. None otherwise.
  std::shared_ptr<connection> release(std::error_code why = {}) {
    if (closed_ || !connection_->is_open() || unsent() != 0) {
      close(why);
      return nullptr;
    }
    closed_ = true;
    connection_->over().cancel();
    finish();
    return connection_;
  }

  /// Writes at once as much as the stream takes, and queues the rest. Where it fails, for want of
  /// memory too, a part may have been written: the session is to end.
  std::error_code send(byte_view head, byte_string body = {}) noexcept {
    try {
      return write_or_queue(head, std::move(body));
    } catch (...) {
      return failure_of(std::current_exception()).code;
    }
  }
  std::error_code send_frame(byte_string frame) {
    assert(frame.size() <= configuration_->options.maximum_frame_size);
    std::size_t size = frame.size();
    return send_sealed(size, std::move(frame));
  }

  /// Asks for an answer: if nothing arrives within `probe_timeout`, `watch` completes.
  std::error_code probe() {
    if (probe_ends_at_ != clock::time_point::max()) return {};
    probe_ends_at_ = clock::now() + probe_timeout;
    tick_.notify_all();
    return send_sealed(ping_size, {});
  }

  bool has_room_to_send() const noexcept {
    return !is_open() || unsent() <= configuration_->options.send_buffer;
  }
  asio::awaitable<void> wait_for_room_to_send() {
    while (!has_room_to_send()) co_await room_to_send_.wait();
  }

  asio::awaitable<std::error_code> read_frames() {
    std::error_code failed;
    frame_splitter splitter(configuration_->options.maximum_frame_size, std::move(incoming_));
    while (is_open() && !failed) {
      if (events_->is_full(*pending_)) {
        reading_ = false;
        tick_.notify_all();
        co_await pending_->room().wait();
        continue;
      }
      // Silence of a peer that was not read is not its own.
      if (!std::exchange(reading_, true)) heard_at_ = clock::now();
      std::span<std::byte> space = splitter.space();
      std::size_t size = co_await connection_->over().async_read_some(space, failed);
      if (failed || !is_open()) break;
      if (unsent() != 0) output_ready_.notify_all();  // the stream may have answered
      heard_at_ = clock::now();
      probe_ends_at_ = clock::time_point::max();
      splitter.filled(size);
      take_frames(splitter);
      assert(invariants_hold());
      if (splitter.too_large()) failed = tcp_error::frame_too_large;
      if (splitter.altered()) failed = tcp_error::frame_altered;
      if (byte_view refusal = splitter.refusal(); !refusal.empty()) {
        refusal = refusal.subspan(header_size);
        refusal_.assign(refusal.begin(), refusal.end());
        failed = read_refusal(refusal_);
      }
      // Whatever waits to be sent is an answer, too.
      if (!failed && splitter.take_ping() && unsent() == 0) failed = send_frame({});
    }
    co_return failed;
  }

  asio::awaitable<std::error_code> write_frames() {
    std::array<asio::const_buffer, gathered_buffers> buffers;
    std::error_code failed;
    while (is_open() && !failed) {
      if (unsent() == 0) {
        co_await output_ready_.wait();
        continue;
      }
      std::size_t written =
          co_await connection_->over().async_write_some(output_.gather(buffers), failed);
      output_.consume(written);
      handle_sent();
      room_to_send_.notify_all();
    }
    co_return failed;
  }

  /// Keeps the connection alive, and completes when the peer is silent.
  asio::awaitable<std::error_code> watch() {
    std::error_code failed;
    while (is_open() && !failed) {
      clock::time_point now = clock::now();
      // Silence of a peer that is not read is not its own.
      if (!reading_) hold_deadlines(now);
      clock::time_point ping_at = unsent() == 0 ? keepalive_at() : clock::time_point::max();
      if (now >= probe_ends_at_) {
        failed = tcp_error::no_answer;
      } else if (now >= silent_at()) {
        failed = tcp_error::peer_silent;
      } else if (now >= ping_at) {
        failed = send_frame({});
      } else {
        clock::time_point next = std::min({ping_at, silent_at(), probe_ends_at_});
        watch_at_ = std::min(next, later(now, watch_interval()));
        co_await tick_.wait_until(watch_at_);
      }
    }
    co_return failed;
  }

 private:
  bool invariants_hold() const noexcept {
    if (closed_) return !is_open() && !announced();
    return pending_ == nullptr ||
           (pending_->in_session() && began_at_ <= heard_at_ && began_at_ <= sent_at_);
  }

  std::error_code write_or_queue(byte_view head, byte_string body) {
    assert(is_open() && !head.empty());
    std::size_t written = 0;
    if (output_.empty()) {
      std::array<asio::const_buffer, 2> parts{asio::buffer(head.data(), head.size()),
                                              asio::buffer(body)};
      std::error_code failed;
      written = connection_->over().write_some(parts, failed);
      if (failed && failed != asio::error::would_block && failed != asio::error::try_again) {
        return failed;
      }
      handle_sent();
    }
    if (written < head.size() + body.size()) output_.push(head, std::move(body), written);
    if (unsent() != 0) output_ready_.notify_all();
    return {};
  }

  std::error_code send_sealed(std::size_t size, byte_string body) {
    frame_head head(size, body, outgoing_);
    return send(head.bytes(), std::move(body));
  }

  /// In bytes.
  std::size_t unsent() const noexcept { return output_.size() + connection_->over().unsent(); }

  bool keeps_alive() const noexcept {
    return configuration_->options.keepalive_interval > tcp_options::duration::zero();
  }
  /// A messenger keeps its peers alive at intervals of its own, by default the same ones: with a
  /// grace its frame comes first, and no empty one is needed.
  tcp_options::duration grace() const noexcept {
    return configuration_->options.keepalive_interval / keepalive_grace_part;
  }
  tcp_options::duration graced_interval() const noexcept {
    tcp_options::duration longest = tcp_options::duration::max() - grace();
    return std::min(configuration_->options.keepalive_interval, longest) + grace();
  }
  /// `watch` looks again when it is about to wake, rather than a moment later for nothing. Else its
  /// timer stays as it is, which costs less than to move it with each frame.
  void handle_sent() {
    sent_at_ = clock::now();
    if (later(sent_at_, grace()) < watch_at_) return;
    watch_at_ = clock::time_point::max();
    tick_.notify_all();
  }
  /// A side that does not read cannot see a probe, and is heard often enough to answer any.
  tcp_options::duration watch_interval() const noexcept {
    tcp_options::duration own = keeps_alive() ? graced_interval() : tcp_options::duration::max();
    return reading_ ? own : std::min<tcp_options::duration>(own, unread_keepalive_interval);
  }
  clock::time_point keepalive_at() const { return later(sent_at_, watch_interval()); }
  clock::time_point silent_at() const {
    return keeps_alive() ? later(heard_at_, configuration_->options.keepalive_timeout)
                         : clock::time_point::max();
  }
  void hold_deadlines(clock::time_point now) {
    heard_at_ = now;
    if (probe_ends_at_ != clock::time_point::max()) probe_ends_at_ = now + probe_timeout;
  }

  void finish() {
    if (pending_) events_->end_session(pending_);
    for (async_condition* e : {&output_ready_, &room_to_send_, &tick_}) e->notify_all();
    assert(invariants_hold());
  }

  void take_frames(frame_splitter& splitter) {
    byte_string frame;
    while (splitter.poll(frame)) {
      if (!frame.empty()) frame_at_ = heard_at_;
      if (!frame.empty()) pending_->add_frame(std::move(frame));
    }
    if (!pending_->empty()) events_->mark_ready(pending_);
  }

  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<connection> connection_;
  instance_id peer_instance_;
  std::optional<frame_mac> outgoing_;
  std::optional<frame_mac> incoming_;  ///< until `read_frames` takes it
  std::optional<instance_id> predecessor_;
  byte_string refusal_;
  std::shared_ptr<pending_events> pending_;  ///< from `begin` on
  output_queue output_;
  async_condition output_ready_;
  async_condition room_to_send_;
  async_condition tick_;  ///< of `watch`
  clock::time_point began_at_{};
  clock::time_point heard_at_{};
  clock::time_point frame_at_{};
  clock::time_point sent_at_{};
  clock::time_point probe_ends_at_ = clock::time_point::max();
  clock::time_point watch_at_ = clock::time_point::max();  ///< when `watch` wakes
  bool closed_ = false;  ///< by `close`: others may close the connection alone
  bool reading_ = true;  ///< the frames of the peer are wanted
};

}  // namespace ilm::inline v0::detail::tcp
