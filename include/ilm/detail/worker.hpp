#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/query.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>

namespace ilm::inline v0::detail {

/// A thread for calls that block: it runs jobs in order, one at a time, and completes each on the
/// executor of whoever waits for it. A context that is destroyed with jobs under way waits for the
/// running one and drops the others, as Asio's own services do.
class worker {
 public:
  /// `idle` runs on the thread whenever no job waits, until it returns false; then again after the
  /// next job.
  explicit worker(const asio::any_io_executor& executor, std::function<bool()> idle = {})
      : idle_(std::move(idle)),
        home_(asio::use_service<service>(asio::query(executor, asio::execution::context)).list()) {
    std::lock_guard lock(home_->mutex);
    home_->workers.insert(this);
    thread_ = std::thread([this] { run_jobs(); });
  }
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// Ends after the running job. Nobody may wait for another.
  ~worker() {
    {
      std::lock_guard lock(home_->mutex);
      home_->workers.erase(this);
    }
    end(state::ending);
  }

  /// Runs `work()` on the thread and completes with its result, or throws as it does.
  template <class Work>
  auto run(const asio::any_io_executor& executor, Work work) {
    using result = std::invoke_result_t<Work&>;
    return asio::async_initiate<const asio::use_awaitable_t<>, signature<result>>(
        initiate<Work>(this, executor, std::move(work)), asio::use_awaitable);
  }

 private:
  /// How long to wait for memory to tell the result of a job.
  static constexpr std::chrono::milliseconds memory_pause{10};

  enum class state { running, ending, abandoned };

  struct job {
    virtual ~job() = default;
    virtual void run() noexcept = 0;
    /// False if there is no memory for it: then nothing has changed.
    virtual bool complete() noexcept = 0;
  };

  template <class Result>
  struct outcome {
    using signature = void(std::exception_ptr, Result);
    template <class Work>
    void take(Work& work) {
      value = work();
    }
    template <class Handler>
    void tell(Handler handler) {
      std::move(handler)(std::move(failed), std::move(value));
    }

    std::exception_ptr failed;
    Result value{};
  };

  template <class Result>
  using signature = typename outcome<Result>::signature;

  template <class Work>
  struct job_of final : job {
    using result = outcome<std::invoke_result_t<Work&>>;

    template <class Handler>
    job_of(Work w, Handler&& h, const asio::any_io_executor& e)
        : work(std::move(w)),
          what(std::make_shared<result>()),
          done(completion<>::finished_by(std::forward<Handler>(h), e, [r = what](auto&& handler) {
            r->tell(std::forward<decltype(handler)>(handler));
          })) {}

    void run() noexcept override {
      try {
        what->take(work);
      } catch (...) {
        what->failed = std::current_exception();
      }
    }
    bool complete() noexcept override {
      try {
        done();
        return true;
      } catch (...) {
        return false;
      }
    }

    Work work;
    std::shared_ptr<result> what;
    completion<> done;
  };

  template <class Work>
  class initiate {
   public:
    initiate(worker* self, asio::any_io_executor executor, Work work)
        : self_(self), executor_(std::move(executor)), work_(std::move(work)) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      self_->push(std::make_unique<job_of<Work>>(std::move(work_), std::forward<Handler>(handler),
                                                 executor_));
    }

   private:
    worker* self_;
    asio::any_io_executor executor_;
    Work work_;
  };

  struct roll {
    std::mutex mutex;
    std::set<worker*> workers;
  };

  /// Knows the workers of a context, and ends them with it.
  class service final : public asio::execution_context::service {
   public:
    inline static asio::execution_context::id id;

    explicit service(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    const std::shared_ptr<roll>& list() const noexcept { return list_; }

   private:
    void shutdown() override {
      for (;;) {
        worker* next = nullptr;
        {
          std::lock_guard lock(list_->mutex);
          if (list_->workers.empty()) return;
          next = *list_->workers.begin();
          list_->workers.erase(list_->workers.begin());
        }
        // A job may own the owner of the worker: the jobs go last, from here.
        std::deque<std::unique_ptr<job>> left = next->end(state::abandoned);
      }
    }

    std::shared_ptr<roll> list_ = std::make_shared<roll>();
  };

  void push(std::unique_ptr<job> next) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(next));
    }
    wake_.notify_one();
  }

  std::deque<std::unique_ptr<job>> end(state how) {
    {
      std::lock_guard lock(mutex_);
      state_ = how;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
    return std::exchange(jobs_, {});
  }

  void run_jobs() {
    bool more = false;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return state_ != state::running || !jobs_.empty() || more; });
      if (state_ != state::running) return;
      if (jobs_.empty()) {
        lock.unlock();
        more = run_idle();
        lock.lock();
        continue;
      }
      job& next = *jobs_.front();
      lock.unlock();
      next.run();
      lock.lock();
      // With the lock: once the worker is abandoned, the executors are gone.
      auto abandoned = [&] { return state_ == state::abandoned; };
      while (!abandoned() && !next.complete()) wake_.wait_for(lock, memory_pause, abandoned);
      if (abandoned()) return;
      std::unique_ptr<job> done = std::move(jobs_.front());
      jobs_.pop_front();
      more = static_cast<bool>(idle_);
    }
  }

  bool run_idle() noexcept {
    try {
      return idle_();
    } catch (...) {
      return false;  // as after the next job
    }
  }

  std::function<bool()> idle_;
  std::shared_ptr<roll> home_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<job>> jobs_;
  state state_ = state::running;
  std::thread thread_;
};

template <>
struct worker::outcome<void> {
  using signature = void(std::exception_ptr);
  template <class Work>
  void take(Work& work) {
    work();
  }
  template <class Handler>
  void tell(Handler handler) {
    std::move(handler)(std::move(failed));
  }

  std::exception_ptr failed;
};

}  // namespace ilm::inline v0::detail
