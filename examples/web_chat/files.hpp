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
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace web_chat {

/// Files by the path under which a browser asks for them, all of a few folders.
class files {
 public:
  /// Those of `folder` are at `prefix` and their names.
  void add(const std::string& prefix, const std::filesystem::path& folder) {
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
      if (!entry.is_regular_file(failed)) continue;
      files_[prefix + entry.path().filename().string()] = entry.path();
    }
    if (auto index = files_.find(prefix + "index.html"); index != files_.end()) {
      files_[prefix] = index->second;
    }
  }
  bool has(const std::string& path) const { return files_.contains(path); }

  /// The answer to a request.
  std::string answer(std::string_view request) const {
    if (!request.starts_with("GET ")) return reply("405 Method Not Allowed", "text/plain", "");
    std::string_view target = request.substr(4, request.find(' ', 4) - 4);
    auto found = files_.find(std::string(target.substr(0, target.find('?'))));
    if (found == files_.end()) return reply("404 Not Found", "text/plain", "no such file\n");
    std::ifstream file(found->second, std::ios::binary);
    std::string body((std::istreambuf_iterator<char>(file)), {});
    return reply("200 OK", type_of(found->second), body);
  }

 private:
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

  std::map<std::string, std::filesystem::path> files_;
};

/// Answers a request whose head was read, within a limit of time.
inline asio::awaitable<void> serve(asio::ip::tcp::socket browser, std::string answer) {
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer limit(browser.get_executor(), std::chrono::seconds(30));
  std::error_code ignored;
  co_await (asio::async_write(browser, asio::buffer(answer),
                              asio::redirect_error(asio::use_awaitable, ignored)) ||
            limit.async_wait(asio::redirect_error(asio::use_awaitable, ignored)));
  browser.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

}  // namespace web_chat
