#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gantry/core/errors.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr std::string_view kHeader = "camera,at_us,deadline_us,class,shape";
constexpr VirtualNs kNsPerUs = 1000;
constexpr VirtualNs kLongestUs = 86'400'000'000;  // one day

class TraceReader {
 public:
  TraceReader(const std::filesystem::path& file, const std::vector<ShapeSpec>& shapes) : file_(file), shapes_(shapes) {}

  Workload read() {
    std::ifstream stream(file_);
    if (!stream) throw ConfigError(file_.string() + ": cannot be read; give the path of a recorded trace");
    std::string line;
    if (!std::getline(stream, line) || trimmed(line) != kHeader) {
      line_ = 1;
      complain("header", line, std::string("'") + std::string(kHeader) + "'");
    }
    for (line_ = 2; std::getline(stream, line); ++line_) {
      if (!trimmed(line).empty()) read_line(trimmed(line));
    }
    if (workload_.frames.empty()) throw ConfigError(file_.string() + ": holds no frames; record a longer trace");
    for (std::size_t i = 0; i < workload_.cameras.size(); ++i) set_period(i);
    return std::move(workload_);
  }

 private:
  struct Seen {
    VirtualNs first_ns = 0, last_ns = 0;
    std::int64_t frames = 0;
  };

  static std::string_view trimmed(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
  }

  [[noreturn]] void complain(const char* column, std::string_view value, const std::string& allowed) const {
    throw ConfigError(
        fmt::format("{}:{}: {}: '{}' is not usable; allowed: {}", file_.string(), line_, column, value, allowed));
  }

  VirtualNs number(const char* column, std::string_view text, VirtualNs low, VirtualNs high) const {
    VirtualNs value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
      complain(column, text, fmt::format("a whole number from {} to {}", low, high));
    }
    return value;
  }

  void read_line(std::string_view line) {
    std::array<std::string_view, 5> field;
    std::size_t count = 0;
    for (std::string_view rest = line;; ++count) {
      const std::size_t comma = rest.find(',');
      if (count < field.size()) field[count] = rest.substr(0, comma);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
    if (count + 1 != field.size()) complain("line", line, "the five columns " + std::string(kHeader));

    WorkFrame frame;
    const VirtualNs name = number("camera", field[0], 0, std::numeric_limits<CameraId>::max());
    frame.at_ns = number("at_us", field[1], 0, kLongestUs) * kNsPerUs;
    if (!workload_.frames.empty() && frame.at_ns < workload_.frames.back().at_ns) {
      complain("at_us", field[1], "times that do not fall from line to line");
    }
    frame.deadline_ns = frame.at_ns + number("deadline_us", field[2], 1, 60'000'000) * kNsPerUs;
    const auto priority = parse_priority(field[3]);
    if (!priority) complain("class", field[3], "emergency, urgent, normal, background");
    frame.priority = *priority;
    const auto shape =
        std::find_if(shapes_.begin(), shapes_.end(), [&](const ShapeSpec& s) { return s.name == field[4]; });
    if (shape == shapes_.end()) complain("shape", field[4], "a size of the scenario's `shapes`");
    frame.shape = static_cast<std::uint8_t>(shape - shapes_.begin());
    frame.camera = camera(static_cast<CameraId>(name), frame);
    workload_.frames.push_back(frame);
  }

  CameraId camera(CameraId name, const WorkFrame& frame) {
    const auto [place, is_new] = cameras_.try_emplace(name, static_cast<CameraId>(workload_.cameras.size()));
    if (is_new) {
      workload_.cameras.push_back({.priority = frame.priority});
      seen_.push_back({.first_ns = frame.at_ns});
    }
    seen_[place->second].last_ns = frame.at_ns;
    ++seen_[place->second].frames;
    return place->second;
  }

  void set_period(std::size_t camera) {
    const Seen& seen = seen_[camera];
    if (seen.frames > 1) workload_.cameras[camera].period_ns = (seen.last_ns - seen.first_ns) / (seen.frames - 1);
  }

  const std::filesystem::path& file_;
  const std::vector<ShapeSpec>& shapes_;
  Workload workload_;
  std::unordered_map<CameraId, CameraId> cameras_;
  std::vector<Seen> seen_;
  int line_ = 0;
};

}  // namespace

Workload read_trace(const std::filesystem::path& file, const std::vector<ShapeSpec>& shapes) {
  return TraceReader(file, shapes).read();
}

TraceWriter::TraceWriter(const std::filesystem::path& file) : file_(std::fopen(file.c_str(), "w")) {
  if (!file_) throw ConfigError(file.string() + ": cannot be written; give the trace a path in a folder that exists");
  good_ = std::fprintf(file_.get(), "%s\n", kHeader.data()) > 0;
}

void TraceWriter::write(CameraId camera, TimePoint at, TimePoint deadline, Priority priority, int shape_width,
                        int shape_height) {
  if (!good_) return;
  if (!started_) start_ = last_ = at;
  started_ = true;
  last_ = std::max(last_, at);
  const auto at_us = std::chrono::duration_cast<std::chrono::microseconds>(last_ - start_).count();
  const auto deadline_us = std::chrono::duration_cast<std::chrono::microseconds>(deadline - at).count();
  good_ = std::fprintf(file_.get(), "%u,%lld,%lld,%s,%dx%d\n", camera, static_cast<long long>(at_us),
                       static_cast<long long>(std::max<std::int64_t>(deadline_us, 1)), to_string(priority), shape_width,
                       shape_height) > 0;
}

}  // namespace gantry::scheduler::sim
