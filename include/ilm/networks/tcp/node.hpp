#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/cancellation.hpp>
#include <ilm/detail/context_end.hpp>
#include <ilm/detail/failure_guard.hpp>
#include <ilm/error.hpp>
#include <ilm/networks/tcp/acceptor.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/admission.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/command_queue.hpp>
#include <ilm/networks/tcp/dialer.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/named_listener.hpp>
#include <ilm/networks/tcp/resolver.hpp>
#include <ilm/networks/tcp/session_builder.hpp>
#include <ilm/networks/tcp/sessions.hpp>
#include <ilm/networks/tcp/strand_queue.hpp>

#include <cassert>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Owns the parts of a network and wires them. They run on the strand of the first `receive`. Every
/// coroutine owns its part, each part those that it uses; all end by themselves after `close`.
class node final : public encoded_network, public std::enable_shared_from_this<node> {
 public:
  node(const asio::any_io_executor& executor, std::shared_ptr<const configuration> c)
      : configuration_(std::move(c)),
        commands_(std::make_shared<command_queue>(configuration_)),
        control_(commands_),
        acceptor_(std::make_shared<acceptor>(executor)) {}

  void listen(std::string_view text) override {
    address where = parse_address(text);
    // One that is yet to be found is listened on already.
    if (name_ || acceptor_->listening()) {
      throw std::system_error(with_system_category(asio::error::already_open),
                              "cannot listen on " + std::string(text));
    }
    std::error_code not_numeric;
    asio::ip::address host = asio::ip::make_address(where.host, not_numeric);
    if (not_numeric) {
      name_ = std::move(where);
      if (running_) running_->listener->start(*name_);
    } else {
      acceptor_->listen({host, where.port}, text);
      publish_port();
    }
  }
  asio::ip::tcp::endpoint local_endpoint() const override { return acceptor_->local_endpoint(); }
  std::size_t maximum_frame_size() const noexcept override {
    return configuration_->options.maximum_frame_size;
  }
  const std::shared_ptr<encoded_control>& control() const noexcept override { return control_; }

  asio::awaitable<void> send(const byte_string& peer, byte_string frame) override {
    if (frame.size() > maximum_frame_size()) throw std::system_error(error::frame_too_large);
    if (!running_ || closed_) co_return;
    std::shared_ptr<session> full = running_->all_sessions->send(peer, std::move(frame));
    if (full) co_await full->wait_for_room_to_send();
  }

  asio::awaitable<encoded_event> receive() override {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    try {
      if (!running_ && !closed_) start(executor);
      for (;;) {
        if (failed_) std::rethrow_exception(failed_);
        if (closed_) throw std::system_error(error::network_ended);
        leave_if_cancelled(state);
        std::optional<encoded_event> next = running_->events->poll();
        if (next) co_return std::move(*next);
        co_await running_->events->wait();
      }
    } catch (...) {
      if (state.cancelled() == asio::cancellation_type::none) fail(std::current_exception());
      throw;
    }
  }

  void reject(const encoded_event& last, failure why) override {
    if (closed_) return;
    running_->events->guard().run([&] {
      bool lasts = running_->events->withdraw(last);
      if (lasts) return running_->all_sessions->fail(*last.peer, std::move(why));
      running_->events->add_problem(*last.peer, std::move(why));
    });
  }

  void close() noexcept override {
    if (std::exchange(closed_, true)) return;
    commands_->commands()->close();
    acceptor_->close();
    if (!running_) return;
    running_->listener->close();
    running_->entry->close();
    running_->answers->close();
    running_->contacts->close();
    running_->builder->close();
    running_->all_sessions->close();
    running_->events->close();
    running_->ended.notify_all();
  }

 private:
  /// The parts that need the strand.
  struct parts {
    parts(const asio::any_io_executor& executor, const std::shared_ptr<const configuration>& c,
          std::shared_ptr<acceptor> to, std::function<void()> listening,
          failure_guard::handler fail)
        : events(
              std::make_shared<event_source>(executor, c->options.receive_buffer, std::move(fail))),
          all_sessions(std::make_shared<sessions>(executor, c, events)),
          builder(std::make_shared<session_builder>(c, all_sessions)),
          entry(std::make_shared<admission>(executor, c, events, builder)),
          answers(std::make_shared<strand_queue<resolver::answer>>()),
          names(std::make_shared<resolver>(c->look_up, answers,
                                           to_ticks(c->options.handshake_timeout) / 2)),
          contacts(std::make_shared<dialer>(executor, c, events, all_sessions, builder, names)),
          listener(std::make_shared<named_listener>(executor, c, events, names, std::move(to),
                                                    std::move(listening))),
          ended(executor) {
      all_sessions->observe(contacts);
    }

    std::shared_ptr<event_source> events;
    std::shared_ptr<sessions> all_sessions;
    std::shared_ptr<session_builder> builder;
    std::shared_ptr<admission> entry;
    std::shared_ptr<strand_queue<resolver::answer>> answers;
    std::shared_ptr<resolver> names;
    std::shared_ptr<dialer> contacts;
    std::shared_ptr<named_listener> listener;
    async_condition ended;
  };

  void start(const asio::any_io_executor& executor) {
    assert(!running_);
    std::function<void()> listening = [weak = weak_from_this()] {
      if (std::shared_ptr<node> alive = weak.lock()) alive->publish_port();
    };
    running_.emplace(executor, configuration_, acceptor_, std::move(listening),
                     [weak = weak_from_this()](const std::exception_ptr& thrown) {
                       if (std::shared_ptr<node> alive = weak.lock()) alive->fail(thrown);
                     });
    if (asio::execution_context* home = context_of(executor)) {
      context_end::watch(*home, running_->events);
    }
    running_->events->spawn(hold_queues(shared_from_this(), executor));
    acceptor_->start(executor, running_->events, running_->entry);
    if (name_) running_->listener->start(*name_);
  }

  void publish_port() { commands_->set_port(acceptor_->local_endpoint().port()); }

  static asio::awaitable<void> hold_queues(std::shared_ptr<node> self,
                                           asio::any_io_executor executor) {
    std::function<void()> commanded = [weak = self->weak_from_this()] {
      std::shared_ptr<node> alive = weak.lock();
      if (alive) alive->running_->events->guard().run([&] { alive->run_commands(); });
    };
    std::function<void()> answered = [weak = self->weak_from_this()] {
      std::shared_ptr<node> alive = weak.lock();
      if (!alive || alive->closed_) return;
      alive->running_->events->guard().run([&] { alive->running_->names->handle_answers(); });
    };
    open_strand_queue answers(self->running_->answers, executor, std::move(answered));
    open_strand_queue commands(self->commands_->commands(), executor, std::move(commanded));
    // Commands from before are not announced.
    self->run_commands();
    while (!self->closed_) co_await self->running_->ended.wait();
  }

  /// Ends the network; `receive` throws.
  void fail(const std::exception_ptr& thrown) noexcept {
    if (closed_) return;
    failed_ = thrown;
    close();
  }

  void run_commands() {
    assert(running_);
    for (command& c : commands_->commands()->take()) {
      if (closed_) return;
      switch (c.kind) {
        case command::type::add:
          running_->contacts->add_peer(c.peer, std::move(c.where));
          break;
        case command::type::remove:
          running_->contacts->remove_peer(c.peer);
          running_->all_sessions->end(c.peer);
          break;
        case command::type::reconnect:
          running_->contacts->reconnect(c.peer);
          break;
      }
    }
  }

  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<command_queue> commands_;
  std::shared_ptr<encoded_control> control_;
  std::shared_ptr<acceptor> acceptor_;
  std::optional<address> name_;   ///< at which it listens, if that is no numeric host
  std::optional<parts> running_;  ///< from the first `receive` on
  std::exception_ptr failed_;     ///< the exception that ended it, if one did
  bool closed_ = false;
};

ILM_INLINE std::shared_ptr<encoded_network> make_encoded_network(
    asio::any_io_executor executor, byte_string local_id, tcp_options options,
    peer_id_check is_peer_id, std::shared_ptr<const transport> via) {
  if (!via) via = std::make_shared<tcp_transport>();
  auto c = std::make_shared<const configuration>(std::move(via), std::move(local_id),
                                                 std::move(options), std::move(is_peer_id));
  return std::make_shared<node>(executor, std::move(c));
}

}  // namespace ilm::inline v0::detail::tcp
