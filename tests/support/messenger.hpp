#pragma once

// For tests that need the messenger itself and not only what test::peer shows of it.

#include "support/world.hpp"
