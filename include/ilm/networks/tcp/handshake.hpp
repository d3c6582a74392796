#pragma once

// The messages of two sides of a TCP connection before its frames, sans I/O. "The wire" in
// ilm/networks/README.md has their form and their order.

#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/frame_mac.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

inline constexpr std::uint8_t wire_version = 1;
inline constexpr std::size_t header_size = 8;

enum class message_type : std::uint8_t { hello = 1, proof, go, refusal };

struct message_header {
  std::uint8_t version = 0;
  message_type type{};
  std::size_t body_size = 0;
};

inline bool same(byte_view a, byte_view b) { return std::ranges::equal(a, b); }

inline constexpr std::string_view message_magic = "ILMT";
/// The magic as the size of a frame.
inline constexpr std::size_t message_magic_size = 0x494c4d54;

/// Whether these bytes, four at least, begin as every message does.
inline bool begins_message(byte_view in) noexcept {
  return same(in.first(message_magic.size()), std::as_bytes(std::span(message_magic)));
}

/// The first eight bytes of a message.
inline std::error_code read_header(std::span<const std::byte, header_size> in,
                                   message_header& out) noexcept {
  if (!begins_message(in)) return tcp_error::not_ilm;
  out.version = std::to_integer<std::uint8_t>(in[4]);
  out.type = static_cast<message_type>(in[5]);
  out.body_size = std::to_integer<std::size_t>(in[6]) << 8 | std::to_integer<std::size_t>(in[7]);
  if (out.body_size > maximum_message_size - header_size) return tcp_error::malformed_handshake;
  if (out.version != wire_version && out.type != message_type::refusal) {
    return tcp_error::unsupported_version;
  }
  return {};
}

inline byte_string make_message(message_type type, byte_view body = {}) {
  byte_string out;
  for (char c : message_magic) out.push_back(static_cast<std::byte>(c));
  out.push_back(std::byte{wire_version});
  out.push_back(static_cast<std::byte>(type));
  out.push_back(static_cast<std::byte>(body.size() >> 8));
  out.push_back(static_cast<std::byte>(body.size()));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

/// `address` is that of the other connection, for tcp_error::name_in_use.
inline byte_string make_refusal(tcp_error why, std::string_view address = {}) {
  assert(address.size() <= refusal_text_limit);
  byte_string body{static_cast<std::byte>(why)};
  byte_view text = std::as_bytes(std::span(address));
  body.insert(body.end(), text.begin(), text.end());
  return make_message(message_type::refusal, body);
}

/// Whether a refusal may give this reason.
inline bool is_reason(std::error_code why) noexcept {
  return why.category() == tcp_category() && why.value() >= static_cast<int>(tcp_error::refused) &&
         why.value() <= static_cast<int>(tcp_error::name_in_use);
}

inline std::error_code read_refusal(byte_view body) noexcept {
  if (body.empty()) return tcp_error::refused;
  std::error_code why = static_cast<tcp_error>(body[0]);
  return is_reason(why) ? why : std::error_code(tcp_error::refused);
}

/// The address in a refusal: of the peer's making, so it is not to be believed before it is read as
/// one.
inline std::string_view refusal_address(byte_view body) noexcept {
  if (body.empty() || body.size() > 1 + refusal_text_limit) return {};
  byte_view text = body.subspan(1);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

struct hello {
  bool keyed = false;
  std::uint32_t maximum_frame_size = 0;
  std::array<std::byte, 16> instance{};
  std::array<std::byte, 32> nonce{};
  byte_string sender;
  byte_string destination;

  /// As a whole message.
  byte_string encode() const {
    byte_string body;
    body.push_back(keyed ? std::byte{1} : std::byte{0});
    for (int shift = 24; shift >= 0; shift -= 8) {
      body.push_back(static_cast<std::byte>(maximum_frame_size >> shift));
    }
    body.insert(body.end(), instance.begin(), instance.end());
    body.insert(body.end(), nonce.begin(), nonce.end());
    for (const byte_string* id : {&sender, &destination}) {
      body.push_back(static_cast<std::byte>(id->size()));
      body.insert(body.end(), id->begin(), id->end());
    }
    return make_message(message_type::hello, body);
  }

  /// False if the body is none.
  bool decode(byte_view body) {
    bool whole = true;
    auto take = [&](std::size_t size) {
      whole = whole && size <= body.size();
      byte_view taken = whole ? body.first(size) : byte_view();
      body = body.subspan(taken.size());
      return taken;
    };
    auto take_id = [&](byte_string& id) {
      byte_view size = take(1);
      byte_view taken = take(size.empty() ? 0 : std::to_integer<std::size_t>(size[0]));
      id.assign(taken.begin(), taken.end());
    };
    std::byte flags{};
    std::ranges::copy(take(1), &flags);
    keyed = flags == std::byte{1};
    maximum_frame_size = 0;
    for (std::byte digit : take(4)) {
      maximum_frame_size = maximum_frame_size << 8 | std::to_integer<std::uint32_t>(digit);
    }
    std::ranges::copy(take(instance.size()), instance.begin());
    std::ranges::copy(take(nonce.size()), nonce.begin());
    take_id(sender);
    take_id(destination);
    return whole && body.empty() && (flags & ~std::byte{1}) == std::byte{0} && !sender.empty() &&
           !destination.empty();
  }
};

/// One connection's handshake up to its proof: write the result of `begin`, then hand it each
/// message that arrives and write its output, until it is `proven` or fails.
class handshake {
 public:
  /// `mine` names the peer that is meant if this side dialed, and nobody if it accepted. `prove` is
  /// that of the options, and outlives the handshake.
  handshake(bool dialed, hello mine, const decltype(tcp_options::prove)& prove)
      : dialed_(dialed), mine_(std::move(mine)), prove_(prove) {}

  byte_string begin() {
    assert(state_ == state::hello && my_hello_.empty());
    if (!dialed_) return {};
    return my_hello_ = mine_.encode();
  }

  /// A message but for a refusal, which the caller sees to.
  std::error_code handle(message_type type, byte_view message, byte_string& out) {
    assert(message.size() >= header_size);
    assert(invariants_hold());
    if (type == message_type::hello && state_ == state::hello) return handle_hello(message, out);
    if (type == message_type::proof && state_ == state::proof) {
      return handle_proof(message.subspan(header_size), out);
    }
    return tcp_error::malformed_handshake;
  }

  bool proven() const noexcept { return state_ == state::proven; }

  /// The other side's hello, once it has arrived, even if it is not proven.
  const hello& theirs() const noexcept { return theirs_; }

  /// Of all that follows, the go included.
  const frame_macs& macs() const {
    assert(proven());
    return macs_;
  }

  /// Whether this side decides which connection lives.
  bool leads() const {
    assert(proven());
    return std::ranges::lexicographical_compare(mine_.sender, theirs_.sender);
  }

 private:
  enum class state : std::uint8_t { hello, proof, proven };

  /// A dialer begins with its hello; the acceptor's answers the dialer's.
  bool invariants_hold() const noexcept {
    bool heard = state_ != state::hello;
    return their_hello_.empty() != heard && my_hello_.empty() != (dialed_ || heard);
  }

  std::error_code handle_hello(byte_view message, byte_string& out) {
    if (!theirs_.decode(message.subspan(header_size))) return tcp_error::malformed_handshake;
    if (std::error_code wrong = check_hello()) return wrong;
    their_hello_.assign(message.begin(), message.end());
    state_ = state::proof;
    if (dialed_) return {};
    mine_.destination = theirs_.sender;
    my_hello_ = mine_.encode();
    out = my_hello_;
    return append_proof(out);
  }

  std::error_code check_hello() const {
    if (same(theirs_.sender, mine_.sender)) return tcp_error::own_id;
    if (!same(theirs_.destination, mine_.sender)) return tcp_error::wrong_destination;
    if (dialed_ && !same(theirs_.sender, mine_.destination)) return tcp_error::wrong_destination;
    if (theirs_.maximum_frame_size != mine_.maximum_frame_size) {
      return tcp_error::frame_size_mismatch;
    }
    if (mine_.keyed && !theirs_.keyed) return tcp_error::key_required;
    if (!mine_.keyed && theirs_.keyed) return tcp_error::key_not_expected;
    return {};
  }

  std::error_code handle_proof(byte_view proof, byte_string& out) {
    if (mine_.keyed) {
      std::optional<tcp_proof> expected = under_key(dialed_ ? acceptor_label : dialer_label);
      std::optional<tcp_proof> session_key = under_key(session_label);
      if (!expected || !session_key) return tcp_error::no_key_for_peer;
      if (!same_in_constant_time(proof, *expected)) return tcp_error::wrong_key;
      macs_ = frame_macs(*session_key, dialed_);
    } else if (!proof.empty()) {
      return tcp_error::malformed_handshake;
    }
    state_ = state::proven;
    return dialed_ ? append_proof(out) : std::error_code();
  }

  std::error_code append_proof(byte_string& out) const {
    byte_string message;
    if (mine_.keyed) {
      std::optional<tcp_proof> proof = under_key(dialed_ ? dialer_label : acceptor_label);
      if (!proof) return tcp_error::no_key_for_peer;
      message = make_message(message_type::proof, *proof);
    } else {
      message = make_message(message_type::proof);
    }
    out.insert(out.end(), message.begin(), message.end());
    return {};
  }

  /// The labels keep one side's proof from passing for the other's, or for a session's key; the
  /// nonces, both of them, an old one from passing for a new one.
  std::optional<tcp_proof> under_key(std::string_view label) const {
    byte_string transcript;
    for (char c : label) transcript.push_back(static_cast<std::byte>(c));
    const byte_string& first = dialed_ ? my_hello_ : their_hello_;
    const byte_string& second = dialed_ ? their_hello_ : my_hello_;
    transcript.insert(transcript.end(), first.begin(), first.end());
    transcript.insert(transcript.end(), second.begin(), second.end());
    return prove_(theirs_.sender, transcript);
  }

  static constexpr std::string_view dialer_label = "ilm tcp dialer  ";
  static constexpr std::string_view acceptor_label = "ilm tcp acceptor";
  static constexpr std::string_view session_label = "ilm tcp session ";

  bool dialed_;
  hello mine_;
  const decltype(tcp_options::prove)& prove_;
  state state_ = state::hello;
  hello theirs_;
  byte_string my_hello_;
  byte_string their_hello_;
  frame_macs macs_;
};

/// The leader's last word, with the first tag of its direction if there are keys.
inline byte_string make_go(std::optional<frame_mac>& mac) {
  if (!mac) return make_message(message_type::go);
  byte_string message = make_message(message_type::go, frame_tag());
  frame_tag tag = mac->tag(byte_view(message).first(header_size));
  mac->next_frame();
  std::ranges::copy(tag, message.begin() + header_size);
  return message;
}

inline std::error_code check_go(byte_view message, std::optional<frame_mac>& mac) {
  byte_view body = message.subspan(header_size);
  if (!mac) return body.empty() ? std::error_code() : tcp_error::malformed_handshake;
  if (!mac->matches(body, message.first(header_size))) return tcp_error::frame_altered;
  mac->next_frame();
  return {};
}

}  // namespace ilm::inline v0::detail::tcp
