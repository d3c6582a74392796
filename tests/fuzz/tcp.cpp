// The handshake of TCP peers, and the cutting of the stream into frames, without a socket. An
// attacker sits between two honest sides and knows the messages of an earlier handshake; with keys,
// a side ends up proven only if it read exactly the bytes that the other wrote.

#include "fuzz/input.hpp"

#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/handshake.hpp>
#include <ilm/networks/tcp_psk.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <string_view>
#include <vector>

namespace {

using namespace ilm::detail::tcp;
using fuzz::require;
using prover = decltype(ilm::tcp_options::prove);

// Framing.

/// Whether a size beyond the maximum, and what follows it, is a refusal or may become one.
bool may_be_refusal(byte_view in) {
  if (!begins_message(in)) return false;
  if (in.size() < header_size) return true;
  message_header header;
  return !read_header(in.first<header_size>(), header) && header.type == message_type::refusal;
}

/// The frames of a stream, cut in the simplest way, a ping as an empty one; stops at one that
/// exceeds the maximum.
std::vector<byte_string> cut(byte_view stream, std::size_t maximum, bool& too_large) {
  std::vector<byte_string> frames;
  too_large = false;
  while (stream.size() >= frame_prefix_size) {
    std::size_t size = 0;
    for (std::byte b : stream.first(frame_prefix_size)) {
      size = size << 8 | std::to_integer<std::size_t>(b);
    }
    if (size == ping_size) size = 0;
    if (size > maximum) {
      too_large = !may_be_refusal(stream);
      break;
    }
    if (stream.size() - frame_prefix_size < size) break;
    byte_view frame = stream.subspan(frame_prefix_size, size);
    frames.emplace_back(frame.begin(), frame.end());
    stream = stream.subspan(frame_prefix_size + size);
  }
  return frames;
}

void check_framing(fuzz::input& in) {
  std::size_t maximum = in.number<std::uint16_t>() + std::size_t{1};
  std::size_t part = in.below(64) + std::size_t{1};
  // Frames of some size as well, which a mutation of bytes does not make.
  byte_string stream;
  for (std::size_t count = in.below(4); count > 0; --count) {
    std::size_t size = in.number<std::uint16_t>();
    if (in.coin()) size *= 3;
    for (std::byte b : frame_prefix(size)) stream.push_back(b);
    stream.resize(stream.size() + size, static_cast<std::byte>(size));
    part *= 16;
  }
  byte_view rest = in.rest();
  stream.insert(stream.end(), rest.begin(), rest.end());

  bool too_large = false;
  std::vector<byte_string> expected = cut(stream, maximum, too_large);
  frame_splitter splitter(maximum);
  std::vector<byte_string> found;
  for (std::size_t at = 0;
       at < stream.size() && !splitter.too_large() && splitter.refusal().empty();) {
    std::span<std::byte> space = splitter.space();
    require(!space.empty(), "the splitter has no space for the next bytes");
    require(space.size() <= std::max<std::size_t>(64 << 10, 2 * at + part),
            "the splitter sets memory aside for bytes that did not come");
    std::size_t size = std::min({part, space.size(), stream.size() - at});
    std::ranges::copy(byte_view(stream).subspan(at, size), space.begin());
    splitter.filled(size);
    at += size;
    byte_string frame;
    while (splitter.poll(frame)) found.push_back(std::move(frame));
  }
  require(found == expected, "the stream was cut into other frames");
  require(splitter.too_large() == too_large, "a frame beyond the maximum is not noticed");
}

// The handshake.

/// One side, and its messages in both directions.
struct side {
  side(bool dials, hello mine, const prover& prove) : h(dials, std::move(mine), prove) {}

  void write(byte_view messages) {
    while (!messages.empty()) {
      message_header header;
      require(messages.size() >= header_size &&
                  !read_header(messages.first<header_size>(), header) &&
                  messages.size() >= header_size + header.body_size,
              "a side writes bytes that are no message");
      byte_view message = messages.first(header_size + header.body_size);
      wrote.emplace_back(message.begin(), message.end());
      outgoing.push_back(wrote.back());
      messages = messages.subspan(message.size());
    }
  }

  void read(const byte_string& message) {
    if (failed || message.size() < header_size) return;
    message_header header;
    failed = read_header(std::span(message).first<header_size>(), header);
    if (failed || message.size() != header_size + header.body_size) return;
    if (header.type == message_type::refusal) {
      failed = read_refusal(byte_view(message).subspan(header_size));
      require(is_reason(failed), "a refusal gives no reason");
      return;
    }
    // Once it is proven, the connection reads on by itself.
    if (h.proven()) return;
    byte_string answer;
    failed = h.handle(header.type, message, answer);
    if (failed) return;
    heard.push_back(message);
    write(answer);
  }

  handshake h;
  std::vector<byte_string> wrote, heard;
  std::deque<byte_string> outgoing;
  std::error_code failed;
};

hello hello_of(std::string_view from, std::string_view to, bool keyed, std::uint8_t nonce) {
  hello h;
  h.keyed = keyed;
  h.maximum_frame_size = 4096;
  h.nonce.fill(static_cast<std::byte>(nonce));
  for (char c : from) h.sender.push_back(static_cast<std::byte>(c));
  for (char c : to) h.destination.push_back(static_cast<std::byte>(c));
  return h;
}

const prover& key_of(std::size_t which) {
  static const std::array<prover, 3> keys{prover(), prover(ilm::pre_shared_key("sixteen letters!")),
                                          prover(ilm::pre_shared_key("sixteen others.."))};
  return keys[which];
}

/// The knowledge of an eavesdropper: all messages of two honest sides under the first key.
const std::vector<byte_string>& overheard() {
  static const std::vector<byte_string> all = [] {
    side dialer(true, hello_of("d", "a", true, 1), key_of(1));
    side acceptor(false, hello_of("a", "", true, 2), key_of(1));
    dialer.write(dialer.h.begin());
    for (int i = 0; i < 4; ++i) {
      for (; !dialer.outgoing.empty(); dialer.outgoing.pop_front()) {
        acceptor.read(dialer.outgoing.front());
      }
      for (; !acceptor.outgoing.empty(); acceptor.outgoing.pop_front()) {
        dialer.read(acceptor.outgoing.front());
      }
    }
    require(dialer.h.proven() && acceptor.h.proven(), "two honest sides do not come together");
    std::vector<byte_string> said = dialer.wrote;
    said.insert(said.end(), acceptor.wrote.begin(), acceptor.wrote.end());
    return said;
  }();
  return all;
}

byte_string tampered(fuzz::input& in, byte_string message, const side& from, const side& to) {
  switch (in.below(8)) {
    case 0:
      if (!message.empty()) message[in.byte() % message.size()] ^= std::byte{in.byte()};
      return message;
    case 1:
      return overheard()[in.below(overheard().size())];
    case 2:  // its own words, or older ones of the other's
      if (!to.wrote.empty()) return to.wrote[in.below(to.wrote.size())];
      return message;
    case 3:
      if (!from.wrote.empty()) return from.wrote[in.below(from.wrote.size())];
      return message;
    case 4: {
      byte_view body = in.take(in.byte());
      return make_message(static_cast<message_type>(in.below(5)), body);
    }
    case 5: {
      bool as_dialer = in.coin(), keyed = in.coin();
      hello forged = as_dialer ? hello_of("d", "a", keyed, 5) : hello_of("a", "d", keyed, 5);
      forged.nonce.fill(std::byte{in.byte()});
      return forged.encode();
    }
    default:
      return message;
  }
}

/// A side is proven only if the other wrote the bytes that it read: with keys, to the byte.
void check_proven(const side& me, const side& other, bool keyed, bool same_key) {
  if (!me.h.proven()) return;
  const hello& theirs = me.h.theirs();
  require(theirs.keyed == keyed, "one side has keys, the other has not, and they agree");
  require(theirs.maximum_frame_size == 4096, "two sizes of frames are agreed on");
  if (!keyed) return;
  require(same_key, "another key is as good");
  require(!me.heard.empty() && !me.wrote.empty() && !other.wrote.empty() && !other.heard.empty(),
          "a side is proven to nobody");
  require(me.heard.front() == other.wrote.front(), "a hello was forged");
  require(other.heard.front() == me.wrote.front(), "the other side read another hello");
}

void check_handshake(fuzz::input& in) {
  std::size_t dialer_key = in.below(3), acceptor_key = in.below(3);
  side dialer(true, hello_of("d", "a", dialer_key != 0, 3), key_of(dialer_key));
  side acceptor(false, hello_of("a", "", acceptor_key != 0, 4), key_of(acceptor_key));
  dialer.write(dialer.h.begin());
  bool honest = true;
  for (int i = 0; i < 16; ++i) {
    bool to_acceptor = in.coin();
    side& from = to_acceptor ? dialer : acceptor;
    side& to = to_acceptor ? acceptor : dialer;
    byte_string message;
    if (!from.outgoing.empty()) {
      message = std::move(from.outgoing.front());
      from.outgoing.pop_front();
    }
    if (in.coin()) {
      message = tampered(in, std::move(message), from, to);
      honest = false;
    }
    to.read(message);
    check_proven(dialer, acceptor, dialer_key != 0, dialer_key == acceptor_key);
    check_proven(acceptor, dialer, acceptor_key != 0, dialer_key == acceptor_key);
    if (in.empty()) break;
  }
  if (honest && dialer_key == acceptor_key) {
    require(!dialer.failed && !acceptor.failed, "two honest sides disagree");
  }
}

void check_hello(byte_view body) {
  hello h;
  if (!h.decode(body)) return;
  require(!h.sender.empty() && !h.destination.empty(), "an empty id is accepted");
  require(same(h.encode(), make_message(message_type::hello, body)), "a hello changed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(std::as_bytes(std::span(data, size)));
  switch (in.below(3)) {
    case 0:
      check_framing(in);
      break;
    case 1:
      check_hello(in.rest());
      break;
    default:
      check_handshake(in);
  }
  return 0;
}
