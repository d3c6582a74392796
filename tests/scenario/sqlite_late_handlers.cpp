#include "support/catch.hpp"
#include "support/late_handlers.hpp"
#include "support/messenger.hpp"
#include "support/sqlite.hpp"

#include <optional>

using namespace test;

TEST_CASE("sqlite: a successor on the file waits for a handler that outlives a shutdown") {
  using stubborn = stubborn_of<std::string>;
  using strings = std::vector<std::string>;
  using file_messenger =
      ilm::messenger<ilm::sqlite_backend<>, ilm::memory_network<std::string>, stubborn>;
  bool shut_down = GENERATE(true, false);
  temporary_directory directory;
  asio::io_context context;
  ilm::memory_fabric<std::string> net;
  auto app = std::make_shared<calls>(), other = std::make_shared<calls>();
  auto until = [&](auto done) {
    for (auto end = std::chrono::steady_clock::now() + 30s; !done();) {
      if (std::chrono::steady_clock::now() > end) return false;
      context.restart();
      context.run_one_for(10ms);
    }
    return true;
  };
  auto file = [&](const char* name) { return ilm::sqlite_backend<>(directory / name); };
  file_messenger a(context, file("a"), net.join("a"), stubborn(other));
  std::optional<file_messenger> b;
  b.emplace(context, file("b"), net.join("b"), stubborn(app));
  a.send_to("b", "x", [](std::error_code, std::uint64_t) {});
  REQUIRE(until([&] { return app->running() == 1; }));
  std::optional<report> left;
  if (shut_down) {
    b->shutdown(0s, [&](std::error_code, report r) { left = std::move(r); });
    REQUIRE(until([&] { return left.has_value(); }));
    CHECK(left->running == 1);
  }
  b.emplace(context, file("b"), net.join("b"), stubborn(app));
  std::optional<event> told;
  b->next_event([&](std::error_code, event e) { told = std::move(e); });
  REQUIRE(until([&] { return told.has_value(); }));
  CHECK(told->kind == ilm::event_kind::store_failed);
  CHECK(told->error == ilm::error::store_in_use);
  CHECK(app->begun == strings{"x"});
  app->let_go("x");
  if (!shut_down) {
    REQUIRE(until([&] { return app->begun.size() == 2; }));
    app->let_go("x");
  }
  REQUIRE(until([&] { return other->running() == 1; }));  // the reply
  CHECK(app->begun == (shut_down ? strings{"x"} : strings{"x", "x"}));
  CHECK_FALSE(app->overlapped);
  app->waiting.clear();
  other->waiting.clear();
}
