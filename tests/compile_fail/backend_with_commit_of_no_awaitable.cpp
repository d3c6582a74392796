// expect: b[.]commit[(]change[)]' does not satisfy|same_as<void, asio::awaitable<void>
#include <ilm/backend.hpp>

#include <string>
#include <vector>

struct store {
  static constexpr ilm::durability durable_to = ilm::durability::process;
  asio::awaitable<ilm::store_state<std::string>> open();
#ifdef ILM_CONTROL
  asio::awaitable<void> commit(const ilm::batch<std::string>&);
#else
  void commit(const ilm::batch<std::string>&);
#endif
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue, const std::string&,
                                                         std::uint64_t, ilm::page_limit);
  asio::awaitable<void> close();
};

static_assert(ilm::backend<store, std::string>);
