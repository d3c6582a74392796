#pragma once

// Serves the files of a page over HTTP: one request a connection.

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace web_chat {

/// Files by the path under which a browser asks for them, all of a few folders. They are read once.
class files {
 public:
  /// Those of `folder` are at `prefix` and their names.
  void add(const std::string& prefix, const std::filesystem::path& folder) {
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
      if (!entry.is_regular_file(failed)) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::string body((std::istreambuf_iterator<char>(file)), {});
      files_[prefix + entry.path().filename().string()] =
          std::make_shared<const std::string>(reply("200 OK", type_of(entry.path()), body));
    }
    if (auto index = files_.find(prefix + "index.html"); index != files_.end()) {
      files_[prefix] = index->second;
    }
  }
  bool has(const std::string& path) const { return files_.contains(path); }

  /// The answer to a request, which all that ask for the same share.
  std::shared_ptr<const std::string> answer(std::string_view request) const {
    if (!request.starts_with("GET ")) return refusal("405 Method Not Allowed", "only GET\n");
    std::string_view target = request.substr(4, request.find(' ', 4) - 4);
    auto found = files_.find(std::string(target.substr(0, target.find('?'))));
    if (found == files_.end()) return refusal("404 Not Found", "no such file\n");
    return found->second;
  }

 private:
  static std::shared_ptr<const std::string> refusal(const std::string& status,
                                                    const std::string& body) {
    return std::make_shared<const std::string>(reply(status, "text/plain", body));
  }
  static std::string reply(const std::string& status, const std::string& type,
                           const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n" + body;
  }
  static std::string type_of(const std::filesystem::path& file) {
    static const std::map<std::string, std::string> types = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".wasm", "application/wasm"},
        {".svg", "image/svg+xml"}};
    auto at = types.find(file.extension().string());
    return at == types.end() ? "application/octet-stream" : at->second;
  }

  std::map<std::string, std::shared_ptr<const std::string>> files_;  ///< as whole answers
};

/// How many browsers are answered at once; for one more the connection is closed, and the browser
/// asks again.
inline constexpr int most_at_once = 64;

/// Answers a request whose head was read, within a limit of time.
inline asio::awaitable<void> serve(asio::ip::tcp::socket browser,
                                   std::shared_ptr<const std::string> answer,
                                   std::shared_ptr<int> at_once) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer limit(browser.get_executor(), std::chrono::seconds(30));
  std::error_code ignored;
  ++*at_once;
  co_await (asio::async_write(browser, asio::buffer(*answer),
                              asio::redirect_error(asio::use_awaitable, ignored)) ||
            limit.async_wait(asio::redirect_error(asio::use_awaitable, ignored)));
  --*at_once;
  browser.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

}  // namespace web_chat
