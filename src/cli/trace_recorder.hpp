#pragma once
// `serve --record-trace`: what reached the scheduler and when, as a trace that `gantry simulate` replays. Cameras hand
// their arrivals over without waiting for the disk; what the bounded buffer cannot hold is counted, not waited for.
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include "gantry/core/frame.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::cli {

class TraceRecorder {
 public:
  static constexpr std::size_t kMostWaiting = 65'536;  ///< arrivals between two writes

  /// @throws ConfigError where the file can't be made
  explicit TraceRecorder(const std::filesystem::path& file);
  /// Writes what is left.
  ~TraceRecorder();
  TraceRecorder(const TraceRecorder&) = delete;
  TraceRecorder& operator=(const TraceRecorder&) = delete;

  /// Thread-safe.
  void arrived(const Frame& frame, engine::InputShape input, TimePoint at) noexcept;

  struct Stats {
    std::uint64_t written = 0;
    std::uint64_t lost = 0;  ///< did not fit
    bool failed = false;     ///< the file could not take them
  };
  /// Writes what has arrived so far. Thread-safe.
  [[nodiscard]] Stats flush();

 private:
  struct Arrival {
    CameraId camera;
    Priority priority;
    engine::InputShape input;
    TimePoint at, deadline;
  };
  void run(const std::stop_token& stop);

  std::mutex file_mutex_;  // outermost
  scheduler::sim::TraceWriter writer_;
  std::vector<Arrival> writing_;
  std::uint64_t written_ = 0;

  std::mutex mutex_;
  std::vector<Arrival> waiting_;
  std::uint64_t lost_ = 0;

  std::jthread thread_;  // last
};

}  // namespace gantry::cli
