#include "flawed_backend.hpp"
#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/testing/backend_kit.hpp>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

using namespace test;
using ilm::testing::backend_clause;

// Backends that each break one clause: the kit's first finding must name it.

namespace {

using table = std::vector<std::pair<flaw, backend_clause>>;

const table of_messages = {
    {flaw::new_store_has_an_identity, backend_clause::new_store},
    {flaw::loses_last_of_batch, backend_clause::whole_batch},
    {flaw::loses_first_of_batch, backend_clause::whole_batch},
    {flaw::turns_batch_round, backend_clause::whole_batch},
    {flaw::second_commit_replaces, backend_clause::next_commit},
    {flaw::one_queue, backend_clause::queues_apart},
    {flaw::one_peer, backend_clause::peers_apart},
    {flaw::first_peer_only, backend_clause::several_peers},
    {flaw::contents_end_at_zero, backend_clause::contents},
    {flaw::contents_of_64k, backend_clause::contents},
    {flaw::empty_contents_dropped, backend_clause::contents},
    {flaw::attributes_dropped, backend_clause::attributes},
    {flaw::attributes_of_255, backend_clause::attributes},
    {flaw::indexes_of_32_bits, backend_clause::numbers},
    {flaw::forgets_salt, backend_clause::completed_commit},
    {flaw::forgets_hash, backend_clause::completed_commit},
    {flaw::sequence_is_index, backend_clause::completed_commit},
    {flaw::reads_from_the_first, backend_clause::read_from},
    {flaw::reads_next_best, backend_clause::read_from},
    {flaw::one_too_many, backend_clause::read_message_limit},
    {flaw::no_byte_limit, backend_clause::read_byte_limit},
    {flaw::one_beyond_byte_limit, backend_clause::read_byte_limit},
    {flaw::large_message_unread, backend_clause::read_at_least_one},
    {flaw::short_pages, backend_clause::read_whole_page},
    {flaw::pages_of_64, backend_clause::read_whole_page},
    {flaw::attributes_not_counted, backend_clause::read_byte_limit},
    {flaw::throws_beyond_the_end, backend_clause::read_nothing},
    {flaw::throws_for_unknown_peer, backend_clause::read_nothing},
};

const table of_erasure = {
    {flaw::outbox_not_erased, backend_clause::erase_outbox},
    {flaw::inbox_not_erased, backend_clause::erase_inbox},
    {flaw::erases_one_too_many, backend_clause::erase_outbox},
    {flaw::erases_both_queues, backend_clause::erase_outbox},
    {flaw::appended_not_erased, backend_clause::erase_with_append},
    {flaw::nobody_forgotten, backend_clause::forget_peer},
    {flaw::one_peer_forgotten, backend_clause::forget_peer},
    {flaw::all_forgotten, backend_clause::forget_peer},
    {flaw::messages_not_forgotten, backend_clause::forget_peer},
    {flaw::beyond_not_erased, backend_clause::erase_all},
    {flaw::new_incarnation_not_kept, backend_clause::new_incarnation},
    {flaw::new_incarnation_cleared, backend_clause::new_incarnation},
    {flaw::new_store_has_a_local_id, backend_clause::new_store},
    {flaw::local_id_not_kept, backend_clause::local_id},
    {flaw::local_id_cleared, backend_clause::local_id},
    {flaw::local_id_of_32_bytes, backend_clause::local_id},
    {flaw::local_id_is_a_peer, backend_clause::local_id},
    {flaw::cursors_partly_kept, backend_clause::cursors},
    {flaw::newest_cursor_lost, backend_clause::cursors},
    {flaw::cursors_with_messages_only, backend_clause::cursors},
    {flaw::peer_twice, backend_clause::every_peer},
    {flaw::ids_end_at_zero, backend_clause::every_peer},
    {flaw::ids_without_case, backend_clause::every_peer},
    {flaw::a_hundred_peers, backend_clause::every_peer},
};

const table of_handles = {
    {flaw::memory_only, backend_clause::reopened_messages},
    {flaw::empty_last_message_lost, backend_clause::reopened_messages},
    {flaw::erased_come_back, backend_clause::reopened_erasure},
    {flaw::no_lock, backend_clause::store_in_use},
    {flaw::lock_of_another_name, backend_clause::store_in_use},
    {flaw::refused_one_unlocks, backend_clause::store_in_use},
    {flaw::open_once_only, backend_clause::open_again},
    {flaw::close_keeps_lock, backend_clause::close_frees},
    {flaw::destroying_keeps_lock, backend_clause::destroying_frees},
    {flaw::stored_at_close, backend_clause::destroying_frees},
    {flaw::moved_from_unlocks, backend_clause::moved_handle},
};

const table of_failures = {
    {flaw::batch_of_5000, backend_clause::large_batch},
    {flaw::commits_in_pieces, backend_clause::read_beside_commit},
    {flaw::reads_share_a_cursor, backend_clause::reads_at_once},
    {flaw::one_store_for_all, backend_clause::stores_apart},
    {flaw::foreign_executor, backend_clause::executor},
    {flaw::failure_swallowed, backend_clause::failed_commit_told},
    {flaw::failure_half_applied, backend_clause::failed_commit_undone},
    {flaw::failure_stored_later, backend_clause::failed_commit_stays_undone},
    {flaw::failure_poisons, backend_clause::commit_after_failure},
    {flaw::failed_read_is_empty, backend_clause::failed_read},
    {flaw::failed_open_is_new, backend_clause::failed_open},
    {flaw::crash_loses_last, backend_clause::crash_keeps_completed},
    {flaw::crash_leaves_half, backend_clause::crash_whole_or_not},
    {flaw::damage_unnoticed, backend_clause::damaged_message},
    {flaw::damage_skipped, backend_clause::damaged_message},
    {flaw::damage_ends_the_queue, backend_clause::damaged_message},
    {flaw::damaged_is_new, backend_clause::damaged_store},
    {flaw::commit_never_completes, backend_clause::completed_commit},
    {flaw::in_use_waits, backend_clause::store_in_use},
    {flaw::throws_no_exception, backend_clause::new_store},
};

struct kit_result {
  ilm::testing::kit_summary<backend_clause> summary;
  std::string findings;
  std::vector<backend_clause> skipped;
};

kit_result try_flaw(flaw f) {
  asio::io_context context;
  flawed_stores factory(context, f);
  kit_result v;
  auto listen = [&](const ilm::testing::kit_report<backend_clause>& r) {
    note(r, v.findings);
    if (r.outcome == ilm::testing::kit_outcome::skipped) v.skipped.push_back(r.clause);
  };
  ilm::testing::kit_options o;
  o.limit = std::chrono::milliseconds(f == flaw::commit_never_completes ? 100 : 1000);
  v.summary = ilm::testing::try_backend(context, factory, listen, o);
  return v;
}

}  // namespace

TEST_CASE("a backend without a flaw has none that the kit finds") {
  kit_result v = try_flaw(flaw::none);
  INFO(v.findings);
  CHECK(v.summary);
  CHECK(v.summary.skipped == 0);
}

TEST_CASE("the kit says of a store that was not new that it was not") {
  asio::io_context context;
  flawed_stores factory(context, flaw::none);
  // The second is the first that the kit would fill.
  flawed_store::content left;
  left.local = {5, 5};
  left.peers["somebody"];
  factory.of(2)->now = left;
  std::string findings;
  auto listen = [&](const ilm::testing::kit_report<backend_clause>& r) { note(r, findings); };
  auto summary = ilm::testing::try_backend(context, factory, listen);
  INFO(findings);
  CHECK(summary.broken == std::vector<backend_clause>{backend_clause::new_store});
  CHECK(findings.find("store 2 was not new") != std::string::npos);
}

TEST_CASE("a backend may leave out the local id, and the kit says so") {
  kit_result v = try_flaw(flaw::no_local_id);
  INFO(v.findings);
  CHECK(v.summary);
  CHECK(v.skipped == std::vector<backend_clause>{backend_clause::local_id});
}

TEST_CASE("the kit reports a clause that is broken once, and not as skipped too") {
  kit_result v = try_flaw(flaw::no_byte_limit);
  REQUIRE_FALSE(v.summary);
  for (backend_clause c : v.summary.broken) {
    CHECK(std::find(v.skipped.begin(), v.skipped.end(), c) == v.skipped.end());
  }
}

TEST_CASE("the kit's first finding names the flaw of a backend with messages") {
  require_named(of_messages, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a backend with erasure and cursors") {
  require_named(of_erasure, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a backend opened again") {
  require_named(of_handles, try_flaw);
}

TEST_CASE("the kit's first finding names the flaw of a backend that fails") {
  require_named(of_failures, try_flaw);
}
