#pragma once

#include "supervisor.hpp"

#include <asio/awaitable.hpp>

#include <cstdint>

namespace torture {

/// The course of a run: incidents, then calm, then the end.
class campaign {
 public:
  explicit campaign(supervisor& on) : supervisor_(on) {}

  asio::awaitable<void> run();

 private:
  // Incidents.

  asio::awaitable<void> cause_incidents(std::uint64_t kills);
  bool is_disk_due() const;
  asio::awaitable<void> incident();
  asio::awaitable<void> kill_one();
  asio::awaitable<void> kill_at_start();
  void kill_all();
  asio::awaitable<void> kill_at_end();
  void cut_one();
  asio::awaitable<void> fill_disk(supervised_peer& a);

  // A store that is put back.

  asio::awaitable<void> put_back();
  asio::awaitable<void> hold(supervised_peer& a);
  asio::awaitable<bool> exchange(std::uint64_t messages);
  bool rollback_reported(supervised_peer& a);

  // The end.

  asio::awaitable<void> calm();
  asio::awaitable<bool> come_to_rest();
  asio::awaitable<void> close();
  void inspect();
  void read_errors();

  bool out_of_time() const;
  supervised_peer& any() {
    return supervisor_.peers()[supervisor_.draw(supervisor_.peers().size())];
  }
  bool all_running();
  std::size_t neighbours_of(const supervised_peer& a);

  supervisor& supervisor_;
};

}  // namespace torture
