#pragma once

#include <ilm/attributes.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/memory_use.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/sequence_set.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::protocol {

/// The place of a message of an inbox.
struct inbox_place {
  std::uint64_t index = 0;
  std::uint64_t sequence = 0;
  stream_hash before;  ///< the hash of what was consumed of the stream before it
};

/// The receiving half of a stream: puts messages in order, has them stored, delivers them.
///
/// A message gets an index when everything before it is here: it is *accepted*. It may be delivered
/// once the store has it, and is *consumed* when the application is done with it. Indices go on
/// when the peer starts a new stream, so messages of an old one come first.
class receiver {
 public:
  explicit receiver(const options& o) : options_(o) {}

  void restore(const inbox_cursors& c) {
    assert(c.first != 0 && c.first <= c.next && c.start <= c.next);
    consumed_next_ = credited_next_ = c.first;
    accepted_.next = committed_.next = in_commit_.next = life_start_ = c.next;
    start_ = c.start;
    offset_ = c.offset;
    accepted_.hash = in_commit_.hash = committed_.hash = c.received_hash;
    delivered_hash_ = start_hash_ = c.delivered_hash;
  }

  /// Goes on with sequence `first` of a stream; `before` is its hash before that.
  void adopt(std::uint64_t first, const stream_hash& before) {
    assert(first != 0);
    clear_reorder_buffer();
    start_ = accepted_.next;
    offset_ = first - start_;
    accepted_.hash = delivered_hash_ = start_hash_ = before;
  }

  void handle_session() {
    clear_reorder_buffer();
    accepted_.frame = in_commit_.frame = committed_.frame = 0;
  }

  /// The number of a frame of the session, after `handle_data` for all that is in it.
  void handle_frame(std::uint64_t number) noexcept {
    accepted_.frame = std::max(accepted_.frame, number);
  }
  /// Takes the messages of a record: those that continue the stream, and early ones.
  std::error_code handle_data(const data_record& d) {
    assert(d.first != 0 && !d.items.empty());
    std::error_code failed;
    std::uint64_t sequence = d.first;
    stream_hash before = d.before;
    for (const data_item& item : d.items) {
      stream_hash hash = extend(before, sequence, item.salt, item.contents, item.attributes);
      if (std::error_code e = handle_item(sequence++, before, hash, item)) failed = e;
      before = hash;
    }
    return failed;
  }

  // The store.

  bool has_uncommitted() const noexcept { return in_commit_.next != accepted_.next; }
  /// Whether the store has all that was accepted.
  bool is_stored() const noexcept { return committed_.next == accepted_.next; }
  bool has_unreported_consumed(const cursors& stored) const noexcept {
    return consumed_next_ != stored.inbox.first;
  }
  std::vector<stored_message> begin_commit() {
    assert(in_commit_.next == committed_.next);
    auto count = static_cast<std::ptrdiff_t>(accepted_.next - in_commit_.next);
    in_commit_ = accepted_;
    consumed_in_commit_ = consumed_next_;
    return {recent_.end() - count, recent_.end()};
  }
  /// The cursors of this half, with all that was accepted and consumed.
  void write(inbox_cursors& c) const noexcept {
    c.first = consumed_next_;
    c.next = accepted_.next;
    c.start = start_;
    c.offset = offset_;
    c.received_hash = accepted_.hash;
    c.delivered_hash = delivered_hash_;
  }
  /// Whether the change under way gives credit for messages of a former stream.
  bool credits_former_stream() const noexcept {
    return credited_next_ < start_ && credited_next_ < consumed_in_commit_;
  }
  void complete_commit() noexcept {
    committed_ = in_commit_;
    give_credit(consumed_in_commit_);
  }
  void fail_commit() noexcept { in_commit_ = committed_; }

  // The application.

  /// The next message to deliver: stored, and in memory. A look: nothing changes.
  const stored_message* next_delivery() const noexcept {
    if (!page_.empty()) return &page_.front();
    if (!recent_.empty() && recent_.front().index == consumed_next_ &&
        consumed_next_ < committed_.next) {
      return &recent_.front();
    }
    return nullptr;
  }
  std::optional<page_request> next_page() const noexcept {
    std::uint64_t recent_first = accepted_.next - recent_.size();
    if (!page_.empty() || consumed_next_ >= recent_first) return std::nullopt;
    page_request r;
    r.purpose = page_purpose::inbox;
    r.from = consumed_next_;
    r.messages = static_cast<std::size_t>(
        std::min<std::uint64_t>(options_.page_messages, recent_first - consumed_next_));
    r.bytes = options_.page_bytes;
    return r;
  }
  /// Messages of the store. One that is not the message that was stored ends the page.
  void handle_page(std::span<const stored_message> page) {
    for (const stored_message& m : page) {
      std::uint64_t next = consumed_next_ + page_.size();
      if (m.index != next || next >= committed_.next) continue;
      if (attributes::check(m.attributes.view()) || !continues(m)) break;
      page_.push_back(m);
      page_bytes_ += held_size(m.size());
    }
  }
  /// Whether the next message for the application is of a stream before the one that is followed.
  bool consumes_former_stream() const noexcept { return consumed_next_ < start_; }
  /// `may_fail`: it may turn out not to be consumed (`return_to`) until a change that has it is
  /// stored, and gives no credit before.
  void handle_consumed(bool may_fail = false) {
    assert(next_delivery() != nullptr);
    bool from_store = !page_.empty();
    std::deque<stored_message>& queue = from_store ? page_ : recent_;
    std::size_t size = queue.front().size();
    if (consumed_next_ >= start_) delivered_hash_ = queue.front().hash;
    (from_store ? page_bytes_ : recent_bytes_) -= held_size(size);
    queue.pop_front();
    ++consumed_next_;
    held_credit_.push_back(size);
    if (!may_fail && held_credit_.size() == 1) give_credit(consumed_next_);
  }
  /// The message there, which could fail, and those behind it are not consumed after all: the store
  /// has them still.
  void return_to(const inbox_place& at) noexcept {
    assert(credited_next_ <= at.index && at.index < consumed_next_);
    page_.clear();
    page_bytes_ = 0;
    consumed_next_ = at.index;
    held_credit_.resize(static_cast<std::size_t>(consumed_next_ - credited_next_));
    // A stream that began since has a hash of its own.
    delivered_hash_ = at.index > start_ ? at.before : start_hash_;
  }
  std::uint64_t consumed_next() const noexcept { return consumed_next_; }
  const stream_hash& delivered_hash() const noexcept { return delivered_hash_; }

  // Memory.

  memory_use memory() const noexcept {
    memory_use m;
    std::size_t early = reorder_bytes_ + reorder_buffer_.size() * message_overhead;
    m.held = page_bytes_ + recent_bytes_ + early;
    m.unstored = static_cast<std::size_t>(accepted_.bytes - committed_.bytes +
                                          (accepted_.next - committed_.next) * message_overhead);
    const stored_message* next = next_delivery();
    m.releasable = m.held - m.unstored - (next != nullptr ? held_size(next->size()) : 0);
    return m;
  }
  /// Lets go of messages in the store, which are read again as pages, and of early ones, which the
  /// peer sends again (RFC 2018, section 8). The next message to deliver stays where it is: the
  /// application may have it.
  void release() {
    clear_reorder_buffer();
    if (page_.empty() && next_delivery() != nullptr) make_page_of_recent();
    while (page_.size() > 1) {
      page_bytes_ -= held_size(page_.back().size());
      page_.pop_back();
    }
    while (!recent_.empty() && recent_.front().index < committed_.next) {
      recent_bytes_ -= held_size(recent_.front().size());
      recent_.pop_front();
    }
    assert(memory().releasable == 0);
  }

  // Acks, besides the stored cursors.

  /// The highest frame of the session up to which all that arrived is in the store, or waits in the
  /// reorder buffer. A frame under commit is echoed after it, as its messages are acknowledged.
  std::uint64_t echo() const noexcept { return is_stored() ? accepted_.frame : committed_.frame; }
  std::uint64_t received_bytes() const noexcept { return committed_.bytes; }
  std::uint64_t credit_sequence() const noexcept {
    std::uint64_t limit = credited_next_ - 1 + options_.credit_messages;
    return std::max(limit, start_ - 1) + offset_;
  }
  std::uint64_t credit_bytes() const noexcept { return consumed_bytes_ + options_.credit_bytes; }
  /// The credit that a hello may promise: less than an ack's by the bytes accepted beyond
  /// `received_bytes`. Its reader may be another life, which would not count them as its own.
  std::uint64_t hello_credit_bytes() const noexcept {
    return credit_bytes() - (accepted_.bytes - committed_.bytes);
  }
  std::vector<sequence_range> sacked() const {
    std::vector<sequence_range> ranges;
    for (const auto& [first, last] : early_.ranges()) {
      if (ranges.size() == maximum_ack_ranges) break;
      ranges.push_back(sequence_range{first, last});
    }
    return ranges;
  }

  bool has_gap() const noexcept { return !reorder_buffer_.empty(); }
  std::uint64_t accepted() const noexcept { return accepted_.next - 1 + offset_; }
  std::uint64_t delivered() const noexcept {
    return std::max(consumed_next_, start_) - 1 + offset_;
  }
  /// Those accepted that gave no credit.
  std::uint64_t uncredited() const noexcept { return accepted_.next - credited_next_; }
  std::uint64_t unread() const noexcept { return accepted_.next - consumed_next_; }
  std::uint64_t duplicates() const noexcept { return duplicates_; }

  bool invariants_hold() const noexcept {
    bool ordered = credited_next_ <= consumed_next_ && consumed_next_ <= committed_.next &&
                   committed_.next <= in_commit_.next && in_commit_.next <= accepted_.next &&
                   start_ <= accepted_.next;
    bool counted = consumed_bytes_ <= committed_.bytes && committed_.bytes <= in_commit_.bytes &&
                   in_commit_.bytes <= accepted_.bytes;
    bool frames = committed_.frame <= in_commit_.frame && in_commit_.frame <= accepted_.frame;
    bool early = reorder_buffer_.empty() ? reorder_bytes_ == 0 && early_.empty()
                                         : reorder_buffer_.begin()->first > accepted() + 1 &&
                                               early_.contains(reorder_buffer_.begin()->first) &&
                                               early_.contains(reorder_buffer_.rbegin()->first);
    bool sized = recent_bytes_ >= recent_.size() * message_overhead &&
                 page_bytes_ >= page_.size() * message_overhead &&
                 recent_.size() >= accepted_.next - committed_.next;
    return ordered && counted && frames && early && sized &&
           recent_.size() + page_.size() <= accepted_.next - consumed_next_ &&
           held_credit_.size() == consumed_next_ - credited_next_;
  }

 private:
  /// How far the stream has come somewhere.
  struct position {
    std::uint64_t next = 1;   ///< the index of the first message that has not
    std::uint64_t bytes = 0;  ///< the count of bytes in this life before it
    stream_hash hash;         ///< of the stream before it
    std::uint64_t frame = 0;  ///< the highest number of a frame of the session until then
  };

  /// A message that came out of order.
  struct early_message {
    payload message;
    std::uint64_t salt = 0;
    stream_hash before;  ///< of the stream, before it and up to it
    stream_hash hash;
  };

  std::error_code handle_item(std::uint64_t sequence, const stream_hash& before,
                              const stream_hash& hash, const data_item& item) {
    // A repetition takes no credit a second time.
    if (sequence <= accepted() || reorder_buffer_.contains(sequence)) {
      ++duplicates_;
      return {};
    }
    std::size_t size = item.contents.size() + item.attributes.size();
    if (sequence > credit_sequence() || size > options_.maximum_message_size ||
        accepted_.bytes - consumed_bytes_ + reorder_bytes_ + size > options_.credit_bytes) {
      return error::credit_exceeded;
    }
    bool next = sequence == accepted() + 1;
    if (next && before != accepted_.hash) return error::stream_diverged;
    early_message m{payload(bytes(item.contents), bytes(item.attributes)), item.salt, before, hash};
    if (!next) {
      reorder_bytes_ += size;
      reorder_buffer_.emplace(sequence, std::move(m));
      early_.add(sequence);
      return {};
    }
    accept(std::move(m));
    return accept_early();
  }

  /// Takes the early messages that follow now.
  std::error_code accept_early() {
    while (!reorder_buffer_.empty() && reorder_buffer_.begin()->first == accepted() + 1) {
      early_message m = std::move(reorder_buffer_.begin()->second);
      reorder_buffer_.erase(reorder_buffer_.begin());
      early_.remove_below(accepted() + 2);
      reorder_bytes_ -= m.message.size();
      if (m.before != accepted_.hash) return error::stream_diverged;
      accept(std::move(m));
    }
    return {};
  }

  /// For the messages before this index.
  void give_credit(std::uint64_t next) noexcept {
    auto size = held_credit_.begin();
    for (; credited_next_ < next; ++credited_next_, ++size) {
      // Those of an earlier life took no credit in this one.
      if (credited_next_ >= life_start_) consumed_bytes_ += *size;
    }
    held_credit_.erase(held_credit_.begin(), size);
  }

  void clear_reorder_buffer() noexcept {
    reorder_buffer_.clear();
    early_.clear();
    reorder_bytes_ = 0;
  }

  /// Of the messages in `recent_`, those that the store has become a page: none of them moves.
  void make_page_of_recent() {
    assert(page_.empty());
    page_.swap(recent_);
    page_bytes_ = std::exchange(recent_bytes_, 0);
    while (page_.back().index >= committed_.next) {
      std::size_t size = held_size(page_.back().size());
      recent_.push_front(std::move(page_.back()));
      page_.pop_back();
      page_bytes_ -= size;
      recent_bytes_ += size;
    }
  }

  void accept(early_message m) {
    accepted_.bytes += m.message.size();
    recent_bytes_ += held_size(m.message.size());
    accepted_.hash = m.hash;
    recent_.emplace_back(accepted_.next, accepted_.next + offset_, m.salt, m.hash,
                         std::move(m.message.contents), std::move(m.message.attributes));
    ++accepted_.next;
  }

  /// Whether a message of the store is the one that was stored. Where its stream begins, and in a
  /// former stream, the hash before it is not known.
  bool continues(const stored_message& m) const noexcept {
    if (m.index <= start_ || (page_.empty() && consumed_next_ <= start_)) return true;
    return extend(page_.empty() ? delivered_hash_ : page_.back().hash, m) == m.hash;
  }

  const options& options_;
  std::deque<stored_message> recent_;  ///< the last ones accepted in this life, not consumed
  std::deque<stored_message> page_;    ///< the first ones that are not, from the store
  std::size_t recent_bytes_ = 0;       ///< that both take
  std::size_t page_bytes_ = 0;
  std::map<std::uint64_t, early_message> reorder_buffer_;
  sequence_set early_;  ///< the sequences in it

  std::uint64_t life_start_ = 1;  ///< the index of the first message accepted in this life
  std::uint64_t consumed_next_ = 1;
  std::uint64_t credited_next_ = 1;  ///< those before it, which are consumed, gave credit
  std::uint64_t consumed_in_commit_ = 1;
  std::vector<std::size_t> held_credit_;  ///< the sizes of those consumed that gave none yet
  std::uint64_t consumed_bytes_ = 0;
  position accepted_;
  position in_commit_;
  position committed_;
  std::uint64_t start_ = 1;
  std::uint64_t offset_ = 0;
  stream_hash delivered_hash_;
  stream_hash start_hash_;  ///< of the stream before `start_`, unless this life began behind it
  std::size_t reorder_bytes_ = 0;
  std::uint64_t duplicates_ = 0;
};

}  // namespace ilm::inline v0::protocol
