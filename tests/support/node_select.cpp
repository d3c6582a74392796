// Emscripten's select returns at once when nothing is ready, so that Asio, which waits in it for
// the next timer, would spin. Here it sleeps for the timeout first: in a program that node runs
// nothing else could become ready.

#include <emscripten.h>
#include <sys/select.h>

// Atomics.wait blocks the thread, which node allows.
// clang-format off
EM_JS(void, ilm_sleep, (double milliseconds), {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
});
// clang-format on

extern "C" {

/// Asked for by the linker: this file's select comes before a page's.
void ilm_in_node() {}

int __real_select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout);

int __wrap_select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout) {
  fd_set asked[3] = {};
  fd_set* sets[3] = {reads, writes, exceptions};
  for (int i = 0; i < 3; ++i) {
    if (sets[i]) asked[i] = *sets[i];
  }
  timeval none{};
  int ready = __real_select(count, reads, writes, exceptions, &none);
  if (ready != 0 || !timeout) return ready;
  ilm_sleep(static_cast<double>(timeout->tv_sec) * 1000 +
            static_cast<double>(timeout->tv_usec) / 1000);
  for (int i = 0; i < 3; ++i) {
    if (sets[i]) *sets[i] = asked[i];
  }
  return __real_select(count, reads, writes, exceptions, &none);
}
}
