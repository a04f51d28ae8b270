#pragma once
// Does a long run keep still? Readings of what may leak, once in a while, and straight lines through them.
#include <cstdint>
#include <vector>

#include "gantry/app/stream_bench.hpp"

namespace gantry::app {

/// Of this process.
[[nodiscard]] std::uint64_t resident_bytes();
[[nodiscard]] int open_files();

/// Slope of the least-squares line through (x, y); 0 where the points lie at one x. @pre as many of each
[[nodiscard]] double slope(const std::vector<double>& x, const std::vector<double>& y);

/// One thread.
class SoakWatch {
 public:
  /// @param p99_ms of the stretch since the last reading
  void read(double seconds, std::uint64_t device_bytes, double p99_ms);
  /// Lines through what came after `from` seconds.
  [[nodiscard]] Steadiness judge(double from) const;

 private:
  struct Reading {
    double seconds = 0;
    std::uint64_t resident = 0, device = 0;
    int files = 0;
    double p99_ms = 0;
  };
  std::vector<Reading> readings_;
};

}  // namespace gantry::app
