#include "stage.hpp"

#include <asio/co_spawn.hpp>

#include <csignal>
#include <exception>
#include <iostream>
#include <sstream>
#include <sys/wait.h>
#include <utility>
#include <vector>

namespace torture {
namespace {

void rethrow(std::exception_ptr failed) {
  if (failed) std::rethrow_exception(failed);
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

/// Whether an event is in the nature of what is done here: processes die, so sessions end, and who
/// dials one that is gone, or is cut off while shaking hands, has a problem to tell.
bool in_the_nature(const std::string& kind) {
  return kind == "peer_connected" || kind == "peer_disconnected" || kind == "network_problem";
}

/// What both sides may be told after a store went back. The gap is what the old copy lacks, and the
/// other side has erased since: its application has it.
bool of_a_put_back_store(const std::string& kind) {
  return kind == "rolled_back" || kind == "peer_rolled_back" || kind == "peer_reset" ||
         kind == "gap";
}

}  // namespace

stage::stage(asio::io_context& context, const orders& given, std::filesystem::path directory)
    : context_(context),
      orders_(given),
      directory_(std::move(directory)),
      random_(given.seed),
      log_(directory_ / "log"),
      oracle_(directory_, given.peers, [this](const std::string& what) { complain(what); }) {
  for (std::size_t i = 0; i < given.peers; ++i) {
    actor& a = actors_.emplace_back(std::string(1, static_cast<char>('a' + i)));
    for (std::size_t k = 0; k < given.peers; ++k) a.ways.emplace_back(context_, random_());
  }
}

void stage::open() {
  for (actor& a : actors_) asio::co_spawn(context_, keep(a), rethrow);
  asio::co_spawn(context_, watch(), rethrow);
}

asio::awaitable<void> stage::pause(std::chrono::microseconds wait) {
  asio::steady_timer timer(context_);
  timer.expires_after(wait);
  co_await timer.async_wait(asio::use_awaitable);
}

std::chrono::seconds stage::elapsed() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_type::now() - began_);
}

void stage::note(const std::string& line) {
  log_ << std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - began_).count()
       << " ms " << line << std::endl;
}

void stage::complain(const std::string& what) {
  note("COMPLAINT " + what);
  // One fault has many consequences.
  if (++tally_.complaints <= 20) std::cout << "complaint: " << what << std::endl;
}

/// Messages that were delivered until now; reads the diaries now and then.
std::uint64_t stage::look() {
  if (clock_type::now() - looked_ > std::chrono::milliseconds(100)) {
    looked_ = clock_type::now();
    oracle_.follow();
  }
  tally_.messages = oracle_.counts();
  return tally_.messages.delivered;
}

// The life of a process.

asio::awaitable<void> stage::keep(actor& a) {
  while (!over_) {
    if (a.held) {
      co_await pause(std::chrono::milliseconds(2));
      continue;
    }
    start(a);
    std::function<void(const std::string&)> handle = [this, &a](const std::string& line) {
      handle_line(a, line);
    };
    int status = co_await a.process->follow(std::move(handle));
    handle_end(a, status);
    std::uint64_t kind = draw(10);
    co_await pause(std::chrono::microseconds(kind < 5 ? 0 : draw(kind < 9 ? 50'000 : 1'000'000)));
  }
}

void stage::start(actor& a) {
  ++a.life;
  ++tally_.starts;
  std::vector<std::string> words{orders_.peer_program.string(),
                                 directory_.string(),
                                 a.name,
                                 orders_.level,
                                 std::to_string(a.life),
                                 std::to_string(a.generation),
                                 std::to_string(random_()),
                                 orders_.sabotage};
  std::size_t self = static_cast<std::size_t>(a.name[0] - 'a');
  for (actor& other : actors_) {
    if (&other == &a) continue;
    words.push_back(other.name + "=127.0.0.1:" + std::to_string(other.ways[self].port()));
  }
  a.killed = false;
  a.end = {};
  a.last = {};
  a.started = clock_type::now();
  a.process = std::make_unique<child>(context_, words, errors_of(a));
  a.enter(phase::starting);
  note(a.name + " starts for life " + std::to_string(a.life));
}

void stage::handle_end(actor& a, int status) {
  note(a.name + " " + describe(status) + ", " + std::string(name_of(a.now)));
  set_target(a, 0);
  tally_.again += std::exchange(a.last.again, 0);
  bool by_us = a.killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  bool graceful = a.now == phase::ending && a.end.given && status == 0;
  if (graceful) ++tally_.graceful;
  if (!by_us && !graceful) {
    if (a.now == phase::starting || a.now == phase::opening) ++tally_.failed_starts;
    complain(a.name + " " + describe(status) + " by itself, " + std::string(name_of(a.now)) +
             "; see " + errors_of(a).string());
  }
  a.process.reset();
  a.enter(phase::down);
}

void stage::set_target(actor& a, std::uint16_t port) {
  for (proxy& way : a.ways) way.forward_to(port);
}

void stage::kill(actor& a) {
  if (!a.alive() || a.killed) return;
  ++tally_.kills[static_cast<std::size_t>(a.now)];
  note("kill " + a.name + ", " + std::string(name_of(a.now)));
  a.killed = true;
  a.process->kill();
}

void stage::end(actor& a, char how) {
  if (!a.alive() || a.killed || a.now == phase::ending) return;
  note(a.name + " is to shut down");
  a.enter(phase::ending);
  a.process->command(how);
}

/// Whoever does not get on fails, however long the rest takes.
asio::awaitable<void> stage::watch() {
  clock_type::time_point printed = clock_type::now();
  for (;;) {
    co_await pause(std::chrono::seconds(1));
    look();
    if (clock_type::now() - printed > std::chrono::seconds(5)) {
      printed = clock_type::now();
      print_progress(std::cout, elapsed(), orders_.kills, tally_);
    }
    for (actor& a : actors_) {
      bool waiting = a.alive() && a.now != phase::running;
      if (!waiting || clock_type::now() - a.since < orders_.patience) continue;
      ++tally_.failed_starts;
      complain(a.name + " hangs, " + std::string(name_of(a.now)));
      a.since = clock_type::time_point::max();
    }
  }
}

// What the processes say.

void stage::handle_line(actor& a, const std::string& line) {
  std::istringstream words(line);
  std::string what;
  words >> what;
  if (what == "state") {
    actor::state& s = a.last;
    words >> s.open_sends >> s.outbox >> s.inbox >> s.connected >> s.again >> s.quiet;
    return;
  }
  note(a.name + ": " + line);
  std::string rest = line.substr(std::min(line.size(), what.size() + 1));
  if (what == "listening") {
    std::uint16_t port = 0;
    words >> port;
    set_target(a, port);
    if (a.now == phase::starting) a.enter(phase::opening);
  } else if (what == "opened") {
    handle_opened(a);
  } else if (what == "finished") {
    words >> a.end.delivered >> a.end.undelivered >> a.end.unread;
    a.end.given = true;
  } else if (what == "event") {
    handle_event(a, rest);
  } else {
    complain(a.name + " says: " + rest);
  }
}

void stage::handle_opened(actor& a) {
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - a.started);
  tally_.slowest_start = std::max(tally_.slowest_start, took);
  a.usual_start = (a.usual_start * 3 + took) / 4;
  if (a.now == phase::opening) a.enter(phase::running);
}

void stage::handle_event(actor& a, const std::string& text) {
  std::istringstream words(text);
  std::string kind, about;
  told_range outbound, inbound;
  words >> kind >> about >> outbound.first >> outbound.last >> inbound.first >> inbound.last;
  ++tally_.events[kind];
  if (in_the_nature(kind)) return;
  if (!of_a_put_back_store(kind) || tally_.put_back == 0 || about.size() != 1) {
    return complain(a.name + " has an event that must not be: " + text);
  }
  ++a.told[{kind, about}];
  oracle_.note_event(static_cast<std::size_t>(a.name[0] - 'a'),
                     static_cast<std::size_t>(about[0] - 'a'), outbound, inbound);
}

}  // namespace torture
