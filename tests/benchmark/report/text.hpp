#pragma once

// Numbers and texts as people and markup want them.

#include <cmath>
#include <cstdio>
#include <string>

namespace report {

/// Three figures at most, with a thousands separator: 224,000; 1,230; 4.5.
inline std::string number(double value) {
  if (value <= 0) return "0";
  double step = std::pow(10, std::floor(std::log10(value)) - 2);
  double rounded = std::round(value / step) * step;
  char text[64];
  int decimals = rounded >= 100 ? 0 : rounded >= 10 ? 1 : 2;
  std::snprintf(text, sizeof text, "%.*f", decimals, rounded);
  std::string digits = text;
  if (decimals > 0) {
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  std::size_t whole = digits.find('.') == digits.npos ? digits.size() : digits.find('.');
  for (std::size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

/// Short, for a chart: 347 k, 1.3 M, 71.
inline std::string short_number(double value) {
  if (value >= 1e6) return number(value / 1e6) + " M";
  return value >= 1e4 ? number(value / 1e3) + " k" : number(value);
}

/// For XML.
inline std::string escaped(const std::string& text) {
  std::string safe;
  for (char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else
      safe += c;
  }
  return safe;
}

}  // namespace report
