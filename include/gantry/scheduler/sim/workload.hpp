#pragma once
// Every frame of one run, known in advance: drawn from a scenario's camera groups and a seed, or read from a recorded
// trace. All policies and the bound see the same workload.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/scheduler/sim/scenario.hpp"

namespace gantry::scheduler::sim {

/// Virtual time in ns from the start of the run.
using VirtualNs = std::int64_t;

struct WorkCamera {
  Priority priority = Priority::kNormal;  ///< of most of its frames
  double weight = 1;
  VirtualNs period_ns = 0;  ///< 0 where the camera has none
};

struct WorkFrame {
  VirtualNs at_ns = 0;
  VirtualNs deadline_ns = 0;  ///< absolute
  CameraId camera = 0;
  Priority priority = Priority::kNormal;
  std::uint8_t shape = 0;  ///< index into Scenario::shapes
};

struct Workload {
  std::vector<WorkCamera> cameras;
  std::vector<WorkFrame> frames;  ///< by at_ns, then camera
};

/// The same scenario and seed give the same workload, byte for byte. @throws ConfigError for a trace that can't be
/// used.
[[nodiscard]] Workload make_workload(const Scenario& scenario, std::uint64_t seed);

/// A trace is a CSV file with the header line `camera,at_us,deadline_us,class,shape`: arrival in µs from the start, not
/// falling; deadline in µs after arrival; shape as WIDTHxHEIGHT. `serve --record-trace` writes it.
/// @throws ConfigError naming file, line, column, value and what is allowed.
[[nodiscard]] Workload read_trace(const std::filesystem::path& file, const std::vector<ShapeSpec>& shapes);

/// Writes a trace while a server runs. Not thread-safe: one thread writes. Buffered; the file is complete once the
/// writer is gone. @throws ConfigError when the file can't be made.
class TraceWriter {
 public:
  explicit TraceWriter(const std::filesystem::path& file);
  /// `at` of the first call is the trace's zero. A time before its predecessor's is written as its predecessor's.
  void write(CameraId camera, TimePoint at, TimePoint deadline, Priority priority, int shape_width, int shape_height);
  /// False once a write has failed (disk full); nothing more is written then.
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  TimePoint start_{};
  TimePoint last_{};
  bool started_ = false;
  bool good_ = true;
};

}  // namespace gantry::scheduler::sim
