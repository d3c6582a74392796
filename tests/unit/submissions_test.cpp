#include "support/catch.hpp"

#include <ilm/protocol/submissions.hpp>

#include <optional>
#include <string_view>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

const std::error_code full = std::make_error_code(std::errc::no_space_on_device);

void send(submissions& s, std::uint64_t id, std::string_view text = "x") {
  s.handle_send(send_id{id}, bytes(text));
}

constexpr stream_hash before{5, 6};

void commit(submissions& s, std::uint64_t first) {
  s.begin_commit(first, before, 1);
  s.complete_commit(first);
  s.forget_committed();
}

}  // namespace

TEST_CASE("a send waits for a change and has no end before") {
  submissions s;
  CHECK(s.empty());
  CHECK(s.size() == 0);
  send(s, 1);
  send(s, 2);
  CHECK_FALSE(s.empty());
  CHECK(s.size() == 2);
  CHECK_FALSE(s.poll_result());
  s.begin_commit(1, before, 1);
  CHECK(s.empty());
  CHECK(s.size() == 0);
  CHECK(s.in_commit() == 2);
  CHECK_FALSE(s.poll_result());
}

TEST_CASE(
    "a change gives the sends their sequences and hashes in order, and the first one a salt") {
  submissions s;
  send(s, 1, "one");
  send(s, 2, "two");
  std::vector<stored_message> batch = s.begin_commit(7, before, 99);
  REQUIRE(batch.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(batch[i].index == 7 + i);
    CHECK(batch[i].sequence == 7 + i);
    CHECK(batch[i].salt == (i == 0 ? 99 : 0));
  }
  CHECK(batch[0].hash == extend(before, batch[0]));
  CHECK(batch[1].hash == extend(batch[0].hash, batch[1]));
  CHECK(batch[0].contents.text() == "one");
  CHECK(batch[1].contents.text() == "two");
}

TEST_CASE("the attributes of a send are part of its hash") {
  submissions s;
  s.handle_send(send_id{1}, payload(bytes(std::string_view("x")), bytes(std::string_view("a"))));
  std::vector<stored_message> batch = s.begin_commit(7, before, 99);
  CHECK(batch[0].hash == extend(before, batch[0]));
  batch[0].attributes = {};
  CHECK(batch[0].hash != extend(before, batch[0]));
}

TEST_CASE("a change without sends is empty and ends none") {
  submissions s;
  CHECK(s.begin_commit(1, before, 1).empty());
  CHECK(s.complete_commit(1).empty());
  s.forget_committed();
  CHECK_FALSE(s.poll_result());
}

TEST_CASE("the sends of a change end in order with the sequences that they got") {
  submissions s;
  send(s, 11, "one");
  send(s, 12, "two");
  s.begin_commit(7, before, 1);
  std::span<submission> done = s.complete_commit(7);
  REQUIRE(done.size() == 2);
  CHECK(done[1].message.contents.text() == "two");
  CHECK(done[0].salt == 1);
  CHECK(done[1].salt == 0);
  CHECK(done[0].hash == extend(before, 7, 1, done[0].message.contents.view()));
  CHECK(done[1].hash == extend(done[0].hash, 8, 0, done[1].message.contents.view()));
  s.forget_committed();
  CHECK(s.in_commit() == 0);
  for (std::uint64_t i = 0; i < 2; ++i) {
    std::optional<send_result> r = s.poll_result();
    REQUIRE(r);
    CHECK(r->id == send_id{11 + i});
    CHECK(r->sequence == 7 + i);
    CHECK_FALSE(r->error);
  }
  CHECK_FALSE(s.poll_result());
}

TEST_CASE("the sends of a change that failed end with its error and no sequence") {
  submissions s;
  send(s, 11);
  send(s, 12);
  s.begin_commit(7, before, 1);
  s.fail_commit(full);
  CHECK(s.in_commit() == 0);
  for (std::uint64_t i = 0; i < 2; ++i) {
    std::optional<send_result> r = s.poll_result();
    REQUIRE(r);
    CHECK(r->id == send_id{11 + i});
    CHECK(r->sequence == 0);
    CHECK(r->error == full);
  }
  CHECK_FALSE(s.poll_result());
}

TEST_CASE("a send that comes while a change is in commit goes with the next one") {
  for (bool fails : {false, true}) {
    submissions s;
    send(s, 1, "first");
    s.begin_commit(1, before, 1);
    send(s, 2, "second");
    CHECK(s.size() == 1);
    CHECK(s.in_commit() == 1);
    if (fails) {
      s.fail_commit(full);
    } else {
      s.complete_commit(1);
      s.forget_committed();
    }
    CHECK(s.size() == 1);
    std::vector<stored_message> batch = s.begin_commit(fails ? 1 : 2, before, 1);
    REQUIRE(batch.size() == 1);
    CHECK(batch[0].contents.text() == "second");
  }
}

TEST_CASE("results of several changes come in the order of the sends") {
  submissions s;
  send(s, 1);
  commit(s, 1);
  send(s, 2);
  s.begin_commit(2, before, 1);
  s.fail_commit(full);
  send(s, 3);
  commit(s, 2);
  CHECK(s.invariants_hold());
  std::vector<std::uint64_t> sequences;
  for (std::uint64_t id = 1; id <= 3; ++id) {
    std::optional<send_result> r = s.poll_result();
    REQUIRE(r);
    CHECK(r->id == send_id{id});
    sequences.push_back(r->sequence);
  }
  CHECK(sequences == std::vector<std::uint64_t>{1, 0, 2});
}

TEST_CASE("a change that is put back keeps all of its sends, before those that came meanwhile") {
  submissions s;
  send(s, 1);
  s.handle_send(send_id{2}, bytes(std::string_view("reply")), on_failure::stays);
  s.begin_commit(1, before, 1);
  send(s, 3);
  s.fail_commit({});
  CHECK_FALSE(s.poll_result());
  CHECK(s.in_commit() == 0);
  CHECK(s.size() == 3);
  commit(s, 1);
  for (std::uint64_t id : {1U, 2U, 3U}) {
    std::optional<send_result> r = s.poll_result();
    REQUIRE(r);
    CHECK(r->id == send_id{id});
    CHECK(r->sequence == id);
  }
}

TEST_CASE("a send that belongs to a consumption stays where its change fails, in its place") {
  submissions s;
  send(s, 1, "alone");
  s.handle_send(send_id{2}, bytes(std::string_view("reply")), on_failure::stays);
  send(s, 3, "alone, too");
  s.begin_commit(1, before, 1);
  send(s, 4, "later");
  s.fail_commit(full);
  for (std::uint64_t id : {1U, 3U}) {
    std::optional<send_result> r = s.poll_result();
    REQUIRE(r);
    CHECK(r->id == send_id{id});
    CHECK(r->error == full);
  }
  CHECK_FALSE(s.poll_result());
  std::vector<stored_message> batch = s.begin_commit(1, before, 9);
  REQUIRE(batch.size() == 2);
  CHECK(batch[0].contents.text() == "reply");
  CHECK(batch[0].salt == 9);
  CHECK(batch[0].hash == extend(before, batch[0]));
  CHECK(batch[1].contents.text() == "later");
  s.complete_commit(1);
  s.forget_committed();
  std::optional<send_result> r = s.poll_result();
  REQUIRE(r);
  CHECK(r->id == send_id{2});
  CHECK(r->sequence == 1);
}
