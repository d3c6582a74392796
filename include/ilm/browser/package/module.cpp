// The module of the JavaScript package: a messenger for a worker. worker.mjs calls it by the
// functions at the end, each with the number of the call; the answer comes by Module.ilm.

#include <ilm/backends/indexed_db.hpp>
#include <ilm/backends/memory.hpp>
#include <ilm/browser/page_loop.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/websocket.hpp>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <emscripten.h>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace {

using peer_id = std::string;
using network = ilm::websocket_network<peer_id>;
using inbox = ilm::inbox<peer_id>;
using message = ilm::message<peer_id>;
template <class Backend>
using messenger = ilm::messenger<Backend, network, inbox>;
using in_memory = messenger<ilm::memory_backend<peer_id>>;
using in_database = messenger<ilm::indexed_db_backend<peer_id>>;

constexpr std::string_view content_type = "content-type";

asio::io_context context;

/// Answers a call of JavaScript's with a number.
void answer(int call, double value) {
  // clang-format off
  EM_ASM({ Module["ilm"].answer($0, $1, "", "", 0); }, call, value);
  // clang-format on
}
/// Answers it with the reason why it failed.
void answer(int call, std::error_code failed, std::string text) {
  if (text.empty()) text = failed.message();
  // clang-format off
  EM_ASM({ Module["ilm"].answer($0, 0, UTF8ToString($1), UTF8ToString($2), $3); }, call,
         text.c_str(), failed.category().name(), failed.value());
  // clang-format on
}
void answer(int call, std::error_code failed, double value = 0) {
  if (failed) return answer(call, failed, std::string());
  answer(call, value);
}
void answer(int call, const std::exception_ptr& thrown) {
  ilm::detail::failure why = ilm::detail::failure_of(thrown);
  answer(call, why.code, why.text);
}

void answer(int call, const message& m) {
  std::span<const std::byte> bytes = m.contents.view();
  std::string type(m.attributes.header_text(content_type));
  // clang-format off
  EM_ASM(
      {
        Module["ilm"].message(
            $0, { from: UTF8ToString($1), sequence: $2, index: $3, bytes: HEAPU8.slice($4, $4 + $5),
                  type: UTF8ToString($6) });
      },
      call, m.from.c_str(), static_cast<double>(m.sequence), static_cast<double>(m.index),
      bytes.data(), bytes.size(), type.c_str());
  // clang-format on
}

void answer(int call, const ilm::event<peer_id>& e) {
  std::string kind(ilm::name_of(e.kind)), peer = e.peer.value_or(""), text = ilm::describe(e);
  std::string error = e.error ? e.error.message() : std::string();
  // clang-format off
  EM_ASM(
      {
        Module["ilm"].event($0, { kind: UTF8ToString($1), peer: UTF8ToString($2),
                                  text: UTF8ToString($3), error: UTF8ToString($4) });
      },
      call, kind.c_str(), peer.c_str(), text.c_str(), error.c_str());
  // clang-format on
}

/// The messenger of this worker.
class session {
 public:
  session(const std::string& id, const std::string& store) {
    network net(context, id);
    control_.emplace(net.control());
    if (store.empty()) {
      messenger_.emplace<in_memory>(context, ilm::memory_backend<peer_id>(), std::move(net),
                                    inbox_);
    } else {
      messenger_.emplace<in_database>(context, ilm::indexed_db_backend<peer_id>(store),
                                      std::move(net), inbox_);
    }
  }

  ilm::messenger_handle<peer_id>& handle() {
    if (auto* m = std::get_if<in_memory>(&messenger_)) return *m;
    return std::get<in_database>(messenger_);
  }
  inbox& box() noexcept { return inbox_; }

  void add_peer(const std::string& peer, const std::string& url) {
    control_->add_peer(peer, url);
    peers_.insert(peer);
  }
  void reconnect() {
    for (const std::string& peer : peers_) control_->reconnect(peer);
  }

 private:
  inbox inbox_;
  std::variant<std::monostate, in_memory, in_database> messenger_;
  std::optional<ilm::tcp_control<peer_id>> control_;
  std::set<std::string> peers_;
};

std::optional<session> opened;

/// Runs a call, and the context after it.
void run(int call, const std::function<void()>& step) {
  try {
    step();
  } catch (...) {
    answer(call, std::current_exception());
  }
  ilm::page_loop::of(context).run();
}

/// A handler that runs on the context: the default, a pool of threads, there is not.
template <class Handler>
auto here(Handler handler) {
  return asio::bind_executor(context.get_executor(), std::move(handler));
}

/// Answers a call when an operation without a value completes.
auto answered(int call) {
  return here([call](std::error_code failed) { answer(call, failed); });
}

}  // namespace

extern "C" {

/// Answers when the store is open, or with the first reason why it is not: a messenger would try
/// again for ever, and so does this one until its worker ends.
EMSCRIPTEN_KEEPALIVE void ilm_open(int call, const char* id, const char* store) {
  run(call, [&] {
    opened.emplace(id, store);
    auto waits = std::make_shared<bool>(true);
    opened->handle().on_event([call, waits](const ilm::event<peer_id>& e) {
      if (e.kind != ilm::event_kind::store_failed || !std::exchange(*waits, false)) return;
      answer(call, e.error, e.text);
    });
    opened->handle().undelivered(id,
                                 here([call, waits](std::error_code failed, ilm::sequence_range) {
                                   if (!std::exchange(*waits, false)) return;
                                   // With it, events were not kept for those who read them later.
                                   opened->handle().on_event(nullptr);
                                   answer(call, failed);
                                 }));
  });
}

EMSCRIPTEN_KEEPALIVE void ilm_add_peer(int call, const char* peer, const char* url) {
  run(call, [&] {
    opened->add_peer(peer, url);
    answer(call, std::error_code());
  });
}

EMSCRIPTEN_KEEPALIVE void ilm_reconnect(int call) {
  run(call, [&] {
    opened->reconnect();
    answer(call, std::error_code());
  });
}

/// Answers with the sequence once the message is stored.
EMSCRIPTEN_KEEPALIVE void ilm_send(int call, const char* peer, const std::byte* data,
                                   std::size_t size, const char* type) {
  run(call, [&] {
    ilm::send_options with;
    if (*type != '\0') with.headers.emplace_back(content_type, type);
    opened->handle().send_to(std::string(peer), ilm::bytes(std::span(data, size)), with,
                             here([call](std::error_code failed, std::uint64_t sequence) {
                               answer(call, failed, static_cast<double>(sequence));
                             }));
  });
}

EMSCRIPTEN_KEEPALIVE void ilm_delivered(int call, const char* peer, double sequence) {
  run(call, [&] {
    opened->handle().wait_delivered(std::string(peer), static_cast<std::uint64_t>(sequence),
                                    answered(call));
  });
}

/// Consumes the message before, and answers with the next.
EMSCRIPTEN_KEEPALIVE void ilm_receive(int call) {
  run(call, [&] {
    opened->box().receive(here([call](std::error_code failed, const ilm::received<peer_id>& m) {
      if (failed) return answer(call, failed);
      answer(call, m);
    }));
  });
}

EMSCRIPTEN_KEEPALIVE void ilm_consume(int call) {
  run(call, [&] { opened->box().consume(answered(call)); });
}

EMSCRIPTEN_KEEPALIVE void ilm_next_event(int call) {
  run(call, [&] {
    opened->handle().next_event(here([call](std::error_code failed, const ilm::event<peer_id>& e) {
      if (failed) return answer(call, failed);
      answer(call, e);
    }));
  });
}

/// Answers with the number of messages that stay in the store. Longer than 30 years is as long.
EMSCRIPTEN_KEEPALIVE void ilm_shutdown(int call, double milliseconds) {
  constexpr double longest = 1e12;
  run(call, [&] {
    opened->handle().shutdown(
        std::chrono::milliseconds(static_cast<std::int64_t>(std::min(milliseconds, longest))),
        here([call](std::error_code failed, const ilm::shutdown_report<peer_id>& report) {
          answer(call, failed, static_cast<double>(report.undelivered));
        }));
  });
}
}

int main() {}

#pragma clang diagnostic pop
