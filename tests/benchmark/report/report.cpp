// Makes tables (Markdown) and charts (SVG) of the output of the benchmarks.
//
//   report RESULTS DIRECTORY [PAGE]
//
// RESULTS has the lines of all runs (../table.hpp): of several values of one figure, the median
// counts. In PAGE, what stands between `<!-- figures: NAME -->` and `<!-- end -->` becomes the
// table of that name; one that has no results stays.

#include "results.hpp"
#include "svg.hpp"
#include "text.hpp"

#include <array>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace report;

constexpr const char* command = "cmake -P cmake/benchmark.cmake";

/// Whether it is no neighbour, but shows how far one could get.
bool is_limit(const std::string& name) {
  return name.find("ceiling") != name.npos || name.starts_with("ZeroMQ");
}

class report_of {
 public:
  explicit report_of(results& r) : results_(r) {
    add_machine();
    add_side_by_side();
    add_sizes();
    add_latencies();
    add_scale("backlog", "A backlog for an absent peer, in memory",
              {"queue, ns a message", "drain, ns a message"}, "ns a message");
    add_scale("pending", "", {}, "");
    add_scale("idle", "", {}, "");
  }

  const std::map<std::string, std::string>& pages() const { return pages_; }
  const std::map<std::string, std::string>& charts() const { return charts_; }

 private:
  void add_machine() {
    table* t = results_.find("machine");
    if (t == nullptr) return;
    std::ostringstream text;
    const char* between = "";
    for (const table::row& r : t->rows) {
      if (r.name == "sync") continue;
      text << std::exchange(between, ", ") << number(r.by_x.begin()->second.median()) << ' '
           << r.unit;
    }
    machine_ = text.str();
    if (table::row* sync = t->find("sync")) {
      const figure& f = sync->by_x.begin()->second;
      machine_ += between + ("a sync of 4 KiB took " + number(f.median()) + " us");
      text << between << "a sync of 4 KiB took " << number(f.median()) << " us ("
           << number(f.least()) << " to " << number(f.most()) << ") in the same run";
    }
    pages_["machine"] = text.str() + ".\n";
  }

  void add_side_by_side() {
    table* t = results_.find("side_by_side");
    if (t == nullptr) return;
    std::vector<bar> bars;
    for (const table::row& r : t->rows) {
      bar b{r.name, "survives " + r.note, r.by_x.begin()->second.median(), bar::kind::other};
      if (r.name.starts_with("ILM")) b.of = bar::kind::own;
      if (is_limit(r.name)) b.of = bar::kind::limit;
      b.strong = r.note == "a power cut";
      bars.push_back(std::move(b));
    }
    charts_["side_by_side"] =
        bar_chart("Messages a second, of 100 bytes",
                  {"from process to process, 1,000 in flight, until consumed", machine_}, bars,
                  "/s", command);
    std::stable_sort(t->rows.begin(), t->rows.end(), [](const auto& a, const auto& b) {
      bool first = is_limit(a.name), second = is_limit(b.name);
      if (first != second) return second;
      return a.by_x.begin()->second.median() > b.by_x.begin()->second.median();
    });
    table::row* own = t->find("ILM, media");
    double reference = own != nullptr ? own->by_x.begin()->second.median() : 0;
    std::ostringstream text;
    text << "| | messages/s | least to most | `media` is | an acknowledged message survives |\n"
         << "|---|---|---|---|---|\n";
    for (const table::row& r : t->rows) {
      const figure& f = r.by_x.begin()->second;
      text << "| " << r.name << " | " << number(f.median()) << " | " << number(f.least()) << " to "
           << number(f.most()) << " | "
           << (reference > 0 && !is_limit(r.name) ? number(reference / f.median()) + "x" : "-")
           << " | " << r.note << " |\n";
    }
    pages_["side_by_side"] = text.str();
  }

  void add_sizes() {
    std::ostringstream text;
    table* largest = nullptr;
    std::string of_largest;
    for (const char* senders : {"1", "100", "1000"}) {
      table* t = results_.find(std::string("rate_") + senders);
      if (t == nullptr) continue;
      if (largest == nullptr) text << heading("messages/s", t->columns);
      largest = t;
      of_largest = senders;
      for (const table::row& r : t->rows) {
        text << "| " << r.name << ", " << number(std::strtod(senders, nullptr)) << " sender"
             << (of_largest == "1" ? "" : "s") << row(r, t->columns);
      }
    }
    if (largest == nullptr) return;
    pages_["sizes"] = text.str();
    charts_["sizes"] = line_chart("Throughput by the size of messages",
                                  {number(std::strtod(of_largest.c_str(), nullptr)) +
                                   " coroutines that each await their sends"},
                                  *largest, {}, "messages/s, on a logarithmic scale", command);
  }

  void add_latencies() {
    std::map<std::string, std::vector<std::string>> cells;
    std::vector<std::string> order;
    std::size_t count = 0;
    std::vector<std::string> columns;
    for (const char* senders : {"1", "100", "1000"}) {
      table* t = results_.find(std::string("latency_") + senders);
      if (t == nullptr) continue;
      ++count;
      columns.push_back(number(std::strtod(senders, nullptr)) + " sender" +
                        (std::string(senders) == "1" ? "" : "s"));
      for (const table::row& r : t->rows) {
        std::vector<std::string>& line = cells[r.name];
        if (line.empty()) order.push_back(r.name);
        line.resize(count, "-");
        line.back() = number(r.by_x.at("p50").median()) + " / " +
                      number(r.by_x.at("p99").median()) + " / " +
                      number(r.by_x.at("p99.9").median());
      }
    }
    if (order.empty()) return;
    std::ostringstream text;
    text << heading("us: p50 / p99 / p99.9", columns);
    for (const std::string& name : order) {
      cells[name].resize(count, "-");
      text << "| " << name;
      for (const std::string& cell : cells[name]) text << " | " << cell;
      text << " |\n";
    }
    pages_["latencies"] = text.str();
  }

  /// A table, and a chart if there is a title.
  void add_scale(const std::string& name, const std::string& title,
                 const std::vector<std::string>& rows, const std::string& unit) {
    table* t = results_.find(name);
    if (t == nullptr) return;
    std::vector<std::string> columns;
    for (const std::string& x : t->columns)
      columns.push_back(number(std::strtod(x.c_str(), nullptr)));
    std::ostringstream text;
    text << heading("", columns);
    for (const table::row& r : t->rows) text << "| " << r.name << row(r, t->columns);
    pages_[name] = text.str();
    if (!title.empty()) {
      charts_[name] = line_chart(title, {"messages of 100 bytes"}, *t, rows,
                                 unit + ", by the messages that wait", command);
    }
  }

  static std::string heading(const std::string& corner, const std::vector<std::string>& columns) {
    std::string first = "| " + corner, second = "|---";
    for (const std::string& c : columns) {
      first += " | " + c;
      second += "|---";
    }
    return first + " |\n" + second + "|\n";
  }
  static std::string row(const table::row& r, const std::vector<std::string>& columns) {
    std::string text;
    for (const std::string& x : columns) {
      auto at = r.by_x.find(x);
      text += " | " + (at == r.by_x.end() ? "-" : number(at->second.median()));
    }
    return text + " |\n";
  }

  results& results_;
  std::string machine_;  ///< for a chart
  std::map<std::string, std::string> pages_;
  std::map<std::string, std::string> charts_;
};

void write(const std::string& path, const std::string& text) {
  std::ofstream to(path);
  to << text;
  if (!to.flush()) throw std::runtime_error(path + " cannot be written");
}

std::string read(const std::string& path) {
  std::ifstream from(path);
  if (!from) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(from), {}};
}

/// The page with the tables of these names in their places.
std::string with_tables(const std::string& page, const std::map<std::string, std::string>& tables) {
  std::istringstream from(page);
  std::string made;
  const std::string* instead = nullptr;
  for (std::string line; std::getline(from, line);) {
    static const std::string begin = "<!-- figures: ";
    if (line == "<!-- end -->") instead = nullptr;
    if (instead == nullptr) made += line + '\n';
    if (!line.starts_with(begin)) continue;
    auto at = tables.find(line.substr(begin.size(), line.find(" -->") - begin.size()));
    if (at == tables.end()) continue;
    instead = &at->second;
    // A blank line lets Markdown see the table.
    made += '\n' + *instead + '\n';
  }
  return made;
}

void run(const std::string& from, const std::string& directory, const std::string& page) {
  std::istringstream lines(read(from));
  results all(lines);
  report_of made(all);
  for (const auto& [name, text] : made.pages()) write(directory + '/' + name + ".md", text);
  for (const auto& [name, svg] : made.charts()) write(directory + '/' + name + ".svg", svg);
  if (!page.empty()) write(page, with_tables(read(page), made.pages()));
}

}  // namespace

int main(int count, char** values) {
  if (count < 3 || count > 4) {
    std::cerr << "usage: report RESULTS DIRECTORY [PAGE]\n";
    return 2;
  }
  try {
    run(values[1], values[2], count == 4 ? values[3] : "");
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
