// Mosquitto, MQTT with quality of service 2, by the asynchronous client of Eclipse Paho with its
// own file persistence on the sender's side, and sessions that persist. The server saves its
// messages to disk every half an hour.
//
//   mosquitto [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <MQTTAsync.h>
#include <atomic>
#include <condition_variable>
#include <mutex>

namespace {

using namespace benchmark;

/// Counts down to the event that is waited for.
class count_down {
 public:
  explicit count_down(std::uint64_t from) : left_(from) {}
  void step() {
    std::lock_guard lock(mutex_);
    --left_;
    changed_.notify_all();
  }
  void wait(std::uint64_t until = 0) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return left_ <= until; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t left_;
};

void check(int result, const char* of) {
  if (result != MQTTASYNC_SUCCESS) give_up(std::string(of) + " fails");
}

void handle_success(void* of, MQTTAsync_successData*) { static_cast<count_down*>(of)->step(); }
void handle_failure(void*, MQTTAsync_failureData*) { give_up("an operation failed"); }

/// Calls back when it has ended.
MQTTAsync_responseOptions told_to(count_down& ended) {
  MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
  o.onSuccess = handle_success;
  o.onFailure = handle_failure;
  o.context = &ended;
  return o;
}

int handle_message(void* of, char* topic, int, MQTTAsync_message* m) {
  MQTTAsync_freeMessage(&m);
  MQTTAsync_free(topic);
  static_cast<count_down*>(of)->step();
  return 1;
}

class client {
 public:
  client(int port, const char* name, const std::string& directory, count_down* messages) {
    std::string server = "tcp://127.0.0.1:" + std::to_string(port);
    MQTTAsync_createOptions made = MQTTAsync_createOptions_initializer;
    made.maxBufferedMessages = static_cast<int>(in_flight);
    check(
        MQTTAsync_createWithOptions(&client_, server.c_str(), name, MQTTCLIENT_PERSISTENCE_DEFAULT,
                                    const_cast<char*>(directory.c_str()), &made),
        "the client");
    check(MQTTAsync_setCallbacks(client_, messages, nullptr, handle_message, nullptr), "callbacks");
    count_down connected(1);
    MQTTAsync_connectOptions o = MQTTAsync_connectOptions_initializer;
    o.cleansession = 0;
    o.maxInflight = static_cast<int>(in_flight);
    o.onSuccess = handle_success;
    o.onFailure = handle_failure;
    o.context = &connected;
    check(MQTTAsync_connect(client_, &o), "connecting");
    connected.wait();
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  void subscribe() {
    count_down done(1);
    MQTTAsync_responseOptions told = told_to(done);
    check(MQTTAsync_subscribe(client_, "t", 2, &told), "subscribing");
    done.wait();
  }
  void send(const std::string& contents, MQTTAsync_responseOptions& told) {
    check(MQTTAsync_send(client_, "t", static_cast<int>(contents.size()), contents.data(), 2, 0,
                         &told),
          "sending");
  }

 private:
  MQTTAsync client_ = nullptr;
};

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 10'000);
  int port = free_port();
  std::string text = "listener " + std::to_string(port) +
                     " 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location " +
                     s.directory.path().string() +
                     "/\nmax_inflight_messages 1000\nmax_queued_messages 0\n";
  server mosquitto(s.directory, port,
                   {"/usr/sbin/mosquitto", "-c", write_file(s.directory, "conf", text)});
  std::string place = s.directory.path().string();
  child<bool> receiver([&](auto report) {
    count_down messages(s.messages);
    client own(port, "receiver", place, &messages);
    own.subscribe();
    report(true);
    messages.wait();
    report(true);
    ::pause();
  });
  receiver.ask();
  count_down none(0), confirmed(s.messages);
  client own(port, "sender", place, &none);
  const std::string contents(message_size, 'x');
  MQTTAsync_responseOptions told = told_to(confirmed);
  auto start = clock_type::now();
  for (std::uint64_t sent = 0; sent < s.messages; ++sent) {
    if (sent >= in_flight) confirmed.wait(s.messages - sent + in_flight - 1);
    own.send(contents, told);
  }
  receiver.ask();
  print_rate("Mosquitto, QoS 2", static_cast<double>(s.messages), seconds_since(start),
             "a client's kill; of the server's, all but the last half hour");
}
