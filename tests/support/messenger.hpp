#pragma once

// For tests that need the messenger itself and not only what test::peer shows of it.

#include "support/world.hpp"

// Compiled in world.cpp.
extern template class ilm::runtime::engine<test::backend, test::network, test::handler,
                                           test::clock>;
