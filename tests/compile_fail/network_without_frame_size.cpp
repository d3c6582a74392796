// expect: n[.]maximum_frame_size[(][)]' (is|would be) invalid
#include <ilm/network.hpp>

#include <string>
#include <vector>

struct net {
  static constexpr bool reliable = false;
  std::string local_id();
#ifdef ILM_CONTROL
  std::size_t maximum_frame_size();
#endif
  asio::awaitable<void> send(const std::string&, std::vector<std::byte>);
  asio::awaitable<ilm::network_event<std::string>> receive();
};

static_assert(ilm::network<net>);
