// expect: no ilm::network: it lacks `asio::awaitable<void> send
// lines: 25
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

void use(asio::any_io_executor executor) {
  ilm::messenger m(executor, ilm::memory_backend<std::string>(), net(), ilm::inbox<std::string>());
}
