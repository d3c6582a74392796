#pragma once

#include "actor.hpp"
#include "oracle.hpp"
#include "orders.hpp"
#include "tally.hpp"

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

/// The processes, the proxies between them and the oracle: keeps every peer running, listens to it,
/// and notes whatever must not be.
class stage {
 public:
  stage(asio::io_context& context, const orders& given, std::filesystem::path directory);
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  /// From now on every peer is started whenever it has ended, unless it is held.
  void open();
  /// None is started again.
  void close_after_end() noexcept { over_ = true; }

  // What is done to a peer.

  void kill(actor& a);
  /// Has it shut down, by the command for it.
  void end(actor& a, char how);
  std::filesystem::path store_of(const actor& a) const { return directory_ / (a.name + ".db"); }

  std::filesystem::path errors_of(const actor& a) const { return directory_ / (a.name + ".err"); }

  /// Something that must not be.
  void complain(const std::string& what);
  void note(const std::string& line);
  bool failed() const noexcept { return tally_.complaints > 0; }

  /// Waits. False if something has failed meanwhile, nothing was delivered for too long, or nothing
  /// else than deliveries happens: then complains with `otherwise`.
  template <class Condition>
  asio::awaitable<bool> until(Condition met, std::string otherwise) {
    clock_type::time_point last_change = clock_type::now();
    clock_type::time_point end = last_change + 4 * orders_.patience;
    std::uint64_t delivered = 0;
    while (!failed() && !met()) {
      if (std::uint64_t count = look(); count != delivered) {
        delivered = count;
        last_change = clock_type::now();
      }
      clock_type::time_point at = clock_type::now();
      if (at > end || at - last_change > orders_.patience) complain(otherwise);
      co_await pause(std::chrono::milliseconds(2));
    }
    co_return !failed();
  }

  asio::awaitable<void> pause(std::chrono::microseconds wait);

  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }
  std::deque<actor>& actors() noexcept { return actors_; }
  oracle& judge() noexcept { return oracle_; }
  tally& counts() noexcept { return tally_; }
  const orders& given() const noexcept { return orders_; }
  std::chrono::seconds elapsed() const;

 private:
  asio::awaitable<void> keep(actor& a);
  asio::awaitable<void> watch();
  void start(actor& a);
  void handle_line(actor& a, const std::string& line);
  void handle_event(actor& a, const std::string& text);
  void handle_opened(actor& a);
  void handle_end(actor& a, int status);
  void set_target(actor& a, std::uint16_t port);
  std::uint64_t look();

  asio::io_context& context_;
  const orders& orders_;
  std::filesystem::path directory_;
  std::mt19937_64 random_;
  std::ofstream log_;
  tally tally_;
  oracle oracle_;
  std::deque<actor> actors_;
  clock_type::time_point began_ = clock_type::now();
  clock_type::time_point looked_{};
  bool over_ = false;
};

}  // namespace torture
