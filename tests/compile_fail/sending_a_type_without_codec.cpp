// expect: sendable<Contents>' .*= order|'order' does not satisfy 'sendable'
#include <ilm/ilm.hpp>

#include <string>

struct order {
  int price = 0;
};

using messenger = ilm::messenger<ilm::memory_backend<std::string>, ilm::memory_network<std::string>,
                                 ilm::inbox<std::string>>;

asio::awaitable<void> use(messenger& m) {
#ifdef ILM_CONTROL
  co_await m.send_to("b", order{}.price);
#else
  co_await m.send_to("b", order{});
#endif
}
