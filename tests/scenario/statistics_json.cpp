#include "support/catch.hpp"
#include "support/world.hpp"

#include <ilm/statistics_json.hpp>

using namespace test;

TEST_CASE("statistics have a JSON form") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.send("b", "1");
  a.send("c", "2");
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1; }));
  w.run_for(1s);
  nlohmann::json j = a.statistics();
  REQUIRE(j.at("peers").size() == 2);
  CHECK(j.at("peers")[0].at("peer") == "b");
  CHECK(j.at("peers")[0].at("connected") == true);
  CHECK(j.at("peers")[0].at("delivered") == 1);
  CHECK(j.at("peers")[1].at("peer") == "c");
  CHECK(j.at("peers")[1].at("connected") == false);
  CHECK(j.at("peers")[1].at("outbox_depth") == 1);
  CHECK(j.at("peers")[1].at("oldest_age_ns") >= 1'000'000'000);
  CHECK(j.at("commits") > 0);
}

TEST_CASE("events have a JSON form that leaves out what is empty") {
  ilm::event_record n(ilm::event_kind::delivery_failed, ilm::error::inbox_closed);
  n.inbound = ilm::sequence_range{3, 3};
  nlohmann::json j = event("b", n);
  CHECK(j.at("kind") == "delivery_failed");
  CHECK(j.at("peer") == "b");
  CHECK(j.at("inbound").at("first") == 3);
  CHECK_FALSE(j.contains("outbound"));
  CHECK_FALSE(j.contains("text"));
  CHECK(nlohmann::json(event()).contains("peer") == false);
}

TEST_CASE("the JSON form of an event has the text that was thrown, and can be dumped") {
  std::string odd = "Gr\xfc\xdf, \"two\"\nlines" + std::string(5000, '\xc3');
  auto thrown = std::make_exception_ptr(std::runtime_error(odd));
  ilm::event_record n(ilm::event_kind::delivery_failed, ilm::detail::failure_of(thrown));
  nlohmann::json j = event("b", n);
  CHECK(j.at("error") == std::error_code(ilm::error::exception_without_code).message());
  CHECK(j.at("text").get<std::string>().starts_with("Gr??, \"two\"\nlines??"));
  CHECK(j.dump().find('\n') == std::string::npos);
}
