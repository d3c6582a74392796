#pragma once

// Intersession Layer Messaging: all that needs only Asio and the standard library.

#include <ilm/backends/memory.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/memory.hpp>
#include <ilm/options.hpp>
#include <ilm/statistics.hpp>

#include <string>

namespace ilm::inline v0 {

ILM_INSTANCE(
    class messenger<memory_backend<std::string>, memory_network<std::string>, inbox<std::string>>);

namespace runtime {

ILM_INSTANCE(class store_adapter<std::string, memory_backend<std::string>>);
ILM_INSTANCE(class network_adapter<std::string, memory_network<std::string>>);
ILM_INSTANCE(class delivery_adapter<std::string, inbox<std::string>>);

}  // namespace runtime

}  // namespace ilm::inline v0
