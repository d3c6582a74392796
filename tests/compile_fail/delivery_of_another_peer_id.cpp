// expect: d[(]std::move[(]m[)][)]' (is|would be) invalid
#include <ilm/deliveries/inbox.hpp>

#include <string>

#ifdef ILM_CONTROL
using id = std::string;
#else
using id = int;
#endif

static_assert(ilm::delivery<ilm::inbox<id>, std::string>);
