#pragma once

#include "stage.hpp"

#include <asio/awaitable.hpp>

#include <cstdint>

namespace torture {

/// What happens on the stage: incidents, then calm, then the end.
class campaign {
 public:
  explicit campaign(stage& on) : stage_(on) {}

  asio::awaitable<void> run();

 private:
  // Incidents.

  asio::awaitable<void> trouble(std::uint64_t kills);
  asio::awaitable<void> incident();
  asio::awaitable<void> kill_one();
  asio::awaitable<void> kill_at_start();
  void kill_all();
  asio::awaitable<void> kill_at_end();
  void cut_one();

  // A store that goes back.

  asio::awaitable<void> put_back();
  asio::awaitable<void> rest(actor& a);
  asio::awaitable<bool> exchange(std::uint64_t messages);
  bool told(actor& a);

  // The end.

  asio::awaitable<void> calm();
  asio::awaitable<void> close();
  void inspect();
  void read_errors();

  bool out_of_time() const;
  actor& any() { return stage_.actors()[stage_.draw(stage_.actors().size())]; }
  bool all_running();

  stage& stage_;
};

}  // namespace torture
