// expect: (!Reliable .*|!true)' evaluated to '?false
#include <ilm/networks/memory.hpp>

#include <chrono>
#include <string>

#ifdef ILM_CONTROL
constexpr bool reliable = false;
#else
constexpr bool reliable = true;
#endif

void use(ilm::memory_fabric<std::string, std::chrono::steady_clock, reliable>& f) {
  f.set_faults({});
}
