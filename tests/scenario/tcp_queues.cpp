// What waits within a node of a TCP network: for a socket, and for `receive`.

#include "support/catch.hpp"

#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/output_queue.hpp>

#include <asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

namespace tcp = ilm::detail::tcp;

tcp::byte_string bytes_with(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Takes its front out of a queue, as a socket that has room for it.
std::string taken_from(tcp::output_queue& queue) {
  std::array<asio::const_buffer, 8> buffers;
  std::string all;
  for (const asio::const_buffer& b : queue.gather(buffers)) {
    all.append(static_cast<const char*>(b.data()), b.size());
  }
  queue.consume(all.size());
  return all;
}

}  // namespace

TEST_CASE("tcp: what waits for a socket goes out together, as far as there are buffers") {
  tcp::output_queue queue;
  queue.push(bytes_with("ab"), bytes_with("cdef"), 3);
  for (int i = 0; i < 4; ++i) queue.push(bytes_with("12"), bytes_with("3"), 0);
  CHECK(taken_from(queue) == "def123123123");
  CHECK(taken_from(queue) == "123");
  CHECK(queue.empty());
}

TEST_CASE("tcp: problems that nobody receives are kept up to a bound") {
  asio::io_context context;
  tcp::event_source events(context.get_executor(), 1000);
  for (std::size_t i = 0; i < 2 * tcp::problem_limit; ++i) {
    ilm::detail::failure why;
    why.code = std::make_error_code(std::errc::connection_refused);
    events.add_problem(bytes_with(std::to_string(i)), std::move(why));
  }
  std::size_t kept = 0;
  while (events.poll()) ++kept;
  CHECK(kept == tcp::problem_limit);
}
