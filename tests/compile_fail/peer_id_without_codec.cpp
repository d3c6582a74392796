// expect: codec<T>::encode[(]value, out[)]' (is|would be) invalid
#include <ilm/ilm.hpp>

#include <compare>

struct id {
  int number = 0;
  friend auto operator<=>(const id&, const id&) = default;
};

#ifdef ILM_CONTROL
template <>
struct ilm::codec<id> {
  static void encode(const id& value, std::vector<std::byte>& out) {
    codec<int>::encode(value.number, out);
  }
  static id decode(std::span<const std::byte> in) { return {codec<int>::decode(in)}; }
};
#endif

ilm::messenger<ilm::memory_backend<id>, ilm::memory_network<id>, ilm::inbox<id>>* use;
