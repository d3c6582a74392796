#include "supervisor.hpp"

#include "peer_arguments.hpp"

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

constexpr std::chrono::milliseconds journal_interval(100);
constexpr std::chrono::seconds progress_interval(5);
/// Complaints that are printed; all are in the log.
constexpr std::uint64_t complaints_shown = 20;

void rethrow(std::exception_ptr failed) {
  if (failed) std::rethrow_exception(failed);
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

/// Whether an event is expected after a store was put back. A gap names messages that the old copy
/// lacks and the peer has erased since: the application has them.
bool is_of_rollback(const std::string& kind) {
  return kind == "rolled_back" || kind == "peer_rolled_back" || kind == "peer_reset" ||
         kind == "gap";
}

}  // namespace

supervisor::supervisor(asio::io_context& context, const driver_options& options,
                       std::filesystem::path directory)
    : context_(context),
      options_(options),
      directory_(std::move(directory)),
      random_(options.seed),
      log_(directory_ / "log"),
      checks_(directory_, options.peers, [this](const std::string& text) { complain(text); }) {
  for (std::size_t i = 0; i < options.peers; ++i) {
    supervised_peer& a = peers_.emplace_back(std::string(1, static_cast<char>('a' + i)));
    for (std::size_t k = 0; k < options.peers; ++k) a.proxies.emplace_back(context_, random_());
  }
}

void supervisor::open() {
  for (supervised_peer& a : peers_) spawn(keep(a));
  spawn(watch());
}

void supervisor::spawn(asio::awaitable<void> work) {
  asio::co_spawn(context_, std::move(work), rethrow);
}

asio::awaitable<void> supervisor::pause(std::chrono::microseconds wait) {
  asio::steady_timer timer(context_);
  timer.expires_after(wait);
  co_await timer.async_wait(asio::use_awaitable);
}

std::chrono::seconds supervisor::elapsed() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_type::now() - began_);
}

void supervisor::note(const std::string& line) {
  log_ << std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - began_).count()
       << " ms " << line << std::endl;
}

void supervisor::complain(const std::string& text) {
  note("COMPLAINT " + text);
  // One defect causes many complaints.
  if (++summary_.complaints <= complaints_shown) std::cout << "complaint: " << text << std::endl;
}

/// The number of messages delivered until now; reads the journals from time to time.
std::uint64_t supervisor::look() {
  if (clock_type::now() - looked_ > journal_interval) {
    looked_ = clock_type::now();
    checks_.follow();
  }
  summary_.messages = checks_.counts();
  return summary_.messages.delivered;
}

// The start and end of processes.

asio::awaitable<void> supervisor::keep(supervised_peer& a) {
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

void supervisor::start(supervised_peer& a) {
  ++a.process_number;
  ++summary_.starts;
  std::vector<std::string> words{options_.peer_program.string(),
                                 directory_.string(),
                                 a.name,
                                 options_.level,
                                 std::to_string(a.process_number),
                                 std::to_string(a.generation),
                                 std::to_string(random_()),
                                 options_.sabotage};
  std::size_t self = number_of(a.name);
  bool is_end = !options_.chain.empty() && !options_.is_relay(self);
  words.push_back(is_end ? "end" : options_.is_relay(self) ? options_.chain : "peer");
  words.push_back(is_end ? (self == 0 ? peers_.back() : peers_.front()).name : "-");
  for (supervised_peer& other : peers_) {
    if (!options_.are_neighbours(number_of(other.name), self)) continue;
    words.push_back(other.name + "=127.0.0.1:" + std::to_string(other.proxies[self].port()));
  }
  a.killed = false;
  a.end = {};
  a.last = {};
  a.started = clock_type::now();
  a.process = std::make_unique<child>(context_, words, errors_of(a));
  a.enter(phase::starting);
  note(a.name + " starts for process_number " + std::to_string(a.process_number));
}

void supervisor::handle_end(supervised_peer& a, int status) {
  note(a.name + " " + describe(status) + ", " + std::string(name_of(a.now)));
  set_target(a, 0);
  summary_.again += std::exchange(a.last.again, 0);
  summary_.refused_writes += std::exchange(a.last.refused_writes, 0);
  bool by_us = a.killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  bool graceful = a.now == phase::ending && a.end.given && status == 0;
  if (graceful) ++summary_.graceful;
  if (!by_us && !graceful) {
    if (a.now == phase::starting || a.now == phase::opening) ++summary_.failed_starts;
    complain(a.name + " " + describe(status) + " by itself, " + std::string(name_of(a.now)) +
             "; see " + errors_of(a).string());
  }
  a.process.reset();
  a.enter(phase::down);
}

void supervisor::set_disk(supervised_peer& a, bool full) {
  if (a.disk_full == full) return;
  std::filesystem::path marker = directory_ / (a.name + ".full");
  if (full) {
    std::ofstream make(marker);
    ++summary_.full_disks;
  } else {
    std::filesystem::remove(marker);
  }
  a.disk_full = full;
  note("the disk of " + a.name + (full ? " is full" : " has room"));
}

void supervisor::set_target(supervised_peer& a, std::uint16_t port) {
  for (proxy& route : a.proxies) route.forward_to(port);
}

void supervisor::kill(supervised_peer& a) {
  if (!a.alive() || a.killed) return;
  ++summary_.kills[static_cast<std::size_t>(a.now)];
  note("kill " + a.name + ", " + std::string(name_of(a.now)));
  a.killed = true;
  a.process->kill();
}

void supervisor::end(supervised_peer& a, char how) {
  if (!a.alive() || a.killed || a.now == phase::ending) return;
  note(a.name + " is to shut down");
  a.enter(phase::ending);
  a.process->command(how);
}

/// Complains about a peer that makes no progress, whatever the others do.
asio::awaitable<void> supervisor::watch() {
  clock_type::time_point printed = clock_type::now();
  for (;;) {
    co_await pause(std::chrono::seconds(1));
    look();
    if (clock_type::now() - printed > progress_interval) {
      printed = clock_type::now();
      print_progress(std::cout, elapsed(), options_.kills, summary_);
    }
    for (supervised_peer& a : peers_) {
      bool waiting = a.alive() && a.now != phase::running;
      if (!waiting || clock_type::now() - a.since < options_.patience) continue;
      ++summary_.failed_starts;
      complain(a.name + " hangs, " + std::string(name_of(a.now)));
      a.since = clock_type::time_point::max();
    }
  }
}

// The reports of the processes.

void supervisor::handle_line(supervised_peer& a, const std::string& line) {
  std::istringstream words(line);
  std::string keyword;
  words >> keyword;
  if (keyword == "state") {
    supervised_peer::state& s = a.last;
    words >> s.open_sends >> s.outbox >> s.inbox >> s.connected >> s.again >> s.quiet >>
        s.refused_writes;
    return;
  }
  note(a.name + ": " + line);
  std::string rest = line.substr(std::min(line.size(), keyword.size() + 1));
  if (keyword == "listening") {
    std::uint16_t port = 0;
    words >> port;
    set_target(a, port);
    if (a.now == phase::starting) a.enter(phase::opening);
  } else if (keyword == "opened") {
    handle_opened(a);
  } else if (keyword == "finished") {
    words >> a.end.delivered >> a.end.undelivered >> a.end.unread;
    a.end.given = true;
  } else if (keyword == "event") {
    handle_event(a, rest);
  } else {
    complain(a.name + " says: " + rest);
  }
}

void supervisor::handle_opened(supervised_peer& a) {
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_type::now() - a.started);
  summary_.slowest_start = std::max(summary_.slowest_start, took);
  a.usual_start = (a.usual_start * 3 + took) / 4;
  if (a.now == phase::opening) a.enter(phase::running);
}

/// Processes end, so sessions end, and dialing a peer that has ended, or a cut within a handshake,
/// is a network problem.
bool supervisor::is_expected(const supervised_peer& a, const std::string& kind) const {
  if (kind == "store_failed" || kind == "store_recovered") return summary_.full_disks > 0;
  if (kind == "delivery_failed") {
    return options_.chain == "handler" && options_.is_relay(number_of(a.name));
  }
  return kind == "peer_connected" || kind == "peer_disconnected" || kind == "network_problem";
}

void supervisor::handle_event(supervised_peer& a, const std::string& text) {
  std::istringstream words(text);
  std::string kind, about;
  reported_range outbound, inbound;
  words >> kind >> about >> outbound.first >> outbound.last >> inbound.first >> inbound.last;
  ++summary_.events[kind];
  if (is_expected(a, kind)) return;
  if (!is_of_rollback(kind) || summary_.put_back == 0 || about.size() != 1) {
    return complain(a.name + " has an event that must not be: " + text);
  }
  ++a.rollback_events[{kind, about}];
  checks_.note_event(number_of(a.name), number_of(about), outbound, inbound);
}

}  // namespace torture
