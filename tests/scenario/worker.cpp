#include "support/catch.hpp"

#include <ilm/detail/asio.hpp>
#include <ilm/detail/worker.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

namespace {

using ilm::detail::worker;

/// The exception that the caller of the work gets; null if it gets none.
template <class Work>
std::exception_ptr thrown_by(Work work) {
  asio::io_context context;
  worker thread(context.get_executor());
  std::exception_ptr thrown;
  asio::co_spawn(context, thread.run(context.get_executor(), std::move(work)),
                 [&](std::exception_ptr e, auto...) { thrown = std::move(e); });
  context.run();
  return thrown;
}

}  // namespace

TEST_CASE("the caller of a worker gets the exception that the work threw, as it was") {
  std::exception_ptr locked =
      thrown_by([]() -> int { throw std::runtime_error("table is locked"); });
  CHECK_THROWS_WITH(std::rethrow_exception(locked), "table is locked");
  std::exception_ptr from_void = thrown_by([] { throw std::runtime_error("no result"); });
  CHECK_THROWS_WITH(std::rethrow_exception(from_void), "no result");
  std::exception_ptr number = thrown_by([]() -> int { throw 42; });
  CHECK_THROWS_AS(std::rethrow_exception(number), int);
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  try {
    std::rethrow_exception(thrown_by([&]() -> int { throw std::system_error(full, "orders"); }));
  } catch (const std::system_error& e) {
    CHECK(e.code() == full);
    CHECK(e.what() == "orders: " + full.message());
  }
  CHECK_FALSE(thrown_by([] { return 42; }));
  CHECK_FALSE(thrown_by([] {}));
}
