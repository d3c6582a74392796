#pragma once

#include <ilm/delivery_context.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/received.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// Completes once several operations have; with the first error, if there was one.
class join {
 public:
  using handler = completion<std::error_code>;

  join(std::size_t count, handler done, std::error_code failed)
      : left_(count), failed_(failed), done_(std::move(done)) {
    assert(left_ > 0 && done_);
  }

  void handle_ended(std::error_code failed) {
    std::lock_guard lock(mutex_);
    if (!failed_) failed_ = failed;
    if (--left_ == 0) done_(failed_);
  }

 private:
  std::mutex mutex_;
  std::size_t left_;
  std::error_code failed_;
  handler done_;
};

/// The messages that messengers offer to an inbox, each in one of five stages:
///
/// | stage    | meaning                                                             |
/// |----------|---------------------------------------------------------------------|
/// | waiting  | no reader has it                                                    |
/// | promised | a reader has it when its handler runs                               |
/// | recalled | likewise; its messenger withdrew it, so that it comes again         |
/// | given    | a reader works with it                                              |
/// | lost     | likewise; its messenger withdrew it, so that it comes again         |
///
/// | input    | in               | then                                             |
/// |----------|------------------|--------------------------------------------------|
/// | add      |                  | waiting                                          |
/// | promise  | waiting          | promised                                         |
/// | give     | waiting          | given                                            |
/// |          | promised         | given                                            |
/// |          | recalled         | lost                                             |
/// | release  | promised, given  | waiting, or refused by a closed inbox            |
/// |          | recalled, lost   | gone                                             |
/// | withdraw | waiting          | gone                                             |
/// |          | promised         | recalled                                         |
/// |          | given            | lost                                             |
/// | consume  | given            | consumed                                         |
/// |          | lost             | gone                                             |
/// | close    | waiting          | refused                                          |
///
/// The messenger is told once: when an offer is consumed, refused or withdrawn. An offer costs the
/// same beside few others and beside very many. Not synchronized.
template <class PeerId>
class offers {
 public:
  using handler = completion<std::error_code>;
  using tickets = std::vector<std::uint64_t>;
  using message_given = std::optional<received<PeerId>>;

  bool closed() const noexcept { return closed_; }

  void add(std::uint64_t id, message<PeerId> m, delivery_context<PeerId> context, handler done,
           asio::execution_context* home) {
    if (closed_) return done(error::inbox_closed);
    ids one{id};
    all_.try_emplace(id, id, std::move(m), std::move(context), std::move(done), home);
    waiting_.merge(one);
  }

  /// Promises up to `most` of those that wait.
  tickets promise(std::uint64_t reader, std::size_t most) {
    assert(reader != 0 && reader != nobody);
    tickets promised(
        waiting_.begin(),
        std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(std::min(most, waiting_.size()))));
    if (promised.empty()) return promised;
    ids& to = with_[reader];
    for (std::uint64_t id : promised) {
      offer& o = all_.find(id)->second;
      o.is = stage::promised;
      o.reader = reader;
      to.insert(waiting_.extract(id));
    }
    return promised;
  }

  /// Keeps a promise; gives none if the message is not there any more.
  message_given give(std::uint64_t reader, std::uint64_t ticket, std::weak_ptr<lender> from) {
    auto at = all_.find(ticket);
    if (at == all_.end() || !at->second.is_promised_to(reader)) return std::nullopt;
    offer& o = at->second;
    message_given given = lend(o, std::move(from));
    if (o.is == stage::recalled) {
      lose(o);
    } else {
      o.is = stage::given;
    }
    return given;
  }
  /// Gives the first that waits, if one does.
  message_given give_waiting(std::uint64_t reader, std::weak_ptr<lender> from) {
    tickets first = promise(reader, 1);
    return first.empty() ? std::nullopt : give(reader, first.front(), std::move(from));
  }

  /// The reader's handler does not run with the promised message.
  void release_promise(std::uint64_t reader, std::uint64_t ticket) {
    auto o = all_.find(ticket);
    if (o != all_.end() && o->second.is_promised_to(reader)) release(o->second);
  }
  /// The reader gives it back.
  void release_given(std::uint64_t ticket) {
    auto o = all_.find(ticket);
    if (o != all_.end() && o->second.is_with_reader()) release(o->second);
  }
  /// The reader is gone. It may have passed on its messages.
  void release_reader(std::uint64_t reader) {
    for_each_with(reader, [this, reader](offer& o) {
      if (o.is_promised_to(reader)) return release(o);
      o.reader = nobody;
      with_nobody_.insert(take_from(reader, o.id));
    });
  }

  /// The messenger waits for it no more.
  void withdraw(std::uint64_t id) {
    auto o = all_.find(id);
    if (o == all_.end() || !o->second.done) return;
    handler done = withdraw(o->second);
    done(asio::error::operation_aborted);
  }
  /// The same for the next one behind `after` whose messenger cannot be told, as its context ends.
  /// Gives its handler; empty if there is none left.
  handler withdraw_next_of(asio::execution_context& ending, std::uint64_t& after) {
    for (auto o = all_.upper_bound(after); o != all_.end(); ++o) {
      after = o->first;
      if (o->second.done && o->second.home == &ending) return withdraw(o->second);
    }
    return {};
  }

  /// The reader is done with all that it has, and all that readers have that are gone.
  void consume_all(std::uint64_t reader) {
    for_each_for(reader, [this](offer& o) { consume(o, {}); });
  }
  /// The same; `done` is told when the store knows, or that one of them comes again.
  void consume_all(std::uint64_t reader, handler done) {
    std::size_t count = 0;
    std::error_code failed;
    for_each_for(reader, [&](const offer& o) {
      if (o.is == stage::given) {
        ++count;
      } else {
        failed = error::message_returned;
      }
    });
    if (count == 0) {
      consume_all(reader);
      return done(failed);
    }
    auto all = std::make_shared<join>(count, std::move(done), failed);
    for_each_for(reader, [this, &all](offer& o) {
      consume(o, handler::pass_to([all](std::error_code e) { all->handle_ended(e); }));
    });
  }
  void consume_one(std::uint64_t reader, std::uint64_t ticket, handler done) {
    auto o = all_.find(ticket);
    bool has_it = o != all_.end() && o->second.is_with(reader);
    if (!has_it || o->second.is == stage::lost) done(error::message_returned);
    if (has_it) consume(o->second, std::move(done));
  }

  /// Refuses all that no reader has, or was promised, from now on.
  void close() {
    closed_ = true;
    while (!waiting_.empty()) refuse(all_.find(*waiting_.begin())->second);
  }

 private:
  /// Has the messages of readers that are gone.
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};

  enum class stage : std::uint8_t { waiting, promised, recalled, given, lost };

  struct offer {
    offer(std::uint64_t i, message<PeerId> m, delivery_context<PeerId> c, handler h,
          asio::execution_context* x)
        : id(i), contents(std::move(m)), context(std::move(c)), done(std::move(h)), home(x) {}

    bool is_promised_to(std::uint64_t r) const noexcept {
      return (is == stage::promised || is == stage::recalled) && reader == r;
    }
    bool is_with_reader() const noexcept { return is == stage::given || is == stage::lost; }
    bool is_with(std::uint64_t r) const noexcept {
      return is_with_reader() && (reader == r || reader == nobody);
    }

    std::uint64_t id;
    message<PeerId> contents;
    delivery_context<PeerId> context;
    handler done;                   ///< empty once the messenger was told
    asio::execution_context* home;  ///< of `done`
    stage is = stage::waiting;
    std::uint64_t reader = 0;  ///< 0 if and only if it waits
  };

  /// What moves from one to another needs no memory.
  using ids = std::set<std::uint64_t>;

  received<PeerId> lend(const offer& o, std::weak_ptr<lender> from) const {
    received<PeerId> r(o.contents, o.context);
    loan_access::lend(r, std::make_shared<const loan>(std::move(from), o.id));
    return r;
  }

  void release(offer& o) {
    assert(o.is != stage::waiting);
    if (!o.done) {
      erase(o);
    } else if (closed_) {
      refuse(o);
    } else {
      if (o.is == stage::given) o.context = context_access::again(o.context);
      waiting_.insert(take_from(o.reader, o.id));
      o.is = stage::waiting;
      o.reader = 0;
    }
  }

  handler withdraw(offer& o) {
    assert(o.done && o.is != stage::recalled && o.is != stage::lost);
    handler done = std::move(o.done);
    if (o.is == stage::waiting) {
      erase(o);
    } else if (o.is == stage::promised) {
      o.is = stage::recalled;
    } else {
      lose(o);
    }
    return done;
  }

  /// Only that it comes again is kept.
  void lose(offer& o) {
    assert(!o.done);
    o.is = stage::lost;
    o.contents = {};
    o.context = {};
  }

  void refuse(offer& o) {
    assert(closed_ && o.done);
    handler done = std::move(o.done);
    erase(o);
    done(error::inbox_closed);
  }

  /// The end of one that a reader has. `stored`, if any, is told when the store knows.
  void consume(offer& o, handler stored) {
    assert(o.is_with_reader() && (o.is == stage::given) == static_cast<bool>(o.done));
    if (o.is == stage::given && stored) {
      context_access::staged(o.context).notify(std::move(stored));
    }
    handler done = std::move(o.done);
    erase(o);
    if (done) done({});
  }

  void erase(offer& o) {
    take_from(o.reader, o.id);
    all_.erase(o.id);
  }
  typename ids::node_type take_from(std::uint64_t reader, std::uint64_t id) {
    if (reader == 0) return waiting_.extract(id);
    if (reader == nobody) return with_nobody_.extract(id);
    auto with = with_.find(reader);
    auto taken = with->second.extract(id);
    if (with->second.empty()) with_.erase(with);
    return taken;
  }

  /// `f(offer&)` with each that the reader has or was promised. It may take that one from it.
  template <class F>
  void for_each_with(std::uint64_t reader, F f) {
    for (std::uint64_t after = 0;;) {
      auto with = with_.find(reader);
      if (with == with_.end()) return;
      auto next = with->second.upper_bound(after);
      if (next == with->second.end()) return;
      after = *next;
      f(all_.find(after)->second);
    }
  }
  /// `f(offer&)` with each that the reader has, and each of a reader that is gone. It may erase it.
  template <class F>
  void for_each_for(std::uint64_t reader, F f) {
    for_each_with(reader, [reader, &f](offer& o) {
      if (o.is_with(reader)) f(o);
    });
    for (auto next = with_nobody_.begin(); next != with_nobody_.end();) {
      f(all_.find(*next++)->second);
    }
  }

  std::map<std::uint64_t, offer> all_;  ///< by id; each id is in one of the following, too
  ids waiting_;                         ///< the oldest first
  std::map<std::uint64_t, ids> with_;   ///< by reader; none is empty
  ids with_nobody_;                     ///< of readers that are gone
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail
