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

std::string_view name_seen_by_the_other();

std::string_view name_seen_by_the_other() { return ilm::error_category().name(); }
