#pragma once

#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/lookup.hpp>
#include <ilm/networks/tcp/lookup_schedule.hpp>
#include <ilm/networks/tcp/strand_queue.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// The look-up of a name, shared by all that wait for it.
struct lookup {
  explicit lookup(bool slow_) : slow(slow_) {}

  bool slow;                                              ///< the one before was late
  clock::time_point began_at = clock::time_point::max();  ///< in its thread
  clock::time_point ended_at{};
  std::optional<lookup_result> result;  ///< once it has ended
  /// Notified then.
  std::vector<std::weak_ptr<async_condition>> waiters;
};

/// Looks names up side by side, each in a thread of its own: a system's look-up can take half a
/// minute, and cannot be cancelled. Nothing waits for these threads, not even the end of the
/// process: a thread owns all that it uses, and leaves its answer in a queue. A name is looked up
/// once at a time.
class resolver {
 public:
  struct answer {
    answer(std::string host_, lookup_result result_)
        : host(std::move(host_)), result(std::move(result_)) {}

    std::string host;
    lookup_result result;
  };

  /// A look-up that takes longer than `patience` is late.
  resolver(lookup_function f, std::shared_ptr<strand_queue<answer>> answers,
           clock::duration patience)
      : look_up_(std::move(f)),
        answers_(std::move(answers)),
        patience_(patience),
        schedule_(patience) {}

  clock::duration patience() const noexcept { return patience_; }
  /// Whether a look-up takes too long, or took. Of one that did not begin, whether the one before
  /// did.
  bool is_late(const lookup& l) const {
    if (l.began_at == clock::time_point::max()) return l.slow;
    return (l.result ? l.ended_at : clock::now()) - l.began_at >= patience_;
  }

  /// Begins a look-up, or joins the one that is under way. `slow` if the last one of this name was
  /// late. A look-up that waits for its turn is dropped when all that wait for it have gone.
  std::shared_ptr<const lookup> look_up(const std::string& host, bool slow,
                                        const std::shared_ptr<async_condition>& waiter) {
    std::shared_ptr<lookup>& place = lookups_[host];
    if (!place) {
      place = std::make_shared<lookup>(slow);
      schedule_.request(host, slow);
    }
    std::shared_ptr<lookup> asked = place;
    std::erase_if(asked->waiters, [](const auto& w) { return w.expired(); });
    asked->waiters.push_back(waiter);
    start_lookups();
    return asked;
  }

  /// Begins look-ups that wait where others have become late meanwhile.
  void start_lookups() {
    while (std::optional<std::string> host = schedule_.poll(clock::now())) {
      auto at = lookups_.find(*host);
      assert(at != lookups_.end());
      if (!has_waiters(*at->second)) {
        complete(*host, {});
        continue;
      }
      at->second->began_at = clock::now();
      try {
        std::thread(run, look_up_, *host, answers_).detach();
      } catch (...) {
        complete(*host, failure_of(std::current_exception()));
      }
    }
  }

  /// To be called when the queue has answers.
  void handle_answers() {
    for (answer& a : answers_->take()) complete(a.host, std::move(a.result));
    start_lookups();
  }

 private:
  /// How long an answer waits for memory.
  static constexpr std::chrono::milliseconds memory_pause{10};

  static bool has_waiters(const lookup& l) {
    return std::any_of(l.waiters.begin(), l.waiters.end(),
                       [](const auto& w) { return !w.expired(); });
  }

  /// In a thread.
  static void run(lookup_function look_up, std::string host,
                  std::shared_ptr<strand_queue<answer>> answers) {
    lookup_result result;
    try {
      result = look_up(host);
      if (!result.why && result.hosts.empty()) result = failure(asio::error::host_not_found);
    } catch (...) {
      result = failure_of(std::current_exception());
    }
    while (!has_pushed(*answers, host, result)) std::this_thread::sleep_for(memory_pause);
  }

  static bool has_pushed(strand_queue<answer>& answers, const std::string& host,
                         const lookup_result& result) noexcept {
    try {
      answers.push(answer(host, result));
      return true;
    } catch (...) {
      return false;  // without memory, which must not end the process
    }
  }

  void complete(const std::string& host, lookup_result result) {
    auto at = lookups_.find(host);
    assert(at != lookups_.end());
    std::shared_ptr<lookup> ended = std::move(at->second);
    lookups_.erase(at);
    schedule_.complete(host);
    ended->ended_at = clock::now();
    ended->result = std::move(result);
    for (const auto& waiter : ended->waiters) {
      if (auto alive = waiter.lock()) alive->notify_all();
    }
  }

  lookup_function look_up_;
  std::shared_ptr<strand_queue<answer>> answers_;
  clock::duration patience_;
  lookup_schedule schedule_;
  std::map<std::string, std::shared_ptr<lookup>> lookups_;  ///< by host, until they have ended
};

}  // namespace ilm::inline v0::detail::tcp
