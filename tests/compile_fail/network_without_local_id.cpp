// expect: n[.]local_id[(][)]' (is|would be) invalid
#include <ilm/network.hpp>

#include <string>
#include <vector>

struct net {
  static constexpr bool reliable = false;
#ifdef ILM_CONTROL
  std::string local_id();
#endif
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const std::string&, std::vector<std::byte>);
  asio::awaitable<ilm::network_event<std::string>> receive();
};

static_assert(ilm::network<net>);
