#include "app/soak_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "gantry/core/expects.hpp"

namespace gantry::app {

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

int open_files() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  return error ? 0 : static_cast<int>(std::distance(begin(files), end(files)));
}

double slope(const std::vector<double>& x, const std::vector<double>& y) {
  GANTRY_EXPECTS(x.size() == y.size(), "a line goes through pairs");
  if (x.empty()) return 0;
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double over = 0, under = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    over += (x[i] - mean_x) * (y[i] - mean_y);
    under += (x[i] - mean_x) * (x[i] - mean_x);
  }
  return under > 0 ? over / under : 0;
}

void SoakWatch::read(double seconds, std::uint64_t device_bytes, double p99_ms) {
  readings_.push_back({seconds, resident_bytes(), device_bytes, open_files(), p99_ms});
}

Steadiness SoakWatch::judge(double from) const {
  constexpr double kMiB = 1 << 20;
  Steadiness steady;
  std::vector<double> minutes, resident, device;
  for (const Reading& reading : readings_) {
    if (reading.seconds < from) continue;
    if (minutes.empty()) {
      steady.files_first = reading.files;
      steady.least_p99_ms = reading.p99_ms;
    }
    steady.files_last = reading.files;
    steady.least_p99_ms = std::min(steady.least_p99_ms, reading.p99_ms);
    steady.most_p99_ms = std::max(steady.most_p99_ms, reading.p99_ms);
    minutes.push_back(reading.seconds / 60);
    resident.push_back(static_cast<double>(reading.resident) / kMiB);
    device.push_back(static_cast<double>(reading.device) / kMiB);
  }
  steady.readings = static_cast<int>(minutes.size());
  steady.resident_mib_a_minute = slope(minutes, resident);
  steady.device_mib_a_minute = slope(minutes, device);
  return steady;
}

}  // namespace gantry::app
