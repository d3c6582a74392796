#pragma once

// What is compiled once of the network over WebSocket: see ilm/compiled.hpp.

#include <ilm/networks/websocket.hpp>
#include <ilm/networks/websocket/transport.hpp>
