#pragma once

// The heavy header of the network over WebSocket, compiled once: see ilm/compiled.hpp.

#include <ilm/networks/websocket/transport.hpp>
