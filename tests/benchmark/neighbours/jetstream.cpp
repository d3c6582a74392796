// NATS JetStream with file storage: asynchronous publishing with acknowledgements, a pull consumer
// that fetches batches, and acknowledges each message. The server syncs every two minutes.
//
//   jetstream [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <nats/nats.h>

namespace {

using namespace benchmark;

void check(natsStatus s, const char* of) {
  if (s != NATS_OK) give_up(std::string(of) + ": " + natsStatus_GetText(s));
}

/// A connection, and its JetStream.
struct client {
  explicit client(int port) {
    check(
        natsConnection_ConnectTo(&connection, ("nats://127.0.0.1:" + std::to_string(port)).c_str()),
        "connecting");
    jsOptions o;
    jsOptions_Init(&o);
    o.PublishAsync.MaxPending = static_cast<std::int64_t>(in_flight);
    check(natsConnection_JetStream(&stream, connection, &o), "JetStream");
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() {
    jsCtx_Destroy(stream);
    natsConnection_Destroy(connection);
  }

  natsConnection* connection = nullptr;
  jsCtx* stream = nullptr;
};

void make_stream(client& c) {
  const char* subject = "s";
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = "S";
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Retention = js_WorkQueuePolicy;
  check(js_AddStream(nullptr, c.stream, &config, nullptr, nullptr), "the stream");
}

void send(client& c, std::uint64_t messages) {
  const std::string contents(message_size, 'x');
  for (std::uint64_t i = 0; i < messages; ++i) {
    check(
        js_PublishAsync(c.stream, "s", contents.data(), static_cast<int>(contents.size()), nullptr),
        "publishing");
  }
  check(js_PublishAsyncComplete(c.stream, nullptr), "the last acknowledgement");
}

natsSubscription* subscribe(client& c) {
  jsSubOptions o;
  jsSubOptions_Init(&o);
  o.Config.AckPolicy = js_AckExplicit;
  o.Config.MaxAckPending = 4 * static_cast<std::int64_t>(in_flight);
  natsSubscription* s = nullptr;
  check(js_PullSubscribe(&s, c.stream, "s", "consumer", nullptr, &o, nullptr), "subscribing");
  return s;
}

void receive(client& c, natsSubscription* from, std::uint64_t messages) {
  for (std::uint64_t consumed = 0; consumed < messages;) {
    natsMsgList list{};
    natsStatus fetched =
        natsSubscription_Fetch(&list, from, static_cast<int>(in_flight), 1000, nullptr);
    if (fetched == NATS_TIMEOUT) continue;
    check(fetched, "fetching");
    for (int i = 0; i < list.Count; ++i) check(natsMsg_Ack(list.Msgs[i], nullptr), "the ack");
    consumed += static_cast<std::uint64_t>(list.Count);
    natsMsgList_Destroy(&list);
  }
  check(natsConnection_Flush(c.connection), "flushing");
}

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 100'000);
  int port = free_port();
  server nats(s.directory, port,
              {"nats-server", "--addr", "127.0.0.1", "--port", std::to_string(port), "--jetstream",
               "--store_dir", s.directory.path().string()});
  child<bool> receiver([&](auto report) {
    client c(port);
    make_stream(c);
    natsSubscription* from = subscribe(c);
    report(true);
    receive(c, from, s.messages);
    report(true);
  });
  receiver.ask();
  client c(port);
  auto start = clock_type::now();
  send(c, s.messages);
  receiver.ask();
  print_rate("NATS JetStream, file storage", static_cast<double>(s.messages), seconds_since(start),
             "a kill; of a power cut, all but the last two minutes");
}
