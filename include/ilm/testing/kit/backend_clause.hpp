#pragma once

#include <cstdint>
#include <string_view>

namespace ilm::inline v0::testing {

/// The contract of the concept ilm::backend, clause by clause, in the order in which the kit tries
/// them.
enum class backend_clause : std::uint8_t {
  new_store,
  completed_commit,
  whole_batch,
  next_commit,
  queues_apart,
  peers_apart,
  several_peers,
  contents,
  attributes,
  numbers,
  read_from,
  read_without_gap,
  read_message_limit,
  read_byte_limit,
  read_at_least_one,
  read_whole_page,
  read_nothing,
  erase_outbox,
  erase_inbox,
  erase_with_append,
  erase_all,
  new_incarnation,
  local_id,
  cursors,
  every_peer,
  reopened_messages,
  reopened_erasure,
  forget_peer,
  store_in_use,
  open_again,
  close_frees,
  destroying_frees,
  moved_handle,
  large_batch,
  read_beside_commit,
  reads_at_once,
  stores_apart,
  executor,
  failed_open,
  failed_read,
  failed_commit_told,
  failed_commit_undone,
  failed_commit_stays_undone,
  commit_after_failure,
  crash_keeps_completed,
  crash_whole_or_not,
  damaged_message,
  damaged_store,
};

inline std::string_view text_of(backend_clause c) noexcept {
  switch (c) {
    case backend_clause::new_store:
      return "open: a new store has no incarnation, no local id and no peers";
    case backend_clause::completed_commit:
      return "commit, read: once its commit has completed, a message is there as it was appended: "
             "index, sequence, salt, hash, contents and attributes";
    case backend_clause::whole_batch:
      return "commit: keeps every message of a batch, from the first to the last, in order";
    case backend_clause::next_commit:
      return "commit: appends after what earlier commits left, and leaves that as it is";
    case backend_clause::queues_apart:
      return "commit, read: the outbox and the inbox of a peer are two queues";
    case backend_clause::peers_apart:
      return "commit, read: each peer has queues of its own";
    case backend_clause::several_peers:
      return "commit: makes the changes of all peers that the batch names, and of no other";
    case backend_clause::contents:
      return "commit, read: contents come back bit by bit: none, zeros, all values of a byte, a "
             "MiB";
    case backend_clause::attributes:
      return "commit, read: the attributes of a message come back bit by bit, and stay none where "
             "there are none";
    case backend_clause::numbers:
      return "commit, read: index, sequence and salt are 64 bits wide, the hash 128";
    case backend_clause::read_from:
      return "read: a page begins with the message whose index is `from`; if there is none, it is "
             "empty";
    case backend_clause::read_without_gap:
      return "read: indexes within a page follow one another, each once";
    case backend_clause::read_message_limit:
      return "read: a page has `limit.messages` messages at most";
    case backend_clause::read_byte_limit:
      return "read: a page of two messages or more has `limit.bytes` of contents and attributes at "
             "most";
    case backend_clause::read_at_least_one:
      return "read: a page has a message at least if there is one, also one beyond `limit.bytes`";
    case backend_clause::read_whole_page:
      return "read: a page has as many messages as there are, up to the limit";
    case backend_clause::read_nothing:
      return "read: gives an empty page, and no error, where nothing is: beyond the last, below "
             "the "
             "first, in an empty queue, for an unknown peer";
    case backend_clause::erase_outbox:
      return "commit: erases the outbox messages below `next.outbox.first`, and nothing else";
    case backend_clause::erase_inbox:
      return "commit: erases the inbox messages below `next.inbox.first`, and nothing else";
    case backend_clause::erase_with_append:
      return "commit: a batch may append and erase at once, also what it appends";
    case backend_clause::erase_all:
      return "commit: a queue may be erased to its end and beyond; it is appended to from there";
    case backend_clause::new_incarnation:
      return "open: `local` is the incarnation that the batch created, for good";
    case backend_clause::local_id:
      return "open: `local_id` is the id that came with the incarnation, for good. A backend may "
             "leave it out, but then always";
    case backend_clause::cursors:
      return "commit, open: `next` replaces a peer's cursors wholly, every number of them";
    case backend_clause::every_peer:
      return "open: gives every peer once, whatever its id: 255 bytes long, with zeros and quotes";
    case backend_clause::reopened_messages:
      return "open: what was committed is there when the store is opened again";
    case backend_clause::reopened_erasure:
      return "open: what was erased is gone when the store is opened again";
    case backend_clause::forget_peer:
      return "commit: erases all that is stored of the peers in `forgotten`, and of no other; one "
             "that comes again begins as a new one";
    case backend_clause::store_in_use:
      return "open: takes the store for this object alone: a second one gets error::store_in_use, "
             "at once, and the first goes on undisturbed";
    case backend_clause::open_again:
      return "open: can be called again after it failed";
    case backend_clause::close_frees:
      return "close: gives the store free for another handle";
    case backend_clause::destroying_frees:
      return "destroying an open handle gives the store free, and keeps what was committed";
    case backend_clause::moved_handle:
      return "a handle that was moved goes on, and destroying what it was moved from has no effect";
    case backend_clause::large_batch:
      return "commit: takes batches of many messages and bytes: 10,000, and 8 MiB";
    case backend_clause::read_beside_commit:
      return "read: may run beside a commit, and sees the store before or after it";
    case backend_clause::reads_at_once:
      return "read: several peers can be read at once";
    case backend_clause::stores_apart:
      return "two stores can be open at once, and know nothing of each other";
    case backend_clause::executor:
      return "every operation resumes its caller on the executor on which it was called";
    case backend_clause::failed_open:
      return "open: throws if the store cannot be read, and works when it can be read again";
    case backend_clause::failed_read:
      return "read: throws if the store cannot be read; an empty page would say that nothing is "
             "there";
    case backend_clause::failed_commit_told:
      return "commit: throws if the batch could not be stored";
    case backend_clause::failed_commit_undone:
      return "commit: if it throws, nothing has changed";
    case backend_clause::failed_commit_stays_undone:
      return "commit: if it throws, nothing has changed when the store is opened again";
    case backend_clause::commit_after_failure:
      return "commit: works again after one that failed, as if that had never been";
    case backend_clause::crash_keeps_completed:
      return "commit: what has completed survives a crash of the kind that `durable_to` names";
    case backend_clause::crash_whole_or_not:
      return "commit: a crash within it leaves the store as before it or as after it, never "
             "between";
    case backend_clause::damaged_message:
      return "read: a message that fails its check ends the page before it; if it is the first, "
             "error::store_corrupt is thrown. Or `open` throws";
    case backend_clause::damaged_store:
      return "open: a store that exists and cannot be read is an error, never new";
  }
  return "an unknown clause";
}

}  // namespace ilm::inline v0::testing
