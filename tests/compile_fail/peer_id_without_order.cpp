// expect: __t < __u[)]?' (is|would be) invalid
#include <ilm/codecs/bytes.hpp>
#include <ilm/network.hpp>

#include <compare>

struct id {
  int number = 0;
#ifdef ILM_CONTROL
  friend auto operator<=>(const id&, const id&) = default;
#else
  friend bool operator==(const id&, const id&) = default;
#endif
};

template <>
struct ilm::codec<id> {
  static void encode(const id& value, std::vector<std::byte>& out) {
    codec<int>::encode(value.number, out);
  }
  static id decode(std::span<const std::byte> in) { return {codec<int>::decode(in)}; }
};

static_assert(ilm::peer_identity<id>);
