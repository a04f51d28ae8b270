// A comparison as an SVG picture: three panels over virtual time.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>

#include "gantry/scheduler/sim/comparison.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr double kWidth = 960, kLeft = 64, kRight = 150, kPanel = 170, kGap = 46, kTop = 56;
constexpr std::array<const char*, 6> kColours{"#0b6e4f", "#c8553d", "#3d5a98", "#d6a419", "#7b4b94", "#5b6770"};
constexpr const char* kInk = "#222222";
constexpr const char* kGrid = "#dddddd";

struct Line {
  std::string name;
  const char* colour = kInk;
  bool dashed = false;
  std::vector<double> values;  ///< by slice
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

/// A round number not below `value`: 1, 2 or 5 times a power of ten.
double round_up(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power * (1 + 1e-9)) return step * power;
  }
  return 10 * power;
}

class Picture {
 public:
  explicit Picture(const Comparison& comparison) : comparison_(comparison) {}

  std::string draw() {
    const double height = kTop + 3 * (kPanel + kGap);
    put("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" height=\"{1:g}\" "
        "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
        "fill=\"white\"/>\n",
        kWidth, height);
    put("<text x=\"{:g}\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{}</text>\n", kLeft,
        escaped(comparison_.scenario.full_name()));
    put("<text x=\"{:g}\" y=\"40\" fill=\"#555555\">{}</text>\n", kLeft, escaped(comparison_.scenario.about));
    const double slice_s = comparison_.scenario.duration_s / RunStats::kSlices;
    std::vector<Line> lines = lines_of([&](const Slice& s) { return s.in_time / slice_s; });
    lines.insert(lines.begin(), offered(slice_s));
    panel(0, "frames a second, offered and answered in time", lines);
    panel(1, "queue wait of the frames launched, mean, ms",
          lines_of([](const Slice& s) { return s.batched_frames == 0 ? 0 : s.wait_ms / s.batched_frames; }));
    panel(2, "frames a batch, mean", lines_of([](const Slice& s) {
            return s.batches == 0 ? 0 : static_cast<double>(s.batched_frames) / s.batches;
          }));
    put("</svg>\n");
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  std::vector<Line> lines_of(const std::function<double(const Slice&)>& figure) const {
    std::vector<Line> lines;
    for (std::size_t p = 0; p < comparison_.policies.size(); ++p) {
      const PolicyResult& policy = comparison_.policies[p];
      Line& line = lines.emplace_back(Line{policy.policy, kColours[p % kColours.size()], false, {}});
      for (const Slice& slice : policy.runs.front().slices) line.values.push_back(figure(slice));
    }
    return lines;
  }

  Line offered(double slice_s) const {
    Line line{"offered", "#999999", true, {}};
    for (const Slice& slice : comparison_.policies.front().runs.front().slices) {
      line.values.push_back(slice.offered / slice_s);
    }
    return line;
  }

  void panel(int index, const char* title, const std::vector<Line>& lines) {
    const double top = kTop + index * (kPanel + kGap) + 18;
    const double width = kWidth - kLeft - kRight;
    double highest = 0;
    for (const Line& line : lines)
      highest = std::max(highest, *std::max_element(line.values.begin(), line.values.end()));
    highest = round_up(highest);
    put("<text x=\"{:g}\" y=\"{:g}\" fill=\"{}\">{}</text>\n", kLeft, top - 8, kInk, title);
    for (int i = 0; i <= 4; ++i) {
      const double y = top + kPanel * (1 - i / 4.0);
      put("<line x1=\"{:g}\" y1=\"{:g}\" x2=\"{:g}\" y2=\"{:g}\" stroke=\"{}\"/>\n", kLeft, y, kLeft + width, y, kGrid);
      put("<text x=\"{:g}\" y=\"{:g}\" text-anchor=\"end\" fill=\"#555555\">{:g}</text>\n", kLeft - 6, y + 4,
          highest * i / 4);
    }
    for (int i = 0; i <= 6; ++i) {
      put("<text x=\"{:g}\" y=\"{:g}\" text-anchor=\"middle\" fill=\"#555555\">{:.3g} s</text>\n",
          kLeft + width * i / 6, top + kPanel + 16, comparison_.scenario.duration_s * i / 6);
    }
    // The first line is drawn last, on top of the others.
    for (std::size_t i = lines.size(); i-- > 0;) curve(lines[i], top, width, highest);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const double y = top + 12 + 17 * static_cast<double>(i);
      put("<line x1=\"{:g}\" y1=\"{:g}\" x2=\"{:g}\" y2=\"{:g}\" stroke=\"{}\" stroke-width=\"3\"{}/>\n",
          kLeft + width + 14, y - 4, kLeft + width + 34, y - 4, lines[i].colour, dash(lines[i]));
      put("<text x=\"{:g}\" y=\"{:g}\" fill=\"{}\">{}</text>\n", kLeft + width + 40, y, kInk, escaped(lines[i].name));
    }
  }

  static const char* dash(const Line& line) { return line.dashed ? " stroke-dasharray=\"5 3\"" : ""; }

  void curve(const Line& line, double top, double width, double highest) {
    put("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"{} points=\"", line.colour, dash(line));
    for (std::size_t i = 0; i < line.values.size(); ++i) {
      const double x = kLeft + width * (static_cast<double>(i) + 0.5) / static_cast<double>(line.values.size());
      put("{:.1f},{:.1f} ", x, top + kPanel * (1 - line.values[i] / highest));
    }
    put("\"/>\n");
  }

  const Comparison& comparison_;
  std::string out_;
};

}  // namespace

std::string to_svg(const Comparison& comparison) {
  return Picture(comparison).draw();
}

}  // namespace gantry::scheduler::sim
