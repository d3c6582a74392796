#pragma once

// Charts that are legible on a phone, in light and dark, without a font of their own.

#include "results.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace report {

/// A drawing with a title, lines below it, and a command at its foot.
class drawing {
 public:
  static constexpr int width = 480;
  static constexpr int margin = 16;

  drawing(const std::string& title, const std::vector<std::string>& below) {
    text(margin, next(26), "t", title);
    for (const std::string& line : below) text(margin, next(20), "n", line);
    next(14);
  }

  /// The place of the next line, so far below the last one.
  int next(int height) { return y_ += height; }

  void text(int x, int y, const char* kind, const std::string& what, const char* anchor = "start") {
    out_ << "<text class=\"" << kind << "\" x=\"" << x << "\" y=\"" << y << "\" text-anchor=\""
         << anchor << "\">" << escaped(what) << "</text>\n";
  }
  void box(double x, double y, double w, double h, const char* kind) {
    out_ << "<rect class=\"" << kind << "\" x=\"" << x << "\" y=\"" << y << "\" width=\"" << w
         << "\" height=\"" << h << "\" rx=\"2\"/>\n";
  }
  void path(const std::string& d, const std::string& kind) {
    out_ << "<path class=\"" << kind << "\" d=\"" << d << "\"/>\n";
  }
  void dot(double x, double y, const std::string& kind) {
    out_ << "<circle class=\"" << kind << "\" cx=\"" << x << "\" cy=\"" << y << "\" r=\"4\"/>\n";
  }

  std::string finish(const std::string& command) {
    text(margin, next(22), "c", command);
    next(14);
    std::ostringstream all;
    all << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << y_
        << "\" width=\"" << width << "\" height=\"" << y_ << "\" role=\"img\">\n"
        << style() << "<rect class=\"paper\" width=\"" << width << "\" height=\"" << y_
        << "\" rx=\"6\"/>\n"
        << out_.str() << "</svg>\n";
    return all.str();
  }

 private:
  static const char* style() {
    return R"(<style>
svg{--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--own:#0969da;--other:#8c959f;--a:#0969da;--b:#bc4c00;--c:#1a7f37;--d:#8250df}
@media (prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#f0f6fc;--soft:#9198a1;--line:#3d444d;--own:#4493f8;--other:#656c76;--a:#4493f8;--b:#f0883e;--c:#3fb950;--d:#ab7df8}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:14px;fill:var(--ink)}
.t{font-size:18px;font-weight:600}.n{fill:var(--soft);font-size:13px}.s{font-size:13px;font-weight:600}.v{font-weight:600}.o{font-weight:600;fill:var(--own)}
.c{fill:var(--soft);font-size:12px;font-family:ui-monospace,Menlo,"DejaVu Sans Mono",monospace}
.paper{fill:var(--paper)}.own{fill:var(--own)}.other{fill:var(--other)}.limit{fill:none;stroke:var(--other);stroke-dasharray:4 3}
.track{fill:var(--line);opacity:.35}.cut{stroke:var(--paper);stroke-width:4;fill:none}.g{stroke:var(--line);fill:none}
.a,.b,.c0,.d{fill:none;stroke-width:2.5}.a{stroke:var(--a)}.b{stroke:var(--b)}.c0{stroke:var(--c)}.d{stroke:var(--d)}
.pa{fill:var(--a)}.pb{fill:var(--b)}.pc0{fill:var(--c)}.pd{fill:var(--d)}
.ta{fill:var(--a)}.tb{fill:var(--b)}.tc0{fill:var(--c)}.td{fill:var(--d)}
</style>
)";
  }

  std::ostringstream out_;
  int y_ = 8;
};

/// A bar of a chart. `note` stands below it.
struct bar {
  enum class kind { own, other, limit };

  std::string name, note;
  double value = 0;
  kind of = kind::other;
  bool strong = false;  ///< the note says the most that one can say
};

/// Bars from the greatest on; those of limits come last, and may be cut off at the edge.
inline std::string bar_chart(const std::string& title, const std::vector<std::string>& below,
                             std::vector<bar> bars, const std::string& unit,
                             const std::string& command) {
  std::stable_sort(bars.begin(), bars.end(), [](const bar& a, const bar& b) {
    bool first = a.of == bar::kind::limit, second = b.of == bar::kind::limit;
    return first != second ? second : a.value > b.value;
  });
  double greatest = 0;
  for (const bar& b : bars) {
    if (b.of != bar::kind::limit) greatest = std::max(greatest, b.value);
  }
  drawing d(title, below);
  constexpr int room = drawing::width - 2 * drawing::margin;
  bool limits = false;
  for (const bar& b : bars) {
    if (b.of == bar::kind::limit && !std::exchange(limits, true)) {
      d.next(8);
      d.path("M" + std::to_string(drawing::margin) + ' ' + std::to_string(d.next(6)) + "h" +
                 std::to_string(room),
             "g");
      d.text(drawing::margin, d.next(22), "n",
             "for comparison: these store nothing, or send nothing");
      d.next(4);
    }
    int y = d.next(22);
    bool own = b.of == bar::kind::own;
    d.text(drawing::margin, y, own ? "o" : "v", b.name);
    d.text(drawing::width - drawing::margin, y, own ? "o" : "v", short_number(b.value) + unit,
           "end");
    double length = std::min(1.0, greatest > 0 ? b.value / greatest : 1.0) * room;
    d.box(drawing::margin, y + 7, room, 12, "track");
    d.box(drawing::margin, y + 7, std::max(length, 2.0), 12,
          own                        ? "own"
          : b.of == bar::kind::limit ? "limit"
                                     : "other");
    if (b.value > greatest) {
      d.path("M" + std::to_string(drawing::width - 40) + ' ' + std::to_string(y + 22) + "l8 -18",
             "cut");
    }
    d.text(drawing::margin, y + 36, b.strong ? "s" : "n", b.note);
    d.next(38);
  }
  return d.finish(command);
}

/// Lines over a scale of equal steps, with a logarithmic height.
inline std::string line_chart(const std::string& title, const std::vector<std::string>& below,
                              const table& t, const std::vector<std::string>& names,
                              const std::string& unit, const std::string& command) {
  static constexpr std::array<const char*, 4> kinds{"a", "b", "c0", "d"};
  std::vector<const table::row*> rows;
  for (const table::row& r : t.rows) {
    bool wanted = names.empty() || std::find(names.begin(), names.end(), r.name) != names.end();
    if (wanted && rows.size() < kinds.size()) rows.push_back(&r);
  }
  double least = 1e300, most = 0;
  for (const table::row* r : rows) {
    for (const auto& [x, f] : r->by_x) {
      least = std::min(least, f.median());
      most = std::max(most, f.median());
    }
  }
  double low = std::floor(std::log10(std::max(least, 1e-9))), high = std::ceil(std::log10(most));
  if (high <= low) high = low + 1;
  drawing d(title, below);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    int y = d.next(20);
    d.box(drawing::margin, y - 8, 18, 5, (std::string("p") + kinds[i]).c_str());
    d.text(drawing::margin + 26, y, "x", rows[i]->name);
  }
  int top = d.next(22), bottom = d.next(220);
  constexpr int left = 74, right = drawing::width - 34;
  auto height = [&](double value) {
    return bottom - (std::log10(std::max(value, 1e-9)) - low) / (high - low) * (bottom - top);
  };
  auto place = [&](std::size_t i) {
    return t.columns.size() < 2 ? (left + right) / 2.0
                                : left + static_cast<double>(i) * (right - left) /
                                             static_cast<double>(t.columns.size() - 1);
  };
  for (double e = low; e <= high; ++e) {
    int y = static_cast<int>(height(std::pow(10, e)));
    d.path("M" + std::to_string(left) + ' ' + std::to_string(y) + "H" + std::to_string(right), "g");
    d.text(left - 8, y + 5, "n", short_number(std::pow(10, e)), "end");
  }
  for (std::size_t i = 0; i < t.columns.size(); ++i) {
    const std::string& x = t.columns[i];
    bool digits = x.find_first_not_of("0123456789") == x.npos;
    d.text(static_cast<int>(place(i)), bottom + 22, "n",
           digits ? short_number(std::strtod(x.c_str(), nullptr)) : x, "middle");
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::ostringstream line;
    for (std::size_t i = 0; i < t.columns.size(); ++i) {
      auto at = rows[r]->by_x.find(t.columns[i]);
      if (at == rows[r]->by_x.end()) continue;
      double y = height(at->second.median());
      line << (line.tellp() == 0 ? 'M' : 'L') << place(i) << ' ' << y;
      d.dot(place(i), y, std::string("p") + kinds[r]);
    }
    d.path(line.str(), kinds[r]);
  }
  d.next(28);
  d.text(drawing::margin, d.next(16), "n", unit);
  return d.finish(command);
}

}  // namespace report
