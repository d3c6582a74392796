// expect: the peer id type lacks operator<
// lines: 25
#include <ilm/ilm.hpp>

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

asio::awaitable<void> use(asio::any_io_executor executor) {
  ilm::memory_fabric<id> fabric;
  ilm::inbox<id> inbox;
  ilm::messenger m(executor, ilm::memory_backend<id>(), fabric.join(id{1}), inbox);
  co_await m.send_to(id{2}, "text");
  ilm::message<id> got = co_await inbox.receive();
  co_await m.send_to(got.from, "text");
}
