#include "support/catch.hpp"
#include "support/world.hpp"

#include <ilm/statistics_json.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

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
  CHECK(j.at("held_bytes") == 0);
}

TEST_CASE("each figure of the statistics is in the JSON form under its own name") {
  ilm::messenger_totals totals;
  totals.commits = 1;
  totals.commits_failed = 2;
  totals.uncommitted_messages = 3;
  totals.uncommitted_bytes = 4;
  totals.held_bytes = 5;
  totals.events_lost = 6;
  ilm::messenger_statistics<std::string> s(totals);
  ilm::peer_figures f;
  f.connected = true;
  f.outbox_depth = 7;
  f.inbox_depth = 8;
  f.oldest_age = std::chrono::nanoseconds(9);
  f.in_flight = 10;
  f.round_trip = std::chrono::nanoseconds(11);
  f.accepted = 12;
  f.delivered = 13;
  f.received = 14;
  f.resent = 15;
  f.duplicates_dropped = 16;
  f.frames_sent = 17;
  f.frames_received = 18;
  f.frames_stale = 19;
  f.frames_rejected = 20;
  s.peers.emplace_back("b", f);
  nlohmann::json of_peer = {
      {"peer", "b"},          {"connected", true},     {"outbox_depth", 7},
      {"inbox_depth", 8},     {"oldest_age_ns", 9},    {"in_flight", 10},
      {"round_trip_ns", 11},  {"accepted", 12},        {"delivered", 13},
      {"received", 14},       {"resent", 15},          {"duplicates_dropped", 16},
      {"frames_sent", 17},    {"frames_received", 18}, {"frames_stale", 19},
      {"frames_rejected", 20}};
  nlohmann::json all = {
      {"commits", 1},           {"commits_failed", 2}, {"uncommitted_messages", 3},
      {"uncommitted_bytes", 4}, {"held_bytes", 5},     {"events_lost", 6}};
  all["peers"].push_back(of_peer);
  CHECK(nlohmann::json(s) == all);
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
  CHECK(j.at("text").get<std::string>().starts_with(R"(Gr\xfc\xdf, "two"\nlines\xc3\xc3)"));
  CHECK(j.dump().find('\n') == std::string::npos);
}

TEST_CASE("a peer id that is no UTF-8 has a JSON form that can be dumped") {
  ilm::event<std::string> e("b\xff\n\\", ilm::event_record(ilm::event_kind::peer_connected));
  CHECK(nlohmann::json(e).dump() == R"({"kind":"peer_connected","peer":"b\\xff\\n\\\\"})");
  ilm::messenger_statistics<std::string> s;
  s.peers.emplace_back("b\xff", ilm::peer_figures());
  nlohmann::json j = s;
  CHECK(j.at("peers")[0].at("peer") == R"(b\xff)");
  CHECK_NOTHROW(j.dump());
}

TEST_CASE("a text that a program put into an event is printable in its JSON form") {
  ilm::event_record r(ilm::event_kind::network_problem);
  r.text = "\xc3\x1b[2J";
  CHECK(nlohmann::json(event("b", r)).at("text") == R"(\xc3\x1b[2J)");
}

namespace {

struct place {
  std::string city;
  int number = 0;
};
void to_json(nlohmann::json& out, const place& p) {
  out = nlohmann::json{{"city", p.city}, {"numbers", {p.number}}};
}

struct coin {
  std::array<unsigned char, 2> bytes{};
};

}  // namespace

template <>
struct ilm::codec<coin> {
  static void encode(const coin& t, std::vector<std::byte>& out) {
    for (unsigned char b : t.bytes) out.push_back(std::byte{b});
  }
};

TEST_CASE("an id that is no text keeps its own JSON form, with printable texts inside") {
  ilm::event_record r(ilm::event_kind::gap);
  nlohmann::json j = ilm::event<place>(place{"K\xf6ln", 7}, r);
  CHECK(j.at("peer").dump() == R"({"city":"K\\xf6ln","numbers":[7]})");
  CHECK(nlohmann::json(ilm::event<int>(7, r)).at("peer") == 7);
}

TEST_CASE("two keys of an id stay two in its JSON form") {
  nlohmann::json id = {{"a\n", 1}, {"a\\n", 2}, {"\x85", 3}, {"\xc2\x85", 4}};
  nlohmann::json j = ilm::detail::json_of_id(id);
  CHECK(j.size() == 4);
  CHECK(j.at(R"(a\n)") == 1);
  CHECK(j.at(R"(a\\n)") == 2);
  CHECK(j.at(R"(\x85)") == 3);
  CHECK(j.at(R"(\u0085)") == 4);
}

TEST_CASE("an id without a JSON form has the digits of its bytes") {
  nlohmann::json j = ilm::event<coin>(coin{{0x1f, 0xff}}, {});
  CHECK(j.at("peer") == "1fff");
}
