// expect: no ilm::delivery: it can be called neither with an ilm::message<PeerId> nor
// lines: 25
#include <ilm/ilm.hpp>

#include <string>

struct handler {
#ifdef ILM_CONTROL
  void operator()(const ilm::message<std::string>&) const;
#else
  void operator()() const;
#endif
};

void use(asio::any_io_executor executor, ilm::memory_network<std::string> network) {
  ilm::messenger m(executor, ilm::memory_backend<std::string>(), std::move(network), handler());
}
