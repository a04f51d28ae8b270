#pragma once
// One camera of a running System: its stream, what is wanted of it, its books, its newest result.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "app/result_hub.hpp"
#include "gantry/app/system.hpp"
#include "gantry/media/movable_decoder.hpp"

namespace gantry::app {

/// What outlives a new connection of the same camera.
struct CameraBooks {
  FrameLedger ledger;
  StageHistograms latency;
};

class LiveCamera {
 public:
  /// Takes a frame on the camera's thread; every frame comes back through ended().
  using Submit = std::function<void(LiveCamera& camera, Frame&& frame)>;
  /// Where its frames can run has changed; on the camera's thread, before the first frame of which that is true.
  using Placed = std::function<void(LiveCamera& camera)>;

  /// Connects to nothing. @param gate of sources that clients gave. @throws MediaError
  LiveCamera(std::string id, CameraId number, const config::CameraConfig& config, const engine::DetectOptions* options,
             std::shared_ptr<CameraBooks> books, Submit submit, LogFn log, const Clock& clock,
             std::shared_ptr<const media::SourceGate> gate, System::MakeDecoder make_decoder, Placed placed);

  void start() { stream_->start(); }
  void cancel() noexcept { stream_->cancel(); }
  /// No frame is submitted once this has returned.
  void stop() noexcept { stream_->stop(); }
  /// Takes over what applies at once.
  void adjust(const config::CameraConfig& config, const engine::DetectOptions* options);
  /// What it leaves undecoded, by its class.
  void skip(const std::array<media::SkipLevel, kPriorityCount>& levels);

  /// From its next packet on it is decoded there: a device's number or System::kOnCpu.
  void move_to(int place) noexcept {
    site_->move_to(place);
    spilled_ = false;
  }
  /// To the CPU, for want of time of its card's decoders.
  void spill() noexcept {
    site_->move_to(System::kOnCpu);
    spilled_ = true;
  }
  /// Its decoder asks its card again.
  void choose_again() noexcept { site_->choose_again(); }
  [[nodiscard]] int place() const noexcept { return site_->wanted(); }

  /// The end of one of its frames; books it last.
  void ended(scheduler::FrameEnd& end, const ResultHub& hub);
  /// A frame that never reached the dispatcher.
  void ended_early(Outcome outcome) noexcept;
  /// Returns when none of its frames is on its way.
  void wait_until_idle() const noexcept;

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] CameraId number() const noexcept { return number_; }
  [[nodiscard]] const engine::DetectOptions* options() const noexcept { return options_; }
  [[nodiscard]] const std::shared_ptr<CameraBooks>& books() const noexcept { return books_; }
  [[nodiscard]] config::CameraConfig config() const;
  [[nodiscard]] media::CameraCounters counters() const;
  [[nodiscard]] CameraStatus status() const;
  [[nodiscard]] std::optional<Snapshot> snapshot() const;
  /// Its frames run anywhere, or only where a card has decoded them.
  [[nodiscard]] scheduler::CameraSpec spec() const;
  /// As if they ran anywhere: for whoever looks for a new home.
  [[nodiscard]] scheduler::CameraSpec free_spec() const;

 private:
  void on_state(const media::StateChange& change);
  void look_at(Frame& frame);
  template <typename Picture>
  void judge(const Picture& picture, TimePoint at);
  void note_decoder();
  void note_place(const Frame& frame);
  void publish(scheduler::FrameEnd& end, const ResultHub& hub);
  void keep_newest(scheduler::FrameEnd& end, const sinks::FrameResult& result);

  const std::string id_;
  const CameraId number_;
  const std::shared_ptr<CameraBooks> books_;
  const Submit submit_;
  const Placed placed_;
  std::atomic<bool> spilled_{false};
  const std::shared_ptr<media::DecodeSite> site_ = std::make_shared<media::DecodeSite>(System::kOnCpu);
  /// The device that the newest frame's pixels lie on, System::kOnCpu where they are in host memory.
  std::atomic<int> bound_to_{System::kOnCpu};
  const LogFn log_;
  const Clock& clock_;
  std::atomic<const engine::DetectOptions*> options_;
  std::atomic<std::uint64_t> on_their_way_{0};

  mutable std::mutex mutex_;
  config::CameraConfig config_;
  media::SkipLevel skip_ = media::SkipLevel::kNothing;
  std::string reason_ = "not started";
  TimePoint since_;
  Duration retry_in_{};
  std::optional<Snapshot> newest_;
  std::optional<vision::Quality> picture_;

  std::atomic<Duration::rep> picture_check_;
  std::mutex judging_;  ///< the meter; taken before mutex_
  vision::QualityMeter quality_meter_;
  std::atomic<TimePoint> looked_at_{TimePoint{}};
  mutable std::atomic<TimePoint> watched_until_{TimePoint{}};  ///< somebody asks for pictures

  std::uint64_t mismatched_ = 0;                                         ///< as last said; the camera's thread only
  media::DecodeReason decoded_there_ = media::DecodeReason::kOnlyPlace;  ///< as last said; the camera's thread only
  std::unique_ptr<media::CameraStream> stream_;                          // last: its thread uses all of the above
};

}  // namespace gantry::app
