#include "support/catch.hpp"
#include "support/receive_race.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp.hpp>

using namespace std::chrono_literals;

TEST_CASE("a frame that comes with the cancellation of a receive stays for the next: TCP") {
  asio::io_context c;
  ilm::tcp_network<> a(c, "a"), b(c, "b");
  b.listen("127.0.0.1:0");
  a.add_peer("b", "127.0.0.1:" + std::to_string(b.port()));
  std::optional<test::incoming> up_a, up_b;
  auto begin = [](ilm::tcp_network<>& n,
                  std::optional<test::incoming>& up) -> asio::awaitable<void> {
    up = co_await n.receive();
  };
  asio::co_spawn(c, begin(a, up_a), asio::detached);
  asio::co_spawn(c, begin(b, up_b), asio::detached);
  while (!up_a || !up_b) c.run_one_for(10ms);
  for (std::size_t handlers = 0; handlers < 60; ++handlers) test::race(c, a, b, handlers);
}
