#include "support/catch.hpp"

#include <ilm/networks/tcp/frame_mac.hpp>
#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/handshake.hpp>

#include <string>
#include <vector>

using namespace ilm::detail::tcp;
using ilm::tcp_error;

namespace {

byte_string bytes_of(std::string_view text) {
  auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

byte_string from_hex(std::string_view hex) {
  byte_string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

bool is(byte_view digest, std::string_view hex) {
  byte_string expected = from_hex(hex);
  return std::equal(digest.begin(), digest.end(), expected.begin(), expected.end());
}

sha256::digest hash_of(std::string_view text, std::size_t part) {
  sha256 h;
  byte_string all = bytes_of(text);
  for (byte_view rest = all; !rest.empty();) {
    byte_view next = rest.first(std::min(part, rest.size()));
    h.update(next);
    rest = rest.subspan(next.size());
  }
  return h.finish();
}

sha256::digest hmac_of(byte_view key, std::string_view text) {
  hmac_sha256 h(key);
  h.update(bytes_of(text));
  return h.finish();
}

sha256::digest key_of(int n) {
  sha256::digest key{};
  key[0] = static_cast<std::byte>(n);
  return key;
}

/// One direction: frames are written with tags, and read.
struct direction {
  byte_string write(std::string_view text) {
    byte_string body = bytes_of(text);
    frame_head head(body.size(), body, outgoing);
    byte_string out(head.bytes().begin(), head.bytes().end());
    out.insert(out.end(), body.begin(), body.end());
    return out;
  }
  /// The frames that are taken of a stream of bytes.
  std::vector<byte_string> read(byte_view in) {
    std::vector<byte_string> frames;
    byte_string frame;
    while (!in.empty() && !splitter.altered() && !splitter.too_large()) {
      std::span<std::byte> space = splitter.space();
      byte_view part = in.first(std::min(in.size(), space.size()));
      std::copy(part.begin(), part.end(), space.begin());
      splitter.filled(part.size());
      in = in.subspan(part.size());
      while (splitter.poll(frame)) frames.push_back(std::move(frame));
    }
    return frames;
  }

  std::optional<frame_mac> outgoing{key_of(1)};
  frame_splitter splitter{100'000, frame_mac(key_of(1))};
};

byte_string operator+(byte_string a, const byte_string& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("SHA-256 gives the digests of FIPS 180-4, in parts of any size") {
  CHECK(is(hash_of("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  CHECK(is(hash_of("abc", 9), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  std::string million(1'000'000, 'a');
  for (std::size_t part : {1u, 63u, 64u, 65u, 1000u, 1'000'000u}) {
    CHECK(is(hash_of(million, part),
             "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
  }
  // Each place in which padding can begin, against sums that another implementation gave.
  sha256 all;
  for (std::size_t size = 0; size < 130; ++size) all.update(hash_of(std::string(size, 'x'), 7));
  CHECK(is(all.finish(), "6d0989028287a2bd990515b95658bb810cf688b69517dfc49e4b3778e0b6d923"));
}

TEST_CASE("SHA-256 in plain C++ gives what the processor's instructions give") {
  byte_string blocks;
  for (int i = 0; i < 4096; ++i) blocks.push_back(static_cast<std::byte>(i * i >> 3));
  for (std::size_t count : {0u, 1u, 2u, 64u}) {
    sha256_state here{1, 2, 3, 4, 5, 6, 7, 8}, portable = here;
    compress_sha256(here, blocks.data(), count);
    compress_portably(portable, blocks.data(), count);
    CHECK(here == portable);
  }
}

TEST_CASE("HMAC-SHA-256 and HKDF-Expand give the values of RFC 4231 and RFC 5869") {
  CHECK(is(hmac_of(byte_string(20, std::byte{0x0b}), "Hi There"),
           "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
  CHECK(is(hmac_of(bytes_of("Jefe"), "what do ya want for nothing?"),
           "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
  byte_string key = from_hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  CHECK(is(hkdf_expand(key, "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9"),
           "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
}

TEST_CASE("frames with tags are read as they were written, however they arrive") {
  std::size_t part = GENERATE(1u, 7u, 1000u, 1'000'000u);
  direction d;
  std::vector<std::string> texts{"one", "", std::string(70'000, 'x'), "four", ""};
  byte_string stream;
  for (const std::string& text : texts) stream = stream + d.write(text);
  std::vector<byte_string> read;
  for (std::size_t at = 0; at < stream.size(); at += part) {
    byte_view next = byte_view(stream).subspan(at, std::min(part, stream.size() - at));
    for (byte_string& frame : d.read(next)) read.push_back(std::move(frame));
  }
  REQUIRE(read.size() == texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(read[i] == bytes_of(texts[i]));
}

TEST_CASE("no bit of a stream of frames can be changed") {
  direction d;
  const byte_string first = d.write("one"), second = d.write(""), third = d.write("three");
  const byte_string stream = first + second + third;
  for (std::size_t bit = 0; bit < 8 * stream.size(); ++bit) {
    byte_string changed = stream;
    changed[bit / 8] ^= std::byte{1} << (bit % 8);
    direction reader;
    std::vector<byte_string> read = reader.read(changed);
    std::size_t whole = bit / 8 < first.size() ? 0 : bit / 8 < (first + second).size() ? 1 : 2;
    // It is found at once, without the wait for bytes that a changed size would promise.
    CHECK(reader.splitter.altered());
    CHECK(read.size() == whole);
  }
}

TEST_CASE("a frame that is dropped, repeated, moved, or of another direction is not read") {
  direction d;
  const byte_string one = d.write("one"), two = d.write("two"), three = d.write("three");
  direction other;
  other.outgoing.emplace(key_of(2));
  for (const byte_string& stream :
       {one + three, one + one, one + three + two, one + other.write("two")}) {
    direction reader;
    CHECK(reader.read(stream).size() == 1);
    CHECK(reader.splitter.altered());
  }
}

TEST_CASE("a ping with a tag is one, and no frame of bytes") {
  direction d;
  frame_head head(ping_size, {}, d.outgoing);
  byte_string stream(head.bytes().begin(), head.bytes().end());
  CHECK(stream.size() == frame_prefix_size + frame_tag_size);
  CHECK(d.read(stream + d.write("x")).size() == 2);
  CHECK(d.splitter.take_ping());
  CHECK_FALSE(d.splitter.take_ping());
}

TEST_CASE("a go has the first tag of its direction") {
  std::optional<frame_mac> leader(key_of(1)), follower(key_of(1)), none;
  byte_string go = make_go(leader);
  for (std::size_t at = header_size; at < go.size(); ++at) {
    byte_string changed = go;
    changed[at] ^= std::byte{1};
    CHECK(check_go(changed, follower) == tcp_error::frame_altered);
  }
  CHECK(check_go(make_go(none), follower) == tcp_error::frame_altered);
  CHECK(check_go(go, none) == tcp_error::malformed_handshake);
  CHECK_FALSE(check_go(go, follower));
  CHECK(check_go(go, follower) == tcp_error::frame_altered);
  CHECK_FALSE(check_go(make_go(none), none));
}
