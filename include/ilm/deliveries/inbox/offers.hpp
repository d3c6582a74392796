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
    if (is_last(failed)) done_(failed_);
  }

 private:
  bool is_last(std::error_code failed) {
    std::lock_guard lock(mutex_);
    if (!failed_) failed_ = failed;
    return --left_ == 0;
  }

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
  struct offer;

 public:
  using handler = completion<std::error_code>;
  using tickets = std::vector<std::uint64_t>;
  using message_given = std::optional<received<PeerId>>;

  /// Offers that have ended. To be destroyed without a lock: they may hold objects of the inbox.
  class endings {
   public:
    /// Tells the messengers. Those that cannot be told for want of memory are told the next time.
    void post() noexcept {
      for (auto next = all_.begin(); next != all_.end();) {
        offer& o = next->second;
        try {
          if (o.done) o.done(o.result);
          auto at = next++;
          told_.insert(all_.extract(at));
        } catch (...) {
          ++next;
        }
      }
    }

    void move_all(endings& to) noexcept { to.all_.merge(all_); }
    /// Those whose messengers are in that context.
    void move_of(const asio::execution_context& home, endings& to) noexcept {
      for (auto next = all_.begin(); next != all_.end();) {
        auto at = next++;
        if (at->second.home == &home) to.all_.insert(all_.extract(at));
      }
    }

   private:
    friend offers;

    std::map<std::uint64_t, offer> all_;
    std::map<std::uint64_t, offer> told_;
  };

  bool closed() const noexcept { return closed_; }

  /// Takes `done`, unless it throws.
  void add(std::uint64_t id, message<PeerId>& m, delivery_context<PeerId>& context, handler& done,
           asio::execution_context* home, endings& ended) {
    ids one{id};
    auto at = all_.try_emplace(id, id, std::move(m), std::move(context), home).first;
    at->second.done = std::move(done);
    waiting_.merge(one);
    if (closed_) refuse(at->second, error::inbox_closed, ended);
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
    message_given given(std::in_place, o.contents, o.context);
    loan_access::lend(*given, std::make_shared<const loan>(std::move(from), o.id));
    if (o.is == stage::recalled) {
      lose(o);
    } else {
      o.is = stage::given;
    }
    return given;
  }
  /// Gives the first that waits, if one does.
  message_given give_waiting(std::uint64_t reader, std::weak_ptr<lender> from, endings& ended) {
    tickets first = promise(reader, 1);
    if (first.empty()) return std::nullopt;
    try {
      return give(reader, first.front(), std::move(from));
    } catch (...) {
      release_promise(reader, first.front(), ended);
      throw;
    }
  }

  /// The reader's handler does not run with the promised message.
  void release_promise(std::uint64_t reader, std::uint64_t ticket, endings& ended) {
    auto o = all_.find(ticket);
    if (o != all_.end() && o->second.is_promised_to(reader)) release(o->second, ended);
  }
  /// The reader gives it back.
  void release_given(std::uint64_t ticket, endings& ended) {
    auto o = all_.find(ticket);
    if (o != all_.end() && o->second.is_with_reader()) release(o->second, ended);
  }
  /// It is not promised to the reader, nor with it, any more.
  void release_from(std::uint64_t reader, std::uint64_t ticket, endings& ended) {
    assert(reader != 0 && reader != nobody);
    auto o = all_.find(ticket);
    if (o != all_.end() && o->second.reader == reader) release(o->second, ended);
  }
  /// The reader is gone. It may have passed on its messages.
  void release_reader(std::uint64_t reader, endings& ended) {
    for_each_with(reader, [&](offer& o) {
      if (o.is_promised_to(reader)) return release(o, ended);
      o.reader = nobody;
      with_nobody_.insert(take_from(reader, o.id));
    });
  }

  /// The messenger waits for it no more. Gives its handler; empty if it was told.
  handler withdraw(std::uint64_t id) {
    auto o = all_.find(id);
    if (o == all_.end() || !o->second.done) return {};
    return withdraw(o->second);
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
  void consume_all(std::uint64_t reader, endings& ended) {
    for_each_for(reader, [&](offer& o) { consume(o, {}, ended); });
  }
  /// The same; `done` is told when the store knows, or that one of them comes again. It is left
  /// where that is known: then the result is for it.
  std::error_code consume_all(std::uint64_t reader, handler& done, endings& ended) {
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
      consume_all(reader, ended);
      return failed;
    }
    auto all = std::make_shared<join>(count, std::move(done), failed);
    for_each_for(reader, [&](offer& o) {
      consume(o, handler::pass_to([all](std::error_code e) { all->handle_ended(e); }), ended);
    });
    return {};
  }
  std::error_code consume_one(std::uint64_t reader, std::uint64_t ticket, handler& done,
                              endings& ended) {
    auto o = all_.find(ticket);
    if (o == all_.end() || !o->second.is_with(reader)) return error::message_returned;
    bool lost = o->second.is == stage::lost;
    consume(o->second, lost ? handler() : std::move(done), ended);
    return lost ? error::message_returned : std::error_code();
  }

  /// The oldest one that waits, if one does, goes back to its messenger, which offers it again.
  void refuse_one(std::error_code reason, endings& ended) {
    if (!waiting_.empty()) refuse(all_.find(*waiting_.begin())->second, reason, ended);
  }
  /// Refuses all that no reader has, or was promised, from now on.
  void close(endings& ended) {
    closed_ = true;
    while (!waiting_.empty()) refuse_one(error::inbox_closed, ended);
  }

 private:
  /// Has the messages of readers that are gone.
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};

  enum class stage : std::uint8_t { waiting, promised, recalled, given, lost };

  struct offer {
    offer(std::uint64_t i, message<PeerId> m, delivery_context<PeerId> c,
          asio::execution_context* x)
        : id(i), contents(std::move(m)), context(std::move(c)), home(x) {}

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
    std::error_code result;         ///< for it, once it has ended
    asio::execution_context* home;  ///< of `done`
    stage is = stage::waiting;
    std::uint64_t reader = 0;  ///< 0 if and only if it waits
  };

  /// What moves from one to another needs no memory.
  using ids = std::set<std::uint64_t>;

  void release(offer& o, endings& ended) {
    assert(o.is != stage::waiting);
    if (!o.done) {
      end(o, {}, ended);
    } else if (closed_) {
      refuse(o, error::inbox_closed, ended);
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
      endings gone;
      end(o, {}, gone);
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

  void refuse(offer& o, std::error_code reason, endings& ended) {
    assert(reason && o.done);
    end(o, reason, ended);
  }

  /// The end of one that a reader has. `stored`, if any, is told when the store knows.
  void consume(offer& o, handler stored, endings& ended) {
    assert(o.is_with_reader() && (o.is == stage::given) == static_cast<bool>(o.done));
    if (o.is == stage::given && stored) {
      context_access::staged(o.context).notify(std::move(stored));
    }
    end(o, {}, ended);
  }

  void end(offer& o, std::error_code result, endings& ended) noexcept {
    o.result = result;
    take_from(o.reader, o.id);
    ended.all_.insert(all_.extract(o.id));
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
