#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>
#include <ilm/networks/tcp/connection.hpp>
#include <ilm/networks/tcp/mailbox.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/peer.hpp>

#include <asio/ip/tcp.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::detail::tcp {

/// A number of 32 bits at a time, unpredictable.
template <std::size_t Size>
std::array<std::byte, Size> random_bytes() {
  std::random_device device;
  std::array<std::byte, Size> drawn;
  for (std::size_t i = 0; i < Size; i += 4) {
    std::uint32_t word = device();
    for (std::size_t j = i; j < std::min(Size, i + 4); ++j, word >>= 8) {
      drawn[j] = static_cast<std::byte>(word);
    }
  }
  return drawn;
}

/// The coroutines of a network. All run on the strand of the first `receive` and own the core:
///
/// - `park`: is there as long as the network runs, so that the mailbox knows when it ends
/// - `accept_loop`; `serve` for each connection accepted
/// - `dial_loop` for each peer in the address book
/// - `read_loop`, `write_loop` and `watch` for each session
///
/// They end by themselves once the core is closed.
template <class PeerId>
class core : public std::enable_shared_from_this<core<PeerId>> {
 public:
  using event = network_event<PeerId>;

  core(asio::any_io_executor executor, PeerId id, tcp_options o)
      : mail(std::make_shared<mailbox<PeerId>>(id)),
        local_id(std::move(id)),
        options(std::move(o)),
        acceptor_(std::move(executor)),
        encoded_id_(encode_id(local_id)) {
    if (std::string wrong = contradiction(options); !wrong.empty()) {
      throw std::system_error(make_error_code(error::invalid_options), wrong);
    }
  }

  const std::shared_ptr<mailbox<PeerId>> mail;
  const PeerId local_id;
  const tcp_options options;

  void listen(std::string_view text);
  asio::ip::tcp::endpoint local_endpoint() const { return acceptor_.local_endpoint(); }

  /// Ends everything at once.
  void close();

  asio::awaitable<event> receive();
  asio::awaitable<void> send(const PeerId& to, byte_string frame);

 private:
  using core_pointer = std::shared_ptr<core>;
  using connection_pointer = std::shared_ptr<connection>;
  using peer_type = peer<PeerId>;
  using peer_pointer = std::shared_ptr<peer_type>;

  /// A proven connection that the other side dialed within this time of one that this side dialed
  /// is its twin, and not its successor.
  static constexpr tcp_options::duration tie_window = std::chrono::seconds(1);
  /// How many refusals are told at once, and how long until one more is.
  static constexpr unsigned refusals_told = 16;
  static constexpr tcp_options::duration refusal_told_again = std::chrono::seconds(1);
  /// How many problems wait to be received.
  static constexpr std::size_t problem_limit = 64;
  /// How long to wait after a failure to accept, such as too many open files.
  static constexpr tcp_options::duration accept_pause = std::chrono::milliseconds(20);
  /// How many of the addresses of a name are tried.
  static constexpr std::size_t endpoint_limit = 8;

  static byte_string encode_id(const PeerId& id) {
    byte_string encoded;
    codec<PeerId>::encode(id, encoded);
    if (encoded.empty() || encoded.size() > maximum_id_size) {
      throw std::system_error(error::invalid_peer_id);
    }
    return encoded;
  }

  /// Nothing if the bytes are no id, or not the ones in which it would be written: two spellings of
  /// one id would be two identities to whoever checks them.
  static std::optional<PeerId> decode_id(byte_view encoded) {
    try {
      PeerId id = codec<PeerId>::decode(encoded);
      if (same(encode_id(id), encoded)) return id;
    } catch (...) {
    }
    return std::nullopt;
  }

  // Events.

  void start(const asio::any_io_executor& executor);
  static asio::awaitable<void> park(core_pointer self);
  void obey_commands();
  std::optional<event> poll_event();
  void list(const peer_pointer& p);
  void tell(std::optional<PeerId> whom, std::error_code why);
  void tell_refusal(std::optional<PeerId> whom, std::error_code why);

  // Peers and sessions.

  peer_pointer peer_of(const PeerId& id);
  void tidy(const peer_type& p);
  bool is_twin(const peer_type& p, const connection& c) const;
  void begin_session(const peer_pointer& p, const connection_pointer& c);
  /// Ends the session if it is this connection's.
  void end_session(const peer_pointer& p, const connection_pointer& c, std::error_code why);
  void detach(const peer_pointer& p);
  static asio::awaitable<void> read_loop(core_pointer self, peer_pointer p, connection_pointer c);
  static asio::awaitable<void> write_loop(core_pointer self, peer_pointer p, connection_pointer c);
  static asio::awaitable<void> watch(core_pointer self, peer_pointer p, connection_pointer c);

  // Connections that are to become sessions.

  connection_pointer add(asio::ip::tcp::socket s, bool dialed);
  void drop(const connection_pointer& c);
  void leave_newcomers(connection& c);
  bool is_full(const PeerId& newcomer) const;
  static asio::awaitable<void> accept_loop(core_pointer self);
  static asio::awaitable<void> serve(core_pointer self, connection_pointer c);
  asio::awaitable<std::error_code> shake_hands(const connection_pointer& c,
                                               std::optional<PeerId>& who);
  asio::awaitable<std::error_code> agree(const connection_pointer& c, std::optional<PeerId>& who);
  asio::awaitable<std::error_code> exchange_messages(const connection_pointer& c, handshake& h,
                                                     std::optional<PeerId>& who);
  static std::error_code digest(handshake& h, message_type type, byte_view message,
                                byte_string& answer);
  asio::awaitable<void> turn_away(const connection_pointer& c, std::error_code why);

  // Dialing.

  static asio::awaitable<void> dial_loop(core_pointer self, peer_pointer p);
  asio::awaitable<std::error_code> dial(const peer_pointer& p);
  asio::awaitable<std::error_code> dial(const peer_pointer& p, asio::ip::tcp::endpoint to);
  asio::awaitable<std::error_code> resolve(const address& where,
                                           std::vector<asio::ip::tcp::endpoint>& found);
  void add_peer(const PeerId& id, address where);
  void remove_peer(const PeerId& id);
  void reconnect(const PeerId& id);
  void give_up_dial(peer_type& p);
  void back_off(peer_type& p);

  asio::ip::tcp::acceptor acceptor_;
  byte_string encoded_id_;
  std::array<std::byte, 16> instance_ = random_bytes<16>();
  std::minstd_rand jitter_{std::random_device()()};

  std::optional<asio::any_io_executor> executor_;  ///< once it runs
  std::optional<bell> news_bell_;
  std::optional<bell> park_bell_;
  std::map<PeerId, peer_pointer> peers_;
  std::deque<peer_pointer> with_news_;
  std::deque<event> problems_;
  unsigned refusals_left_ = refusals_told;
  clock::time_point refusals_at_ = clock::now();
  std::set<connection_pointer> connections_;
  std::size_t newcomers_ = 0;
  std::size_t sessions_ = 0;
  bool closed_ = false;
};

}  // namespace ilm::detail::tcp

#include <ilm/networks/tcp/core_accept.hpp>
#include <ilm/networks/tcp/core_dial.hpp>
#include <ilm/networks/tcp/core_events.hpp>
#include <ilm/networks/tcp/core_sessions.hpp>
