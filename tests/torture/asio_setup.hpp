#pragma once

// Before the first header of Asio. The driver shares no header with the library, where
// ilm/detail/language.hpp and co_await.hpp do the same.

// Asio 1.22 asks a macro of the standard library whether memory is from aligned_alloc.
#include <cstddef>

#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1
#endif
