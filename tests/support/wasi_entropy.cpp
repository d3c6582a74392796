// Random numbers by WASI's preview 1: those of Emscripten's standalone modules abort.

#include <cstddef>
#include <cstdint>
#include <wasi/api.h>

extern "C" int getentropy(void* to, std::size_t size) {
  return __wasi_random_get(static_cast<std::uint8_t*>(to), size) == __WASI_ERRNO_SUCCESS ? 0 : -1;
}
