#pragma once

#include "checker.hpp"
#include "driver_options.hpp"
#include "summary.hpp"
#include "supervised_peer.hpp"

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

namespace torture {

/// The processes, the proxies between them and the checker: keeps every peer running, reads its
/// reports, and records complaints.
class supervisor {
 public:
  supervisor(asio::io_context& context, const driver_options& options,
             std::filesystem::path directory);
  supervisor(const supervisor&) = delete;
  supervisor& operator=(const supervisor&) = delete;

  /// From now on starts every peer that has ended, unless it is held.
  void open();
  /// No peer is started again.
  void close_after_end() noexcept { over_ = true; }

  // Operations on a peer.

  void kill(supervised_peer& a);
  /// Sends it the command to shut down.
  void end(supervised_peer& a, char how);
  std::filesystem::path store_of(const supervised_peer& a) const {
    return directory_ / (a.name + ".db");
  }

  std::filesystem::path errors_of(const supervised_peer& a) const {
    return directory_ / (a.name + ".err");
  }

  /// Makes its disk full, or free again; also for later processes of the peer.
  void set_disk(supervised_peer& a, bool full);

  /// Records a violation.
  void complain(const std::string& text);
  void note(const std::string& line);
  bool failed() const noexcept { return summary_.complaints > 0; }

  /// Waits. False after a complaint; complains with `otherwise` if nothing was delivered for too
  /// long, or if the wait lasts too long.
  template <class Condition>
  asio::awaitable<bool> until(Condition met, std::string otherwise) {
    clock_type::time_point last_change = clock_type::now();
    clock_type::time_point end = last_change + 4 * options_.patience;
    std::uint64_t delivered = 0;
    while (!failed() && !met()) {
      if (std::uint64_t count = look(); count != delivered) {
        delivered = count;
        last_change = clock_type::now();
      }
      clock_type::time_point at = clock_type::now();
      if (at > end || at - last_change > options_.patience) complain(otherwise);
      co_await pause(std::chrono::milliseconds(2));
    }
    co_return !failed();
  }

  void spawn(asio::awaitable<void> work);
  asio::awaitable<void> pause(std::chrono::microseconds wait);

  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }
  std::deque<supervised_peer>& peers() noexcept { return peers_; }
  checker& checks() noexcept { return checks_; }
  summary& counts() noexcept { return summary_; }
  const driver_options& options() const noexcept { return options_; }
  std::chrono::seconds elapsed() const;

 private:
  asio::awaitable<void> keep(supervised_peer& a);
  asio::awaitable<void> watch();
  void start(supervised_peer& a);
  void handle_line(supervised_peer& a, const std::string& line);
  void handle_event(supervised_peer& a, const std::string& text);
  void handle_opened(supervised_peer& a);
  void handle_end(supervised_peer& a, int status);
  bool is_expected(const supervised_peer& a, const std::string& kind) const;
  void set_target(supervised_peer& a, std::uint16_t port);
  std::uint64_t look();

  asio::io_context& context_;
  const driver_options& options_;
  std::filesystem::path directory_;
  std::mt19937_64 random_;
  std::ofstream log_;
  summary summary_;
  checker checks_;
  std::deque<supervised_peer> peers_;
  clock_type::time_point began_ = clock_type::now();
  clock_type::time_point looked_{};
  bool over_ = false;
};

}  // namespace torture
