// expect: b[.]open[(][)]' does not satisfy|awaitable<ilm::store_state<int>
#include <ilm/backends/memory.hpp>

#include <string>

#ifdef ILM_CONTROL
using store = ilm::memory_backend<std::string>;
#else
using store = ilm::memory_backend<int>;
#endif

static_assert(ilm::backend<store, std::string>);
