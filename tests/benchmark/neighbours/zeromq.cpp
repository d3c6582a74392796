// ZeroMQ over TCP: two sockets in two processes, and acknowledgements of the receiver's own for
// each hundred messages. Nothing is stored.
//
//   zeromq [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <zmq.h>

namespace {

using namespace benchmark;

class pair_socket {
 public:
  pair_socket() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_PAIR)) {}
  pair_socket(const pair_socket&) = delete;
  pair_socket& operator=(const pair_socket&) = delete;
  ~pair_socket() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }

  void bind(const std::string& to) { check(zmq_bind(socket_, to.c_str())); }
  void connect(const std::string& to) { check(zmq_connect(socket_, to.c_str())); }
  void send(const std::string& text) { check(zmq_send(socket_, text.data(), text.size(), 0)); }
  void receive(std::string& text) { check(zmq_recv(socket_, text.data(), text.size(), 0)); }

 private:
  static void check(int result) {
    if (result < 0) give_up(zmq_strerror(zmq_errno()));
  }

  void* context_;
  void* socket_;
};

constexpr std::uint64_t step = 100;  ///< messages to an acknowledgement

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 1'000'000);
  std::string address = "tcp://127.0.0.1:" + std::to_string(free_port());
  child<bool> receiver([&](auto report) {
    pair_socket own;
    own.bind(address);
    report(true);
    std::string contents(message_size, ' ');
    for (std::uint64_t i = 1; i <= s.messages; ++i) {
      own.receive(contents);
      if (i % step == 0) own.send("!");
    }
    report(true);
    ::pause();
  });
  receiver.ask();
  pair_socket own;
  own.connect(address);
  const std::string contents(message_size, 'x');
  std::string answer(1, ' ');
  auto start = clock_type::now();
  std::uint64_t confirmed = 0;
  for (std::uint64_t sent = 0; sent < s.messages; ++sent) {
    if (sent == confirmed + in_flight) {
      own.receive(answer);
      confirmed += step;
    }
    own.send(contents);
  }
  receiver.ask();
  print_rate("ZeroMQ", static_cast<double>(s.messages), seconds_since(start),
             "nothing: it is in memory");
}
