#include "gantry/core/trace.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "gantry/core/expects.hpp"

namespace gantry {
namespace {

constexpr std::uint32_t kLanesADevice = 16;

const char* group_of(TraceSpan::Track track) {
  switch (track) {
    case TraceSpan::Track::kCamera:
      return "cameras";
    case TraceSpan::Track::kDecoder:
      return "in the decoders";
    case TraceSpan::Track::kLane:
      return "host threads of the GPUs";
    case TraceSpan::Track::kStream:
      break;
  }
  return "GPU streams";
}

std::string row_of(TraceSpan::Track track, std::uint32_t number) {
  if (track == TraceSpan::Track::kCamera) return "camera " + std::to_string(number);
  if (track == TraceSpan::Track::kDecoder) return "seat " + std::to_string(number);
  return "gpu " + std::to_string(number / kLanesADevice) + (track == TraceSpan::Track::kLane ? " lane " : " stream ") +
         std::to_string(number % kLanesADevice);
}

double micros(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

void Trace::start() {
  Trace* none = nullptr;
  GANTRY_EXPECTS(active_.compare_exchange_strong(none, this), "one Trace runs at a time");
}

void Trace::stop() noexcept {
  Trace* self = this;
  active_.compare_exchange_strong(self, nullptr);
}

void Trace::add(const TraceSpan& span) noexcept {
  const std::size_t at = taken_.fetch_add(1, std::memory_order_relaxed);
  if (at < spans_.size()) spans_[at] = span;
}

Trace::Written Trace::write(const std::filesystem::path& path) const {
  const std::size_t taken = taken_.load();
  const std::size_t count = std::min(taken, spans_.size());
  TimePoint first = TimePoint::max();
  std::set<std::pair<TraceSpan::Track, std::uint32_t>> rows;
  for (std::size_t i = 0; i < count; ++i) {
    first = std::min(first, spans_[i].begin);
    rows.emplace(spans_[i].track, spans_[i].number);
  }

  std::ofstream file{path, std::ios::trunc};
  file << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  const char* comma = "";
  std::set<TraceSpan::Track> groups;
  const auto meta = [&](const char* what, int process, std::uint32_t row, const std::string& name) {
    file << comma << "{\"ph\":\"M\",\"name\":\"" << what << "\",\"pid\":" << process << ",\"tid\":" << row
         << ",\"args\":{\"name\":\"" << name << "\"}}";
    comma = ",\n";
  };
  for (const auto& [track, number] : rows) {
    const int process = static_cast<int>(track) + 1;
    if (groups.insert(track).second) meta("process_name", process, 0, group_of(track));
    meta("thread_name", process, number, row_of(track, number));
  }
  char line[320];
  for (std::size_t i = 0; i < count; ++i) {
    const TraceSpan& span = spans_[i];
    const double begin = micros(span.begin - first);
    const int process = static_cast<int>(span.track) + 1;
    if (span.track == TraceSpan::Track::kDecoder)  // pairs with an id: they may overlap in their row
      std::snprintf(
          line, sizeof line,
          "%s{\"ph\":\"b\",\"cat\":\"decode\",\"name\":\"%s\",\"id\":%zu,\"pid\":%d,\"tid\":%u,\"ts\":%.3f},\n"
          "{\"ph\":\"e\",\"cat\":\"decode\",\"name\":\"%s\",\"id\":%zu,\"pid\":%d,\"tid\":%u,\"ts\":%.3f}",
          comma, span.name, i, process, span.number, begin, span.name, i, process, span.number,
          begin + micros(span.took));
    else
      std::snprintf(
          line, sizeof line,
          "%s{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"frames\":%u,"
          "\"seq\":%llu}}",
          comma, span.name, process, span.number, begin, micros(span.took), span.frames,
          static_cast<unsigned long long>(span.seq));
    file << line;
    comma = ",\n";
  }
  file << "\n]}\n";
  file.close();
  if (!file)
    throw std::filesystem::filesystem_error("the trace can't be written", path,
                                            std::make_error_code(std::errc::io_error));
  return {count, taken - count};
}

}  // namespace gantry
