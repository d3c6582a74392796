// expect: no operand of the disjunction|same_as<std::invoke_result_t|same_as<delivery_returns_t
#include <ilm/delivery.hpp>

#include <string>

struct handler {
#ifdef ILM_CONTROL
  asio::awaitable<void> operator()(ilm::message<std::string>);
#else
  bool operator()(ilm::message<std::string>);
#endif
};

static_assert(ilm::delivery<handler, std::string>);
