// expect: B::durable_to' (is|would be) invalid
#include <ilm/backend.hpp>

#include <string>
#include <vector>

struct store {
#ifdef ILM_CONTROL
  static constexpr ilm::durability durable_to = ilm::durability::process;
#endif
  asio::awaitable<ilm::store_state<std::string>> open();
  asio::awaitable<void> commit(const ilm::batch<std::string>&);
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue, const std::string&,
                                                         std::uint64_t, ilm::page_limit);
  asio::awaitable<void> close();
};

static_assert(ilm::backend<store, std::string>);
