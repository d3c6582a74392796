#pragma once

// Intersession Layer Messaging: all that needs only Asio and the standard library.

#include <ilm/backends/memory.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/memory.hpp>
#include <ilm/options.hpp>
#include <ilm/statistics.hpp>
