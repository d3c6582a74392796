// expect: b[.]commit[(]change[)]' (is|would be) invalid
#include <ilm/ilm.hpp>

#include <string>
#include <vector>

struct store {
  static constexpr ilm::durability durable_to = ilm::durability::process;
  asio::awaitable<ilm::store_state<std::string>> open();
#ifdef ILM_CONTROL
  asio::awaitable<void> commit(const ilm::batch<std::string>&);
#endif
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::box, const std::string&,
                                                         std::uint64_t, ilm::page_limit);
  asio::awaitable<void> close();
};

using network = ilm::memory_network<std::string>;
using inbox = ilm::inbox<std::string>;

ilm::messenger<store, network, inbox>* use;
