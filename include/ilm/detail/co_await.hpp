#pragma once

#include <ilm/detail/language.hpp>

#include <asio/version.hpp>

// Before 1.26, Asio takes clang to have the coroutines TS or no coroutines, and leaves three
// headers empty, the only ones that depend on it. This reads them again, whatever has included them
// already.
#if defined(__clang__) && !defined(_MSC_VER) && ASIO_VERSION < 102600
#include <asio/detail/config.hpp>
#ifndef ASIO_HAS_CO_AWAIT
#define ASIO_HAS_CO_AWAIT 1
#undef ASIO_AWAITABLE_HPP
#undef ASIO_CO_SPAWN_HPP
#undef ASIO_USE_AWAITABLE_HPP
#endif
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>
#endif
