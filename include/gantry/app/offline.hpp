#pragma once
// Recordings through a detector: every frame of every input, in order, as fast as the machine goes. Nothing is dropped
// for want of time; reading waits where the network is behind.
//
// Threads: one reader and one writer an input that is being worked on (files: a few at once; live streams: all), one
// feeder in front of the back end. Decoding, letterbox, network and output of different frames overlap.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gantry/app/stage_histograms.hpp"
#include "gantry/core/clock.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/source.hpp"
#include "gantry/sinks/frame_result.hpp"

namespace gantry::app {

struct OfflineInput {
  std::string name;                       ///< `camera` of its results; pictures carry their own names
  std::string url;                        ///< fit to be printed
  std::unique_ptr<media::Source> source;  ///< not opened yet
  bool pictures = false;                  ///< a picture or a folder of them
};

/// Where the results of one input go. Called by one thread at a time an input, in order of frames: opened, frame…,
/// closed. What it throws ends the whole job.
class OfflineOutput {
 public:
  virtual ~OfflineOutput() = default;
  virtual void opened(std::size_t input, const media::StreamInfo& stream) = 0;
  /// `frame` has its pixels where OfflineOptions::keep_pixels says so.
  virtual void frame(std::size_t input, const sinks::FrameResult& result, const Frame& frame) = 0;
  virtual void closed(std::size_t input) = 0;
};

struct OfflineOptions {
  engine::DetectOptions detect;
  bool keep_pixels = false;      ///< hold on to each frame's pixels until its output has seen it
  int files_at_once = 2;         ///< 1…64
  std::uint64_t max_frames = 0;  ///< of each input; 0: all
  std::function<std::unique_ptr<media::Decoder>()> make_decoder;  ///< one an input; not empty
};

struct InputReport {
  std::string name;
  std::string url;
  FrameCounts frames;
  std::optional<Error> error;  ///< why it ended early or could not be used, first cause
  std::uint64_t errors = 0;    ///< pictures of a folder that could not be read, and failures of other kinds
};

struct OfflineProgress {
  std::uint64_t frames = 0;        ///< that have ended
  std::uint64_t frames_total = 0;  ///< 0: not known
  double seconds = 0;              ///< since the first frame was read
  std::size_t inputs_done = 0;
};

class OfflineJob {
 public:
  /// `backend` and `clock` outlive the job.
  OfflineJob(engine::Backend& backend, const Clock& clock, OfflineOptions options);
  ~OfflineJob();
  OfflineJob(const OfflineJob&) = delete;
  OfflineJob& operator=(const OfflineJob&) = delete;

  /// Works through all inputs; once. An input that fails is reported and the others go on.
  /// @throws what `output` or Backend::prepare() threw first, after everything has been unwound
  [[nodiscard]] std::vector<InputReport> run(std::vector<OfflineInput> inputs, OfflineOutput& output);

  /// Reads no more; what was read is finished. Thread-safe, at any time.
  void stop() noexcept;
  /// Thread-safe, at any time.
  [[nodiscard]] OfflineProgress progress() const;
  [[nodiscard]] const StageHistograms& latency() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
