#pragma once

// A peer without a messenger, which sends frames made by hand: for input that no messenger sends.

#include "support/world.hpp"

#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/frame_writer.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace test {

using bytes_vector = std::vector<std::byte>;

class raw_peer {
 public:
  raw_peer(world& w, std::string name, std::string other)
      : world_(w),
        name_(std::move(name)),
        other_(std::move(other)),
        line_(std::make_shared<line>()) {
    line_->net.emplace(w.net.join(name_));
    me.base = 1;
    me.stream = me.claim.mark = mark_at(0);
    me.credit.sequence = 1'000'000;
    me.credit.bytes = 1 << 30;
    me.maximum_message_size = 1 << 20;
    asio::co_spawn(w.context, listen(line_), asio::detached);
  }
  raw_peer(const raw_peer&) = delete;
  raw_peer& operator=(const raw_peer&) = delete;
  ~raw_peer() { line_->net.reset(); }

  /// The content of this peer's hellos, but for nonce, echo and names.
  ilm::protocol::hello_record me;

  /// Exchanges hellos; true once the session is open.
  bool open() {
    nonce_ += 0x1'0001;
    line_->frames.clear();
    put(challenge_frame(nonce_));
    if (!world_.until([&] { return echoed() != 0; }, 10s)) return false;
    theirs = *hello_;
    candidate_ = theirs.nonce;
    data_frames_ = 0;
    put(hello_frame(candidate_, true));
    world_.run_for(1ms);
    return true;
  }
  /// From now on this peer's hellos and acks know the other side as its last hello showed it.
  void meet() {
    me.claim.seen = theirs.claim.mark;
    me.follows = theirs.stream;
    me.claim.received_hash = hash_of_theirs(me.claim.received);
  }

  bytes_vector challenge_frame(std::uint64_t nonce) {
    bytes_vector out;
    ilm::protocol::frame_writer writer(out, ilm::protocol::frame_header(), true, 1 << 20);
    writer.challenge(nonce);
    writer.finish();
    return out;
  }

  /// A hello by hand; `change` may spoil it.
  bytes_vector hello_frame(std::uint64_t echo, bool proven,
                           const std::function<void(ilm::protocol::hello_record&)>& change = {}) {
    ilm::protocol::hello_record h = me;
    h.nonce = nonce_;
    h.echo = echo;
    h.proven = proven;
    h.source = as_bytes(name_);
    h.destination = as_bytes(other_);
    if (change) change(h);
    bytes_vector out;
    ilm::protocol::frame_writer writer(out, ilm::protocol::frame_header(), true, 1 << 20);
    writer.hello(h);
    writer.finish();
    return out;
  }

  /// Messages of this peer's stream. To send some out of order, make their frames in order.
  bytes_vector data_frame(std::uint64_t first, const std::vector<std::string>& texts) {
    bytes_vector out;
    ilm::protocol::frame_header head = header();
    head.number = ++data_frames_;
    ilm::protocol::frame_writer writer(out, head, true, 1 << 24);
    ilm::stream_hash hash = own_hashes_[first - 1];
    writer.begin_data(first, hash);
    for (const std::string& text : texts) {
      writer.item(as_bytes(text));
      hash = ilm::protocol::extend(hash, first, 0, as_bytes(text));
      own_hashes_[first++] = hash;
    }
    writer.finish();
    return out;
  }

  bytes_vector ack_frame(const ilm::protocol::ack_record& a) {
    bytes_vector out;
    ilm::protocol::frame_writer writer(out, header(), true, 1 << 20);
    writer.ack(a);
    writer.finish();
    return out;
  }
  /// An acknowledgement of everything up to `sequence`, delivered up to `delivered`, with plenty of
  /// credit.
  ilm::protocol::ack_record ack_of(std::uint64_t sequence, std::uint64_t delivered) const {
    ilm::protocol::ack_record a;
    a.claim = me.claim;
    a.claim.seen = newest_stamp();
    a.claim.mark = mark_at(delivered);
    a.claim.delivered = delivered;
    a.claim.delivered_hash = hash_of_theirs(delivered);
    a.claim.received = sequence;
    a.claim.received_hash = hash_of_theirs(sequence);
    a.credit.sequence = sequence + 1'000'000;
    a.credit.bytes = 1 << 30;
    return a;
  }
  ilm::protocol::ack_record ack_of(std::uint64_t sequence) const {
    return ack_of(sequence, sequence);
  }

  bytes_vector ping_frame(std::uint8_t version = 1) {
    bytes_vector out;
    ilm::protocol::frame_header head = header();
    head.version = version;
    ilm::protocol::frame_writer writer(out, head, true, 1 << 20);
    writer.ping();
    writer.finish();
    return out;
  }

  void put(bytes_vector frame) { world_.net.inject(name_, other_, std::move(frame)); }

  /// The last acknowledgement that arrived.
  std::optional<ilm::protocol::ack_record> last_ack() const {
    std::optional<ilm::protocol::ack_record> found;
    for (const bytes_vector& f : line_->frames) {
      ilm::protocol::frame parsed;
      if (!ilm::protocol::read_frame(f, {}, parsed) && parsed.ack) found = parsed.ack;
    }
    return found;
  }

  /// The other side's newest stamp.
  ilm::stamp newest_stamp() const {
    std::optional<ilm::protocol::ack_record> last = last_ack();
    return last ? last->claim.mark : theirs.claim.mark;
  }

  /// The sequences of all messages that arrived, in order of arrival.
  std::vector<std::uint64_t> data() const {
    std::vector<std::uint64_t> all;
    for (const bytes_vector& f : line_->frames) {
      ilm::protocol::frame parsed;
      if (ilm::protocol::read_frame(f, {}, parsed)) continue;
      for (const auto& d : parsed.data) {
        for (std::size_t i = 0; i < d.items.size(); ++i) all.push_back(d.first + i);
      }
    }
    return all;
  }
  std::size_t frames() const { return line_->frames.size(); }
  bool said_bye() const {
    for (const bytes_vector& f : line_->frames) {
      ilm::protocol::frame parsed;
      if (!ilm::protocol::read_frame(f, {}, parsed) && parsed.bye) return true;
    }
    return false;
  }

  /// The other side's last hello.
  ilm::protocol::hello_record theirs;

 private:
  /// Shared by the listening coroutine and the peer that owns it.
  struct line {
    std::optional<network> net;
    std::vector<bytes_vector> frames;
  };

  static asio::awaitable<void> listen(std::shared_ptr<line> l) {
    while (l->net) {
      ilm::network_event<std::string> e = co_await l->net->receive();
      if (e.kind == ilm::network_event<std::string>::type::frame) {
        l->frames.push_back(std::move(e.bytes));
      }
    }
  }

  /// The nonce of a hello that echoes ours; 0 if none came yet.
  std::uint64_t echoed() {
    for (const bytes_vector& f : line_->frames) {
      ilm::protocol::frame parsed;
      if (ilm::protocol::read_frame(f, {}, parsed) || !parsed.hello) continue;
      if (parsed.hello->echo != nonce_) continue;
      hello_ = parsed.hello;
      hello_->source = hello_->destination = {};
      return hello_->nonce;
    }
    return 0;
  }

  ilm::protocol::frame_header header() const {
    ilm::protocol::frame_header h;
    h.version = 1;
    h.session = ilm::protocol::session_tag_of(nonce_, candidate_);
    return h;
  }

  /// This peer makes a stamp whenever its application has consumed a message.
  static ilm::stamp mark_at(std::uint64_t delivered) { return {delivered + 1, 0x5678}; }

  /// The hash of the other side's stream after the message `sequence`, if that arrived.
  ilm::stream_hash hash_of_theirs(std::uint64_t sequence) const {
    if (sequence == theirs.first - 1) return theirs.erased_hash;
    for (const bytes_vector& f : line_->frames) {
      ilm::protocol::frame parsed;
      if (ilm::protocol::read_frame(f, {}, parsed)) continue;
      for (const auto& d : parsed.data) {
        ilm::stream_hash hash = d.before;
        std::uint64_t at = d.first;
        if (sequence + 1 == at) return hash;
        for (const auto& i : d.items) {
          hash = ilm::protocol::extend(hash, at, i.salt, i.contents, i.attributes);
          if (at++ == sequence) return hash;
        }
      }
    }
    return {};
  }

  static std::span<const std::byte> as_bytes(const std::string& s) {
    return std::as_bytes(std::span<const char>(s.data(), s.size()));
  }

  world& world_;
  std::string name_;
  std::string other_;
  std::shared_ptr<line> line_;
  std::optional<ilm::protocol::hello_record> hello_;
  std::map<std::uint64_t, ilm::stream_hash> own_hashes_;  ///< after each message
  std::uint64_t nonce_ = 0x7000;
  std::uint64_t candidate_ = 0;
  std::uint64_t data_frames_ = 0;
};

}  // namespace test
