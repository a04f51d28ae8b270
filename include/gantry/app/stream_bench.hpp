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
  std::vector<std::string> sources;  ///< instead of clips: camera i connects to URL i modulo their number
  double frame_rate = 30;            ///< of each camera
  config::CameraConfig camera;       ///< what every camera is configured with; its source is set here
  Duration most_p99 = std::chrono::milliseconds(100);
  int device = 0;                                     ///< whose figures NVML gives
  std::vector<std::shared_ptr<media::Nvdec>> nvdecs;  ///< some may be null
};

/// How still a long run keeps: readings once a second, without the first minute (or fifth, where that is shorter).
struct Steadiness {
  int readings = 0;
  double resident_mib_a_minute = 0, device_mib_a_minute = 0;  ///< slopes of straight lines
  int files_first = 0, files_last = 0;                        ///< open file descriptors
  double least_p99_ms = 0, most_p99_ms = 0;                   ///< of a second
};

struct Quantiles {
  double p50_ms = 0, p99_ms = 0;
};

/// One window of time.
struct StreamBenchReport {
  int cameras = 0;
  int live = 0;    ///< of those: pictures come
  int on_cpu = 0;  ///< of those: decoded there
  double seconds = 0;
  FrameCounts frames;                                       ///< that ended in the window; in_flight is of its end
  double p50_ms = 0, p99_ms = 0, p999_ms = 0, most_ms = 0;  ///< capture to result
  /// Its parts: from the packet to the frame in the scheduler's hands (the decoder may still be at work), waiting for a
  /// batch, getting the pictures from the decoders, the rest of the preparation, network, boxes.
  Quantiles decode, wait, fetch, preprocess, inference, postprocess;
  double settled_after_s = 0;  ///< what the window was put off until the system had caught up
  double mean_batch = 0;
  double engine_busy = 0;  ///< mean number of batches in the back end
  double cpu_cores = 0;    ///< processor time a second
  int cores = 0;           ///< that this process may use
  std::uint64_t rss_bytes = 0;
  GpuUse gpu;
  media::NvdecStats nvdec;       ///< counters of the window
  double map_call_ms = 0;        ///< mean, of the decoder's map calls
  double decode_call_ms = 0;     ///< mean, of its decode calls
  scheduler::PolicyReport plan;  ///< at the window's end; without its texts' owner: names are literals
  Steadiness steady;
  bool holds = false;      ///< every frame answered, p99 within the limit
  std::string bottleneck;  ///< what is used up, or first would be, with its share
  [[nodiscard]] double frames_per_second() const noexcept;
};

/// What adding and removing cameras left behind.
struct CycleReport {
  int times = 0;
  double seconds = 0;
  std::uint64_t device_bytes_before = 0, device_bytes_after = 0;  ///< in use on the whole card; 0: not known
  std::uint64_t resident_bytes_before = 0, resident_bytes_after = 0;
  int files_before = 0, files_after = 0;
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
  /// Waits for a second in which the limits are kept, `settle` at most, then measures for `duration`: while cameras are
  /// added the driver holds decoding up, and what piled up meanwhile is no part of what this number of cameras needs.
  [[nodiscard]] StreamBenchReport measure(Duration duration, Duration settle = std::chrono::seconds(15));
  /// search_capacity() with windows of `probe`.
  [[nodiscard]] int find_capacity(int start, int most, Duration probe);
  /// Removes the last camera and adds it again, `times` over. @pre at least one camera. @throws MediaError
  [[nodiscard]] CycleReport cycle(int times);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
