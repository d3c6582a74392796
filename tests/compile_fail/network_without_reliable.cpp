// expect: N::reliable' (is|would be) invalid
#include <ilm/network.hpp>

#include <string>
#include <vector>

struct net {
#ifdef ILM_CONTROL
  static constexpr bool reliable = false;
#endif
  std::string local_id();
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const std::string&, std::vector<std::byte>);
  asio::awaitable<ilm::network_event<std::string>> receive();
};

static_assert(ilm::network<net>);
