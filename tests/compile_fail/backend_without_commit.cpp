// expect: no ilm::backend: it lacks `asio::awaitable<void> commit
// lines: 25
#include <ilm/ilm.hpp>

#include <string>
#include <vector>

struct store {
  static constexpr ilm::durability durable_to = ilm::durability::process;
  asio::awaitable<ilm::store_state<std::string>> open();
#ifdef ILM_CONTROL
  asio::awaitable<void> commit(const ilm::batch<std::string>&);
#endif
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue, const std::string&,
                                                         std::uint64_t, ilm::page_limit);
  asio::awaitable<void> close();
};

void use(asio::any_io_executor executor, ilm::memory_network<std::string> network,
         ilm::inbox<std::string> inbox) {
  ilm::messenger m(executor, store(), std::move(network), inbox);
}
