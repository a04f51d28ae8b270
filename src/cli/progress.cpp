#include "cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace gantry::cli {
namespace {

std::string time_left(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  std::array<char, 64> text{};
  if (whole < 60)
    std::snprintf(text.data(), text.size(), "%lld s", whole);
  else if (whole < 3600)
    std::snprintf(text.data(), text.size(), "%lld min %02lld s", whole / 60, whole % 60);
  else
    std::snprintf(text.data(), text.size(), "%lld h %02lld min", whole / 3600, whole / 60 % 60);
  return text.data();
}

std::string bar_of(double share) {
  constexpr int kCells = 24;
  std::string bar(kCells, '-');
  std::fill_n(bar.begin(), static_cast<int>(share * kCells), '#');
  return "[" + bar + "] ";
}

}  // namespace

std::string progress_line(const ProgressReading& reading, const std::string& unit, bool bar) {
  std::array<char, 96> text{};
  std::string line;
  // A container may promise fewer frames than it has.
  const auto total = reading.total == 0 ? 0 : std::max(reading.total, reading.done);
  if (total != 0) {
    const double share = static_cast<double>(reading.done) / static_cast<double>(total);
    std::snprintf(text.data(), text.size(), "%3.0f %% ", share * 100);
    line += text.data();
    if (bar) line += bar_of(share);
    line += std::to_string(reading.done) + " of " + std::to_string(total) + " " + unit;
  } else {
    line += std::to_string(reading.done) + " " + unit;
  }
  if (reading.seconds <= 0 || reading.done == 0) return line;
  const double rate = static_cast<double>(reading.done) / reading.seconds;
  std::snprintf(text.data(), text.size(), ", %.1f %s/s", rate, unit.c_str());
  line += text.data();
  if (total != 0) line += ", " + time_left(static_cast<double>(total - reading.done) / rate) + " left";
  return line;
}

Progress::Progress(std::string unit, std::function<ProgressReading()> read)
    : unit_(std::move(unit)), read_(std::move(read)), terminal_(::isatty(STDERR_FILENO) == 1) {
  thread_ = std::thread{[this] { run(); }};
}

Progress::~Progress() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Progress::run() {
  const auto period = terminal_ ? std::chrono::milliseconds{200} : std::chrono::milliseconds{5000};
  std::unique_lock lock{mutex_};
  while (!wake_.wait_for(lock, period, [this] { return stopping_; })) {
    const auto line = progress_line(read_(), unit_, terminal_);
    std::fprintf(stderr, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
    std::fflush(stderr);
  }
  if (terminal_) std::fputs("\r\x1b[K", stderr);  // the summary takes its place
}

}  // namespace gantry::cli
