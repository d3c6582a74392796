// Not compiled with the tests: see CMakeLists.txt.
#include <asio/io_context.hpp>
