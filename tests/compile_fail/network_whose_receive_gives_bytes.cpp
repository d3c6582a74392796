// expect: n[.]receive[(][)]' does not satisfy|same_as<asio::awaitable<std::vector<std::byte>
#include <ilm/network.hpp>

#include <string>
#include <vector>

struct net {
  static constexpr bool reliable = false;
  std::string local_id();
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const std::string&, std::vector<std::byte>);
#ifdef ILM_CONTROL
  asio::awaitable<ilm::network_event<std::string>> receive();
#else
  asio::awaitable<std::vector<std::byte>> receive();
#endif
};

static_assert(ilm::network<net>);
