#include "support/catch.hpp"
#include "support/messenger.hpp"

#include <string>
#include <vector>

using namespace test;

// Attributes of messages, as the users of a messenger see them.

namespace {

using headers = std::vector<ilm::header>;

struct pair {
  world w;
  peer a = w.make("a"), b = w.make("b");

  std::error_code send(const std::string& text, const ilm::send_options& with) {
    std::error_code result = asio::error::in_progress;
    (*a).send_to("b", text, with, [&](std::error_code e, std::uint64_t) { result = e; });
    w.until([&] { return result != asio::error::in_progress; });
    return result;
  }
  const message& received(std::size_t n) {
    w.until([&] { return b.app().consumed.size() > n; });
    return b.app().consumed.at(n);
  }
};

}  // namespace

TEST_CASE("headers arrive with their message, in order, and others have none") {
  pair p;
  p.a.start();
  p.b.start();
  ilm::send_options with;
  with.headers = {{"k", "v"}, {"empty", ""}};
  REQUIRE_FALSE(p.send("one", with));
  REQUIRE_FALSE(p.send("two", {}));
  CHECK(p.received(0).text() == "one");
  CHECK(p.received(0).attributes.headers() == with.headers);
  CHECK_FALSE(p.received(0).attributes.sent_at());
  CHECK(p.received(1).attributes.empty());
}

TEST_CASE("attributes outlive crashes of both sides, in the outbox and in the inbox") {
  pair p;
  p.a.start();
  ilm::send_options with;
  with.headers = {{"k", "v"}};
  with.sent_at = ilm::attributes::time_point(std::chrono::microseconds(77));
  REQUIRE_FALSE(p.send("text", with));
  p.a.crash();
  // The receiver stores the message and its application does not consume it.
  p.b.start();
  p.b.app().check = [](const message&) { throw std::runtime_error("not now"); };
  p.a.restart();
  REQUIRE(p.w.until([&] { return p.b.disk().size(ilm::queue::inbox) == 1; }));
  p.b.crash();
  p.a.crash();
  p.b.app().check = {};
  p.b.restart();
  CHECK(p.received(0).attributes.headers() == with.headers);
  CHECK(p.received(0).attributes.sent_at() == with.sent_at);
}

TEST_CASE("a send with attributes beyond the bounds ends with an error and takes no sequence") {
  pair p;
  p.a.start();
  p.b.start();
  ilm::send_options twice;
  twice.headers = {{"k", "1"}, {"k", "2"}};
  CHECK(p.send("text", twice) == ilm::error::invalid_attributes);
  ilm::send_options large;
  large.headers = {{"k", std::string(5000, 'v')}};
  CHECK(p.send("text", large) == ilm::error::invalid_attributes);
  REQUIRE_FALSE(p.send("text", {}));
  CHECK(p.received(0).sequence == 1);
}

TEST_CASE("contents and attributes together keep to the limit of a message") {
  pair p;
  ilm::options o;
  o.maximum_message_size = 100;
  p.a.start(o);
  p.b.start(o);
  ilm::send_options with;
  with.headers = {{"k", "v"}};  // 5 bytes
  CHECK(p.send(std::string(96, 'x'), with) == ilm::error::message_too_large);
  CHECK_FALSE(p.send(std::string(95, 'x'), with));
  CHECK(p.received(0).contents.size() == 95);
}

TEST_CASE("the time of sending is that of the system's clock, unless the send has its own") {
  pair p;
  ilm::options o;
  o.stamp_sent_at = true;
  p.a.start(o);
  p.b.start();
  auto now = [] {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  };
  auto before = now();
  REQUIRE_FALSE(p.send("text", {}));
  auto after = now();
  ilm::send_options own;
  own.sent_at = ilm::attributes::time_point(std::chrono::microseconds(-5));
  REQUIRE_FALSE(p.send("text", own));
  ilm::send_options forwarded;
  forwarded.forwarded = p.received(1).attributes;
  REQUIRE_FALSE(p.send("text", forwarded));
  REQUIRE(p.received(0).attributes.sent_at());
  CHECK(*p.received(0).attributes.sent_at() >= before);
  CHECK(*p.received(0).attributes.sent_at() <= after);
  CHECK(p.received(1).attributes.sent_at() == own.sent_at);
  CHECK(p.received(2).attributes.sent_at() == own.sent_at);
}

TEST_CASE("a messenger that is assigned another sends as that one did") {
  world w;
  peer b = w.make("b");
  b.start();
  ilm::options stamps;
  stamps.stamp_sent_at = GENERATE(false, true);
  ilm::options opposite;
  opposite.stamp_sent_at = !stamps.stamp_sent_at;
  ilm::messenger m(w.context, ilm::memory_backend<std::string>(), w.net.join("a"), test::ignore(),
                   opposite);
  m = ilm::messenger(w.context, ilm::memory_backend<std::string>(), w.net.join("c"), test::ignore(),
                     stamps);
  m.send_to("b", "text", [](std::error_code, std::uint64_t) {});
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1; }));
  CHECK(b.app().consumed[0].attributes.sent_at().has_value() == stamps.stamp_sent_at);
}

TEST_CASE("try_send_to with attributes fails with would_block where send_to waits") {
  pair p;
  ilm::options o;
  o.uncommitted_messages = 1;
  p.a.start(o);
  p.w.run_for(10ms);
  p.a.store_faults().commit_time = 1s;
  auto first = p.a.send("b", "0");
  std::error_code refused;
  (*p.a).try_send_to("b", "1", ilm::send_options(),
                     [&](std::error_code e, std::uint64_t) { refused = e; });
  p.w.run_for(10ms);
  CHECK(refused == ilm::error::would_block);
}

TEST_CASE("try_send_to takes attributes, and a completion token after them") {
  pair p;
  p.a.start();
  p.b.start();
  p.w.run([](messenger& a) -> asio::awaitable<void> {
    ilm::send_options with;
    with.headers = {{"k", "v"}};
    co_await a.try_send_to("b", "one", with);
    co_await a.send_to("b", "two", with, asio::use_awaitable);
    co_await a.send_to("b", "three", asio::use_awaitable);
  }(*p.a));
  CHECK(p.received(1).attributes.header_text("k") == "v");
  CHECK(p.received(2).attributes.empty());
}
