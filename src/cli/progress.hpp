#pragma once
// Progress of a long job on standard error: a bar that redraws itself on a terminal, a plain line now and then
// elsewhere.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace gantry::cli {

struct ProgressReading {
  std::uint64_t done = 0;
  std::uint64_t total = 0;  ///< 0: not known
  double seconds = 0;       ///< since the start
};

/// "42 % [########------------] 140 of 335 frames, 33.1 frames/s, 6 s left"; without the bar where `bar` is false.
[[nodiscard]] std::string progress_line(const ProgressReading& reading, const std::string& unit, bool bar);

/// Shows `read()` from construction to destruction on a thread of its own. `read` must be thread-safe.
class Progress {
 public:
  Progress(std::string unit, std::function<ProgressReading()> read);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void run();
  const std::string unit_;
  const std::function<ProgressReading()> read_;
  const bool terminal_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gantry::cli
