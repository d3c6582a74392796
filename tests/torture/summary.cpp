#include "summary.hpp"

#include <iomanip>
#include <numeric>
#include <ostream>

namespace torture {

std::string_view name_of(phase p) noexcept {
  constexpr std::array<std::string_view, phases> names{"down", "starting", "opening", "running",
                                                       "shutting down"};
  return names[static_cast<std::size_t>(p)];
}

std::uint64_t summary::all_kills() const {
  return std::accumulate(kills.begin(), kills.end(), std::uint64_t{0});
}

std::uint64_t summary::all_cuts() const {
  return std::accumulate(cuts.begin(), cuts.end(), std::uint64_t{0});
}

void print_progress(std::ostream& out, std::chrono::seconds elapsed, std::uint64_t kills_wanted,
                    const summary& t) {
  out << '[' << std::setw(4) << elapsed.count() << " s] kills " << t.all_kills() << '/'
      << kills_wanted << ", cuts " << t.all_cuts() << ", accepted " << t.messages.accepted
      << ", delivered " << t.messages.delivered << ", delivered again " << t.again
      << ", complaints " << t.complaints << std::endl;
}

namespace {

class table {
 public:
  explicit table(std::ostream& out) : out_(out) {}

  template <class Value>
  void row(std::string_view name, const Value& value, std::string_view remark = {}) {
    out_ << "  " << std::left << std::setw(34) << name << std::right << std::setw(12) << value;
    if (!remark.empty()) out_ << "  " << remark;
    out_ << '\n';
  }
  void title(std::string_view text) { out_ << text << '\n'; }

 private:
  std::ostream& out_;
};

void print_incidents(table& lines, const summary& t) {
  lines.title("kills");
  for (phase p : {phase::starting, phase::opening, phase::running, phase::ending}) {
    lines.row(name_of(p), t.kills[static_cast<std::size_t>(p)]);
  }
  lines.row("all peers at once", t.together, "times, counted above as well");
  lines.title("cuts");
  for (std::size_t kind = 0; kind < cut_kinds; ++kind) {
    lines.row(name_of(static_cast<cut>(kind)), t.cuts[kind]);
  }
  if (t.put_back > 0) lines.row("stores put back", t.put_back);
  if (t.full_disks > 0) {
    lines.row("full disks", t.full_disks);
    lines.row("  writes that these refused", t.refused_writes, "and more, before a kill");
  }
}

void print_messages(table& lines, const summary& t) {
  const stream_counts& m = t.messages;
  lines.title("messages");
  lines.row("accepted", m.accepted);
  lines.row("refused", m.refused, "by a messenger that was shutting down, or a full disk");
  lines.row("in doubt", m.intended - m.accepted - m.refused, "their sender was killed meanwhile");
  lines.row("delivered", m.delivered);
  lines.row("  of those in doubt", m.doubtful_delivered);
  lines.row("delivered again, and skipped", t.again, "the documented window");
  lines.row("lost", m.lost);
  lines.row("repeated", m.repeated);
  lines.row("out of order", m.disordered);
  lines.row("damaged or never sent", m.damaged);
  if (t.put_back > 0) {
    lines.row("lost, and named by an event", m.reported_lost);
    lines.row("repeated, and named by an event", m.reported_repeated);
  }
}

}  // namespace

void print_summary(std::ostream& out, const summary& t) {
  table lines(out);
  out << '\n';
  print_incidents(lines, t);
  lines.title("processes");
  lines.row("starts", t.starts);
  lines.row("starts that failed", t.failed_starts);
  lines.row("slowest start", t.slowest_start.count(), "ms, until the store was open");
  lines.row("graceful shutdowns", t.graceful);
  print_messages(lines, t);
  lines.title("events");
  for (const auto& [kind, count] : t.events) lines.row(kind, count);
  lines.row("complaints", t.complaints);
}

}  // namespace torture
