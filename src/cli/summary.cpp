#include "cli/summary.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace gantry::cli {
namespace {

double ms(double seconds) {
  return seconds * 1000;
}
double rounded(double value) {
  return static_cast<double>(static_cast<long long>(value * 1000 + 0.5)) / 1000;
}

// Columns of text that a terminal shows for UTF-8.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - columns(row[i]), ' ');
      if (i > 0) out += "  ";
      const bool last = i + 1 == row.size();
      out += i == 0 ? row[i] + (last ? "" : padding) : padding + row[i];
    }
    out += '\n';
  }
  return out;
}

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

nlohmann::json latency_json(const scheduler::Histogram& seconds) {
  return {{"mean", rounded(ms(seconds.mean()))},
          {"p50", rounded(ms(seconds.quantile(0.5)))},
          {"p90", rounded(ms(seconds.quantile(0.9)))},
          {"p99", rounded(ms(seconds.quantile(0.99)))}};
}

nlohmann::json counts_json(const FrameCounts& counts) {
  nlohmann::json dropped = nlohmann::json::object();
  for (int i = 0; i < kOutcomeCount; ++i)
    if (const auto outcome = static_cast<Outcome>(i); is_drop(outcome) && counts[outcome] > 0)
      dropped[to_string(outcome)] = counts[outcome];
  return {{"received", counts.received},
          {"published", counts.published()},
          {"published_late", counts[Outcome::kPublishedLate]},
          {"dropped", std::move(dropped)},
          {"in_flight", counts.in_flight}};
}

std::string drops_text(const FrameCounts& counts) {
  std::string text;
  for (int i = 0; i < kOutcomeCount; ++i)
    if (const auto outcome = static_cast<Outcome>(i); is_drop(outcome) && counts[outcome] > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(counts[outcome]) + " " + to_string(outcome);
  return text.empty() ? "none" : text;
}

}  // namespace gantry::cli
