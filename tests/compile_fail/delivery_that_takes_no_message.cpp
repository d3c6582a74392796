// expect: d[(]std::move[(]m[)][)]' (is|would be) invalid
#include <ilm/ilm.hpp>

#include <string>

struct handler {
#ifdef ILM_CONTROL
  void operator()(const ilm::message<std::string>&) const;
#else
  void operator()() const;
#endif
};

ilm::messenger<ilm::memory_backend<std::string>, ilm::memory_network<std::string>, handler>* use;
