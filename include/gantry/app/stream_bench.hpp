#pragma once
// How many cameras this machine carries: paced cameras of real clips against a running System, measured over a window,
// and a search for the most that hold. Behind `gantry bench streams`.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/app/gpu_meter.hpp"
#include "gantry/app/system.hpp"
#include "gantry/media/memory_clip.hpp"
#include "gantry/media/nvdec.hpp"

namespace gantry::app {

struct StreamBenchOptions {
  std::vector<std::shared_ptr<const media::MemoryClip>> clips;  ///< camera i plays clip i modulo their number
  double frame_rate = 30;                                       ///< of each camera
  config::CameraConfig camera;  ///< what every camera is configured with; its source is set here
  Duration most_p99 = std::chrono::milliseconds(100);
  int device = 0;                       ///< whose figures NVML gives
  std::shared_ptr<media::Nvdec> nvdec;  ///< may be null
};

/// One window of time.
struct StreamBenchReport {
  int cameras = 0;
  int live = 0;  ///< of those: pictures come
  double seconds = 0;
  FrameCounts frames;                                       ///< that ended in the window; in_flight is of its end
  double p50_ms = 0, p99_ms = 0, p999_ms = 0, most_ms = 0;  ///< capture to result
  double queue_p50_ms = 0, preprocess_p50_ms = 0, inference_p50_ms = 0, postprocess_p50_ms = 0;
  double mean_batch = 0;
  double engine_busy = 0;  ///< mean number of batches in the back end
  double cpu_cores = 0;    ///< processor time a second
  int cores = 0;           ///< that this process may use
  std::uint64_t rss_bytes = 0;
  GpuUse gpu;
  media::NvdecStats nvdec;
  bool holds = false;      ///< every frame answered, p99 within the limit
  std::string bottleneck;  ///< what is used up, or first would be, with its share
  [[nodiscard]] double frames_per_second() const noexcept;
};

/// The largest number up to `most` that `holds`, as far as the search sees: from `start` down by quarters to one that
/// holds, or up by quarters to one that does not, then by halving until the two are 2 % apart. 0: not even one.
/// @pre 1 <= start <= most
[[nodiscard]] int search_capacity(int start, int most, const std::function<bool(int)>& holds);

/// One thread. The System must outlive it and have no other cameras.
class StreamBench {
 public:
  /// @param progress called with a line a step; may be empty
  StreamBench(System& system, StreamBenchOptions options, std::function<void(const std::string&)> progress);
  ~StreamBench();
  StreamBench(const StreamBench&) = delete;
  StreamBench& operator=(const StreamBench&) = delete;

  /// Adds or removes cameras and waits until all of them are live, at most `patience`. @throws MediaError
  void set_cameras(int count, Duration patience = std::chrono::seconds(60));
  /// Waits `warm_up`, then measures for `duration`.
  [[nodiscard]] StreamBenchReport measure(Duration duration, Duration warm_up = std::chrono::seconds(2));
  /// search_capacity() with windows of `probe`.
  [[nodiscard]] int find_capacity(int start, int most, Duration probe);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
