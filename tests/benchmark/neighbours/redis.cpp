// Redis Streams: pipelined XADD, a consumer group that reads 1,000 at a time and acknowledges them
// with one XACK. The append-only file is synced before each reply, or once a second.
//
//   redis --sync always|everysec [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <hiredis/hiredis.h>
#include <memory>

namespace {

using namespace benchmark;

struct release {
  void operator()(redisContext* c) const { redisFree(c); }
  void operator()(redisReply* r) const { freeReplyObject(r); }
};
using connection = std::unique_ptr<redisContext, release>;
using reply = std::unique_ptr<redisReply, release>;

connection connect(int port) {
  connection c(redisConnect("127.0.0.1", port));
  if (!c || c->err != 0) give_up("no connection to redis-server");
  return c;
}

reply next_reply(redisContext& c) {
  void* got = nullptr;
  if (redisGetReply(&c, &got) != REDIS_OK) give_up(c.errstr);
  reply r(static_cast<redisReply*>(got));
  if (r->type == REDIS_REPLY_ERROR) give_up(r->str);
  return r;
}

void send(redisContext& c, std::uint64_t messages) {
  const std::string contents(message_size, 'x');
  constexpr std::uint64_t step = 100;
  std::uint64_t sent = 0;
  for (std::uint64_t confirmed = 0; confirmed < messages;) {
    for (; sent < messages && sent < confirmed + in_flight; ++sent) {
      redisAppendCommand(&c, "XADD stream * c %b", contents.data(), contents.size());
    }
    for (std::uint64_t i = 0; i < step; ++i) next_reply(c);
    confirmed += step;
  }
}

void receive(redisContext& c, std::uint64_t messages) {
  for (std::uint64_t consumed = 0; consumed < messages;) {
    redisAppendCommand(&c, "XREADGROUP GROUP group one COUNT 1000 BLOCK 1000 STREAMS stream >");
    reply read = next_reply(c);
    if (read->type == REDIS_REPLY_NIL) continue;
    const redisReply& entries = *read->element[0]->element[1];
    std::vector<const char*> words{"XACK", "stream", "group"};
    std::vector<std::size_t> sizes{4, 6, 5};
    for (std::size_t i = 0; i < entries.elements; ++i) {
      const redisReply& id = *entries.element[i]->element[0];
      words.push_back(id.str);
      sizes.push_back(id.len);
    }
    redisAppendCommandArgv(&c, static_cast<int>(words.size()), words.data(), sizes.data());
    next_reply(c);
    consumed += entries.elements;
  }
}

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 200'000);
  std::string sync = s.line.text("--sync", "always");
  int port = free_port();
  server redis(
      s.directory, port,
      {"redis-server", "--port", std::to_string(port), "--bind", "127.0.0.1", "--dir",
       s.directory.path().string(), "--appendonly", "yes", "--appendfsync", sync, "--save", ""});
  connection c = connect(port);
  redisAppendCommand(c.get(), "XGROUP CREATE stream group 0 MKSTREAM");
  next_reply(*c);
  child<bool> receiver([&](auto report) {
    connection own = connect(port);
    report(true);
    receive(*own, s.messages);
    report(true);
  });
  receiver.ask();
  auto start = clock_type::now();
  send(*c, s.messages);
  receiver.ask();
  print_rate("Redis Streams, appendfsync " + sync, static_cast<double>(s.messages),
             seconds_since(start),
             sync == "always" ? "a power cut" : "a kill; of a power cut, all but the last second");
}
