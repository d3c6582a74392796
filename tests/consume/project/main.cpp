#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>
#ifdef WITH_SQLITE
#include <ilm/backends/sqlite.hpp>
#endif
#ifdef WITH_OPENSSL
#include <ilm/networks/tcp_psk.hpp>
#endif
#ifdef WITH_JSON
#include <ilm/codecs/json.hpp>
#endif

#include <string_view>

// Of other.cpp, which includes the same headers: a definition in both would not link.
std::string_view name_seen_by_the_other();

int main() {
  const std::string_view name = ilm::error_category().name();
  return name == "ilm" && name == name_seen_by_the_other() ? 0 : 1;
}
