#pragma once

// The lines that the benchmarks print in one run or several.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <istream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace report {

/// The values of one figure, of all runs.
class figure {
 public:
  void add(double value) {
    values_.insert(std::upper_bound(values_.begin(), values_.end(), value), value);
  }

  double median() const { return values_[values_.size() / 2]; }
  double least() const { return values_.front(); }
  double most() const { return values_.back(); }

 private:
  std::vector<double> values_;
};

/// A table: rows and columns in the order in which they came first.
struct table {
  struct row {
    std::string name, unit, note;
    std::map<std::string, figure> by_x;
  };

  row* find(const std::string& name) {
    auto at = std::find_if(rows.begin(), rows.end(), [&](const row& r) { return r.name == name; });
    return at == rows.end() ? nullptr : &*at;
  }

  std::vector<row> rows;
  std::vector<std::string> columns;
};

/// Of the lines that begin with `figure`; others are for people.
class results {
 public:
  explicit results(std::istream& from) {
    for (std::string line; std::getline(from, line);) {
      std::vector<std::string> f = split(line);
      if (f.size() == 7 && f[0] == "figure") add(f);
    }
  }

  table* find(const std::string& name) {
    auto at = tables_.find(name);
    return at == tables_.end() ? nullptr : &at->second;
  }

 private:
  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields(1);
    for (char c : line) {
      if (c == '\t') {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    return fields;
  }

  void add(const std::vector<std::string>& f) {
    table& t = tables_[f[1]];
    table::row* r = t.find(f[2]);
    if (r == nullptr) r = &t.rows.emplace_back(table::row{f[2], f[5], f[6], {}});
    if (std::find(t.columns.begin(), t.columns.end(), f[3]) == t.columns.end()) {
      t.columns.push_back(f[3]);
    }
    r->by_x[f[3]].add(std::strtod(f[4].c_str(), nullptr));
  }

  std::map<std::string, table> tables_;
};

}  // namespace report
