#pragma once
// Measurements behind `gantry bench` and `gantry doctor`: the same code that serves, fed with one picture over and
// over, timed.
#include <cstdint>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/image.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/media/source.hpp"

namespace gantry::app {

struct EngineTiming {
  engine::InputShape shape;
  int batch = 1;
  std::uint64_t batches = 0;
  double seconds = 0;
  double cpu_seconds = 0;            ///< of the whole process
  std::vector<double> latencies_ms;  ///< of each batch, letterbox to boxes, sorted
  [[nodiscard]] double frames_per_second() const noexcept;
  /// @param q 0…1
  [[nodiscard]] double quantile_ms(double q) const noexcept;
};

/// Runs noise pictures of this size in batches for about `duration`, `in_flight` batches at a time (1 measures latency,
/// Capabilities::concurrent_batches and one more the highest rate). Prepares the shape first, outside the time.
/// @throws ModelError
[[nodiscard]] EngineTiming time_engine(engine::Backend& backend, int picture_width, int picture_height, int batch,
                                       int in_flight, Duration duration);

struct DecodeTiming {
  std::uint64_t frames = 0;
  double seconds = 0;
  double cpu_seconds = 0;  ///< of the whole process
};
/// Reads and decodes a source to its end, or `max_frames` (0: all), and throws the pictures away.
/// @throws MediaError where it can't be read
[[nodiscard]] DecodeTiming time_decode(media::Source& source, std::uint64_t max_frames);

/// Processor time that this process has used, user and system.
[[nodiscard]] double process_cpu_seconds() noexcept;

}  // namespace gantry::app
