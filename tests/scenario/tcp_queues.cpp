// What waits within a node of a TCP network: for a socket, and for `receive`.

#include "support/catch.hpp"

#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/output_queue.hpp>

#include <asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

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

TEST_CASE("tcp: problems that nobody receives are kept up to a bound, and then summed up") {
  asio::io_context context;
  tcp::event_source events(context.get_executor(), 1000);
  for (std::size_t i = 0; i < 2 * tcp::problem_limit; ++i) {
    ilm::detail::failure why;
    why.code = std::make_error_code(std::errc::connection_refused);
    events.add_problem(bytes_with(std::to_string(i)), std::move(why));
  }
  std::vector<tcp::encoded_event> kept;
  while (std::optional<tcp::encoded_event> e = events.poll()) kept.push_back(std::move(*e));
  REQUIRE(kept.size() == tcp::problem_limit + 1);
  CHECK(kept[kept.size() - 2].why.text.empty());
  CHECK(*kept.back().peer == bytes_with(std::to_string(2 * tcp::problem_limit - 1)));
  CHECK(kept.back().why.text == kept.back().why.code.message() + "; " +
                                    std::to_string(tcp::problem_limit - 1) +
                                    " more were not reported");
  // All has been told.
  events.add_problem({}, std::make_error_code(std::errc::connection_refused));
  CHECK(events.poll()->why.text.empty());
}

TEST_CASE("tcp: a refusal that finds no room is counted by the next one that does") {
  asio::io_context context;
  tcp::event_source events(context.get_executor(), 1000);
  for (std::size_t i = 0; i < tcp::problem_limit; ++i) {
    events.add_problem({}, std::make_error_code(std::errc::connection_refused));
  }
  events.add_refusal({}, ilm::tcp_error::not_ilm);
  events.add_refusal({}, ilm::tcp_error::not_ilm);
  while (events.poll()) {
  }
  events.add_refusal({}, ilm::tcp_error::not_ilm);
  CHECK(events.poll()->why.text.ends_with("; 2 more were not reported"));
}
