#pragma once

// An association that can be copied as it is: it notes all that it is given, and a copy is given
// the same again. It knows no test framework: a copy that differs is a std::logic_error.

#include "support/core_pair.hpp"

#include <ilm/protocol/association.hpp>
#include <ilm/protocol/entropy.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace test {

/// The system's random numbers, noted. A copy gets the noted ones first, then new ones.
class noted_entropy : public entropy {
 public:
  explicit noted_entropy(entropy* system, std::vector<std::uint64_t> noted = {})
      : system_(system), drawn_(std::move(noted)) {}

  std::uint64_t next() override {
    if (given_ == drawn_.size()) drawn_.push_back(system_->next());
    return drawn_[given_++];
  }

 protected:
  ~noted_entropy() = default;

  const std::vector<std::uint64_t>& drawn() const noexcept { return drawn_; }
  bool all_given() const noexcept { return given_ == drawn_.size(); }

 private:
  entropy* system_;
  std::vector<std::uint64_t> drawn_;
  std::size_t given_ = 0;
};

class recorded_core final : private noted_entropy, public association {
  static association_setup with(association_setup s, entropy* e) {
    s.entropy = e;
    return s;
  }

  template <class action>
  auto note(action a) {
    life_.inputs.emplace_back([a](recorded_core& c) { a(static_cast<association&>(c)); });
    return a(static_cast<association&>(*this));
  }
  bool write_frame(std::vector<std::byte>& out, timestamp now) {
    bool written = association::poll_frame(out, now);
    if (written) frames_ = extend(frames_, 0, 0, out);
    return written;
  }

 public:
  /// What an association shows; two that show the same and were given the same are the same.
  struct looks {
    phase state;
    cursors stored;
    std::vector<std::uint64_t> counts;
    timestamp deadline;
    duration rtt;
    stream_hash frames;  ///< all that were written

    bool operator==(const looks&) const = default;
  };
  struct life {
    association_setup setup;
    cursors stored;  ///< when it began
    std::vector<std::function<void(recorded_core&)>> inputs;
    std::vector<std::uint64_t> drawn;
    std::optional<looks> at_the_end;
  };

  recorded_core(const options& o, association_setup s, const cursors& stored)
      : noted_entropy(s.entropy),
        association(o, with(s, this), stored),
        life_{std::move(s), stored, {}, {}, {}} {}
  /// A copy of the core that had this life, which goes its own way from here.
  recorded_core(const options& o, const life& of)
      : noted_entropy(of.setup.entropy, of.drawn),
        association(o, with(of.setup, this), of.stored),
        life_(of) {
    for (const auto& input : of.inputs) input(*this);
    demand(all_given(), "a copy draws fewer random numbers");
    demand(drawn() == of.drawn, "a copy draws more random numbers");
    demand(look() == of.at_the_end, "a copy differs");
  }

  life record() const {
    life l = life_;
    l.drawn = drawn();
    l.at_the_end = look();
    return l;
  }
  looks look() const {
    return {state(),
            stored(),
            {outbox_depth(), inbox_depth(), in_flight(), unsent_bytes(), resent(), duplicates(),
             stale_frames(), rejected_frames(), features(), delivered_by_peer()},
            deadline(),
            rtt(),
            frames_};
  }

  std::error_code handle_send(send_id id, payload message) {
    return note([=](association& c) { return c.handle_send(id, message); });
  }
  void handle_session_up(timestamp now) {
    note([=](association& c) { c.handle_session_up(now); });
  }
  void handle_session_down() {
    note([](association& c) { c.handle_session_down(); });
  }
  void handle_frame(std::span<const std::byte> in, timestamp now) {
    note([now, frame = std::vector(in.begin(), in.end())](association& c) {
      c.handle_frame(frame, now);
    });
  }
  void handle_committed(timestamp now) {
    note([=](association& c) { c.handle_committed(now); });
  }
  void handle_commit_failed(std::error_code reason, timestamp now) {
    note([=](association& c) { c.handle_commit_failed(reason, now); });
  }
  void handle_page(const page_request& asked, std::span<const stored_message> in, timestamp now) {
    note([asked, now, page = std::vector(in.begin(), in.end())](association& c) {
      c.handle_page(asked, page, now);
    });
  }
  void handle_consumed(timestamp now) {
    note([=](association& c) { c.handle_consumed(now); });
  }
  void handle_timeout(timestamp now) {
    note([=](association& c) { c.handle_timeout(now); });
  }

  bool poll_frame(std::vector<std::byte>& out, timestamp now) {
    life_.inputs.emplace_back([=](recorded_core& c) {
      std::vector<std::byte> frame;
      c.write_frame(frame, now);
    });
    return write_frame(out, now);
  }
  std::optional<store_change> poll_change(timestamp now) {
    return note([=](association& c) { return c.poll_change(now); });
  }
  std::optional<send_result> poll_send_result() {
    return note([](association& c) { return c.poll_send_result(); });
  }
  std::optional<page_request> poll_page(timestamp now) {
    return note([=](association& c) { return c.poll_page(now); });
  }
  const stored_message* poll_delivery(timestamp now) {
    return note([=](association& c) { return c.poll_delivery(now); });
  }
  std::optional<event_record> poll_event() {
    return note([](association& c) { return c.poll_event(); });
  }

 private:
  // Nothing here uses these: not noted, so not to be called.
  using association::handle_close;
  using association::handle_delivery_failed;
  using association::handle_page_failed;

  life life_;
  stream_hash frames_{};
};

using recorded_side = basic_core_side<recorded_core>;
using recorded_pair = basic_core_pair<recorded_core>;

}  // namespace test
