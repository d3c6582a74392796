#include "support/world.hpp"

#include <utility>

namespace test {

peer::peer(asio::io_context& context, fabric& net, std::string name)
    : context_(context), fabric_(net), name_(std::move(name)) {}
peer::peer(peer&&) noexcept = default;
peer::~peer() = default;

void peer::start(ilm::options o) {
  crash();
  messenger_ = std::make_unique<messenger>(context_, backend(disk_, faults_), fabric_.join(name_),
                                           handler(app_), std::move(o));
}

void peer::crash() { messenger_.reset(); }

namespace {

auto keep_in(std::shared_ptr<sent> result) {
  return [result](std::error_code error, std::uint64_t sequence) {
    result->done = true;
    result->error = error;
    result->sequence = sequence;
  };
}

}  // namespace

std::shared_ptr<sent> peer::send(const std::string& to, const std::string& text) {
  auto result = std::make_shared<sent>();
  messenger_->send_to(to, text, keep_in(result));
  return result;
}

std::shared_ptr<sent> peer::try_send(const std::string& to, const std::string& text) {
  auto result = std::make_shared<sent>();
  messenger_->try_send_to(to, text, keep_in(result));
  return result;
}

asio::awaitable<std::uint64_t> peer::send_to(std::string to, std::string text) {
  co_return co_await messenger_->send_to(to, text);
}

asio::awaitable<void> peer::wait_delivered(std::string to, std::uint64_t sequence) {
  co_await messenger_->wait_delivered(to, sequence);
}

asio::awaitable<ilm::sequence_range> peer::undelivered(std::string to) {
  co_return co_await messenger_->undelivered(to);
}

asio::awaitable<report> peer::shutdown(std::chrono::nanoseconds timeout) {
  co_return co_await messenger_->shutdown(timeout);
}

ilm::messenger_statistics<std::string> peer::statistics() const { return messenger_->statistics(); }

ilm::peer_statistics<std::string> peer::statistics_of(const std::string& of) const {
  for (const auto& p : messenger_->statistics().peers) {
    if (p.peer == of) return p;
  }
  return {};
}

std::vector<std::string> peer::connected_peers() const { return messenger_->connected_peers(); }

void peer::watch() {
  messenger_->next_event([this, keep = events_](std::error_code failed, event e) {
    if (failed) return;
    keep->push_back(std::move(e));
    if (messenger_) watch();
  });
}

std::size_t peer::count(ilm::event_kind kind) const {
  std::size_t n = 0;
  for (const event& e : *events_) n += e.kind == kind ? e.count : 0;
  return n;
}

const event* peer::find(ilm::event_kind kind) const {
  for (const event& e : *events_) {
    if (e.kind == kind) return &e;
  }
  return nullptr;
}

}  // namespace test
