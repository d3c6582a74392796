#pragma once

#include <ilm/browser/page_loop.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/query.hpp>

#include <cassert>
#include <cstddef>
#include <emscripten.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace ilm::inline v0::detail {

/// The operations of JavaScript's that coroutines of a context wait for. A context that is
/// destroyed waits for none, and destroys these coroutines.
class script_calls final : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit script_calls(asio::execution_context& c) : asio::execution_context::service(c) {}

  static script_calls& of(const asio::any_io_executor& e) {
    return asio::use_service<script_calls>(asio::query(e, asio::execution::context));
  }

  /// Makes an operation known to JavaScript, by a number: `calls.open.get(number)` is there for its
  /// results, and `calls.finish(number, error)` ends it, where `calls` is Module["ilmCalls"]. The
  /// error is an exception, `{name}` for one of our own, or none.
  int begin() {
    // clang-format off
    int number = EM_ASM_INT(({
      const calls = Module["ilmCalls"] || (Module["ilmCalls"] = {
        last: 0,
        open: new Map(),
        finish(number, error) {
          queueMicrotask(() => {
            const call = this.open.get(number);
            if (!call) return;
            if (error) call.error = [error.name, error.constructor === Object ? "" : String(error)];
            _ilm_script_call_done(call.service, number);
          });
        },
      });
      calls.open.set(++calls.last, { service: $0, results: [] });
      return calls.last;
    }), this);
    // clang-format on
    calls_[number];
    return number;
    }

    /// After it `handle_done` is not called any more.
    void end(int number) noexcept {
      EM_ASM({ Module["ilmCalls"].open.delete($0); }, number);
      calls_.erase(number);
    }

    bool is_done(int number) const { return calls_.at(number).done; }
    void set_waiter(int number, completion<> waiter) {
      calls_.at(number).waiter = std::move(waiter);
    }

    /// Called by JavaScript.
    void handle_done(int number) {
      call& c = calls_.at(number);
      c.done = true;
      if (c.waiter) c.waiter();
      page_loop::of(static_cast<asio::io_context&>(context())).run();
    }

   private:
    struct call {
      bool done = false;
      completion<> waiter;
    };

    void shutdown() override {
      // Those that wait own what ends their calls, which then are not here.
      std::map<int, call> abandoned = std::exchange(calls_, {});
      for (const auto& [number, c] : abandoned) end(number);
    }

    std::map<int, call> calls_;
    }
    ;

    /// An operation of JavaScript's that one coroutine waits for.
    class script_call {
     public:
      explicit script_call(const asio::any_io_executor& e)
          : executor_(e), calls_(script_calls::of(e)), number_(calls_.begin()) {}
      script_call(const script_call&) = delete;
      script_call& operator=(const script_call&) = delete;
      ~script_call() { calls_.end(number_); }

      /// JavaScript's name for it.
      int number() const noexcept { return number_; }

      /// Completes when JavaScript has ended it.
      asio::awaitable<void> wait() {
        if (calls_.is_done(number_)) co_return;
        co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(initiate{this},
                                                                              asio::use_awaitable);
      }

      /// The name of the exception that ended it; empty if none did.
      std::string error() const { return error_part(0); }
      /// The exception as the browser shows it; empty for one of our own.
      std::string error_text() const { return error_part(1); }

      /// The results: arrays of bytes.
      std::size_t size() const {
        int size = EM_ASM_INT({ return Module["ilmCalls"].open.get($0).results.length; }, number_);
        return static_cast<std::size_t>(size);
      }
      std::vector<std::byte> result(std::size_t index) const {
        assert(index < size());
        int size = EM_ASM_INT({ return Module["ilmCalls"].open.get($0).results[$1].length; },
                              number_, static_cast<int>(index));
        std::vector<std::byte> copied(static_cast<std::size_t>(size));
        EM_ASM({ HEAPU8.set(Module["ilmCalls"].open.get($0).results[$1], $2); }, number_,
               static_cast<int>(index), copied.data());
        return copied;
      }

     private:
      struct initiate {
        script_call* self;
        template <class Handler>
        void operator()(Handler&& handler) const {
          self->calls_.set_waiter(self->number_,
                                  completion<>(std::forward<Handler>(handler), self->executor_));
        }
      };

      std::string error_part(int part) const {
        // clang-format off
    int size = EM_ASM_INT(({
      const error = Module["ilmCalls"].open.get($0).error;
      return error ? new TextEncoder().encode(error[$1]).length : 0;
    }), number_, part);
    std::string copied(static_cast<std::size_t>(size), '\0');
    if (size == 0) return copied;
    EM_ASM(({
      HEAPU8.set(new TextEncoder().encode(Module["ilmCalls"].open.get($0).error[$1]), $2);
    }), number_, part, copied.data());
        // clang-format on
        return copied;
      }

      asio::any_io_executor executor_;
      script_calls& calls_;
      int number_;
    };

    }  // namespace ilm::inline v0::detail

    extern "C" EMSCRIPTEN_KEEPALIVE inline void ilm_script_call_done(
        ilm::detail::script_calls* calls, int number) {
      calls->handle_done(number);
    }

#pragma clang diagnostic pop
