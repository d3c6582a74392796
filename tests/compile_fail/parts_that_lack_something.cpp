// expect: network: it cannot be moved
// expect: network: it lacks `static constexpr bool reliable`
// expect: network: it lacks `PeerId local_id
// expect: network: it lacks `std::size_t maximum_frame_size
// expect: network: it lacks `asio::awaitable<void> send
// expect: network: it lacks `asio::awaitable<ilm::network_event<PeerId>> receive
// expect: backend: it cannot be moved
// expect: backend: it lacks `static constexpr ilm::durability durable_to`
// expect: backend: it lacks `asio::awaitable<ilm::store_state<PeerId>> open
// expect: backend: it lacks `asio::awaitable<void> commit
// expect: backend: it lacks `asio::awaitable<std::vector<ilm::stored_message>> read
// expect: backend: it lacks `asio::awaitable<void> close
// expect: delivery: it cannot be moved
// expect: delivery: it can be called neither with an ilm::message<PeerId> nor
// expect: delivery: it returns neither void nor ilm::outcome, nor an asio::awaitable of one
// expect: the peer id type must have a default constructor
// expect: the peer id type lacks operator==
// expect: the peer id type lacks operator<
#include <ilm/codecs/bytes.hpp>
#include <ilm/detail/check_parts.hpp>

#include <string>
#include <vector>

// The sentence for each thing that a part or a peer id can lack, in the order of the asserts.

namespace {

using id = std::string;

struct good_delivery {
  void operator()(const ilm::message<id>&);
};
struct good_network {
  static constexpr bool reliable = false;
  id local_id();
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const id&, std::vector<std::byte>);
  asio::awaitable<ilm::network_event<id>> receive();
};
struct good_backend {
  static constexpr ilm::durability durable_to = ilm::durability::process;
  asio::awaitable<ilm::store_state<id>> open();
  asio::awaitable<void> commit(const ilm::batch<id>&);
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue, const id&, std::uint64_t,
                                                         ilm::page_limit);
  asio::awaitable<void> close();
};
struct good_id {
  friend auto operator<=>(const good_id&, const good_id&) = default;
};

#ifdef ILM_CONTROL
#define BAD(part)
#else
#define BAD(part) part
#endif

template <class Part>
struct immovable : Part {
  immovable() = default;
  BAD(immovable(const immovable&) = delete;)
};
struct no_reliable : good_network {
  BAD(static constexpr good_delivery reliable{};)
};
struct no_local_id : good_network {
  BAD(void local_id(int);)
};
struct no_frame_size : good_network {
  BAD(void maximum_frame_size();)
};
struct no_send : good_network {
  BAD(void send(const id&, std::vector<std::byte>);)
};
struct no_receive : good_network {
  BAD(asio::awaitable<std::vector<std::byte>> receive();)
};
struct no_durability : good_backend {
  BAD(static void durable_to();)
};
struct no_open : good_backend {
  BAD(asio::awaitable<ilm::store_state<int>> open();)
};
struct no_commit : good_backend {
  BAD(bool commit(const ilm::batch<id>&);)
};
struct no_read : good_backend {
  BAD(asio::awaitable<void> read(ilm::queue, const id&, std::uint64_t, ilm::page_limit);)
};
struct no_close : good_backend {
  BAD(void close();)
};
struct no_message : good_delivery {
  BAD(void operator()(int);)
};
struct no_result : good_delivery {
  BAD(bool operator()(const ilm::message<id>&);)
};
struct no_value : good_id {
  BAD(no_value(int);)
};
struct no_equality : good_id {
  BAD(friend bool operator==(const no_equality&, const no_equality&) = delete;)
};
struct no_order : good_id {
  BAD(friend auto operator<=>(const no_order&, const no_order&) = delete;)
};

using namespace ilm::detail;

constexpr std::size_t networks =
    sizeof(assert_network<immovable<good_network>>) + sizeof(assert_network<no_reliable>) +
    sizeof(assert_network<no_local_id>) + sizeof(assert_network<no_frame_size>) +
    sizeof(assert_network<no_send>) + sizeof(assert_network<no_receive>);
constexpr std::size_t backends =
    sizeof(assert_backend<immovable<good_backend>, id>) +
    sizeof(assert_backend<no_durability, id>) + sizeof(assert_backend<no_open, id>) +
    sizeof(assert_backend<no_commit, id>) + sizeof(assert_backend<no_read, id>) +
    sizeof(assert_backend<no_close, id>);
constexpr std::size_t deliveries = sizeof(assert_delivery<immovable<good_delivery>, id>) +
                                   sizeof(assert_delivery<no_message, id>) +
                                   sizeof(assert_delivery<no_result, id>);
constexpr std::size_t ids = sizeof(assert_ordered_id<no_value>) +
                            sizeof(assert_ordered_id<no_equality>) +
                            sizeof(assert_ordered_id<no_order>);

}  // namespace
