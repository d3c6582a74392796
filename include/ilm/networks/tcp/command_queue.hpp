#pragma once

#include <ilm/error.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/configuration.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/strand_queue.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

struct command {
  enum class type : std::uint8_t { add, remove, reconnect };

  command(type kind_, byte_string peer_, std::vector<address> where_ = {})
      : kind(kind_), peer(std::move(peer_)), where(std::move(where_)) {}

  type kind;
  byte_string peer;
  std::vector<address> where;
};

/// Brings commands from any thread to the strand of a network.
class command_queue final : public encoded_control {
 public:
  explicit command_queue(std::shared_ptr<const configuration> c) : configuration_(std::move(c)) {}

  void add_peer(byte_string id, std::span<const std::string_view> texts) override {
    if (texts.empty()) throw_bad_address({}, "a peer needs an address");
    std::vector<address> where;
    for (std::string_view text : texts)
      where.push_back(configuration_->via->parse_destination(text));
    if (id == configuration_->local_id) throw std::system_error(tcp_error::own_id);
    // An id that decodes to none would end `receive` when it is reported.
    if (!configuration_->is_valid_id(id)) throw std::system_error(error::invalid_peer_id);
    commands_->push(command(command::type::add, std::move(id), std::move(where)));
  }
  void remove_peer(byte_string id) override {
    commands_->push(command(command::type::remove, std::move(id)));
  }
  void reconnect(byte_string id) override {
    commands_->push(command(command::type::reconnect, std::move(id)));
  }

  std::uint16_t port() const noexcept override { return port_; }
  void set_port(std::uint16_t port) noexcept { port_ = port; }

  const std::shared_ptr<strand_queue<command>>& commands() const noexcept { return commands_; }

 private:
  const std::shared_ptr<const configuration> configuration_;
  const std::shared_ptr<strand_queue<command>> commands_ =
      std::make_shared<strand_queue<command>>();
  std::atomic<std::uint16_t> port_{0};
};

}  // namespace ilm::inline v0::detail::tcp
