// expect: n[.]send[(].*' does not satisfy|same_as<void, asio::awaitable<void>
#include <ilm/ilm.hpp>

#include <string>
#include <vector>

struct net {
  static constexpr bool reliable = false;
  std::string local_id();
  std::size_t maximum_frame_size();
#ifdef ILM_CONTROL
  asio::awaitable<void> send(const std::string&, std::vector<std::byte>);
#else
  void send(const std::string&, std::vector<std::byte>);
#endif
  asio::awaitable<ilm::network_event<std::string>> receive();
};

ilm::messenger<ilm::memory_backend<std::string>, net, ilm::inbox<std::string>>* use;
