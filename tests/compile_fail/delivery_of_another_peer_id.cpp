// expect: (no operand of the disjunction is satisfied|'std::invocable<)
#include <ilm/deliveries/inbox.hpp>

#include <string>

#ifdef ILM_CONTROL
using id = std::string;
#else
using id = int;
#endif

static_assert(ilm::delivery<ilm::inbox<id>, std::string>);
