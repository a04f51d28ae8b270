#pragma once
// The running server, whoever steers it: cameras in, results out, books that balance. `gantry serve` makes one from a
// configuration file; an HTTP API, a test or another program drives the same object.
//
// Threads: one a camera (media::CameraStream), the dispatcher's, the back ends' own, and one that gets new input shapes
// ready. Thread-safe: every public function may be called from any thread at any time between construction and
// destruction, except from inside a listener. Controls (add, change, remove, apply, stop) are served one at a time and
// return when they have taken effect; questions never wait for them.
//
// Books: for every camera and for the whole, received = published + dropped + in flight in every reading. A camera that
// is changed keeps its books; what a removed camera has counted stays in the total.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/app/stage_histograms.hpp"
#include "gantry/config/loader.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/media/camera_stream.hpp"
#include "gantry/media/nvdec.hpp"
#include "gantry/memory/budget.hpp"
#include "gantry/memory/pool.hpp"
#include "gantry/scheduler/dispatcher.hpp"
#include "gantry/sinks/frame_result.hpp"
#include "gantry/vision/quality.hpp"

namespace gantry::app {

/// One camera at one moment.
struct CameraStatus {
  std::string id;
  CameraId number = 0;          ///< as in results; a new one each time the stream is set up anew
  config::CameraConfig config;  ///< its source fit to be printed
  media::CameraState state = media::CameraState::kConnecting;
  std::string reason;   ///< of the last change of state
  TimePoint since{};    ///< of the last change of state
  Duration retry_in{};  ///< from then to the next attempt; 0 where none is planned
  FrameCounts frames;
  media::CameraCounters stream;
  std::shared_ptr<const StageHistograms> latency;  ///< of its results, since the camera was added
  std::optional<vision::Quality> picture;          ///< of the picture last looked at; none where none was
  /// Its home: the device whose decoders and network have its frames; empty: none, any device may run them.
  std::string home;
};

/// The newest result of a camera and the picture that it belongs to.
struct Snapshot {
  sinks::FrameResult result;
  Image image;        ///< view into `pixels`
  StorageRef pixels;  ///< shared with the pipeline: read only, and let go soon. Always in host memory
};

/// A card's video decoders at one moment.
struct DecoderReading {
  int place = 0;       ///< number of the back end whose cameras they decode
  std::string device;  ///< its name; System fills it in
  media::NvdecStats nvdec;
  memory::BudgetStats budget;
};
/// Thread-safe.
using DecodersFn = std::function<std::vector<DecoderReading>()>;

/// A picture that a client hands in, to be run like a camera's frame.
struct PictureRequest {
  Image image;        ///< in host memory; view into `pixels`
  StorageRef pixels;  ///< not empty
  Priority priority = Priority::kNormal;
  TimePoint received_at{};
  TimePoint deadline{};  ///< it is dropped where it cannot be answered by then
  engine::DetectOptions options;
};
/// Its end: the detections where `outcome` is no drop.
struct PictureAnswer {
  Outcome outcome = Outcome::kShutdown;
  Detections detections;
  sinks::FrameLatency latency;
};
/// Called exactly once, on any thread: be quick, never block or throw.
using PictureAnswerFn = std::function<void(PictureAnswer&&)>;

/// Listeners are called on a thread of the back end while the frame is being ended: be quick, never block or throw.
using ResultFn = std::function<void(const sinks::FrameResult&)>;

/// A camera's frame on its way to the scheduler, on its camera's thread: be quick, never block or throw.
using ArrivalFn = std::function<void(const Frame& frame, engine::InputShape input, TimePoint at)>;

enum class Severity { kDebug, kInfo, kWarning, kError };
/// Thread-safe; what the server has to say, without secrets.
using LogFn = std::function<void(Severity, std::string_view)>;

/// Ends the subscription when it goes; the listener is not running and not called again once the destructor or reset()
/// has returned. May outlive the System.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  Subscription(Subscription&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    reset();
    cancel_ = std::exchange(other.cancel_, nullptr);
    return *this;
  }
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription() { reset(); }
  void reset() noexcept {
    if (const auto cancel = std::exchange(cancel_, nullptr)) cancel();
  }

 private:
  std::function<void()> cancel_;
};

/// "17:00".
[[nodiscard]] std::string time_of_day(const scheduler::WallTime& wall);

class System {
 public:
  /// How cameras decode; empty: by FFmpeg on the CPU. `place` is the number of the back end that is the camera's home,
  /// or kOnCpu. A card's decoders hand out frames that lie there: they run there only. Called on cameras' threads.
  using MakeDecoder = std::function<std::unique_ptr<media::Decoder>(const media::DecoderOptions&, int place)>;
  static constexpr int kOnCpu = -1;
  /// Checks everything and connects to nothing. @param backends one a device, of the same model, not empty; devices of
  /// one name (parts of a card) are numbered: "cuda:0", "cuda:0#2"
  /// @throws ConfigError for classes that the model does not have, MediaError for sources that nobody can open
  System(config::Config config, std::vector<std::unique_ptr<engine::Backend>> backends, const Clock& clock, LogFn log,
         MakeDecoder make_decoder = {});
  /// stop()s.
  ~System();
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// Calls `arrival` with every camera's frame that reaches the scheduler, not with pictures of infer(): those have no
  /// stream to be replayed. @pre before start()
  void watch_arrivals(ArrivalFn arrival);
  /// Where decoders() reads. @pre before start()
  void watch_decoders(DecodersFn read);
  void start();
  /// Lets go of every camera, ends every frame, and returns. Books and questions stay. Idempotent.
  void stop();

  // -- controls
  /// kInvalid where the id exists, is none, or the configuration cannot be used; nothing has changed then.
  [[nodiscard]] Result<void> add_camera(const std::string& id, const config::CameraConfig& camera);
  /// kNotFound or kInvalid. Connects anew only where a changed key needs it.
  [[nodiscard]] Result<void> change_camera(const std::string& id, const config::CameraConfig& camera);
  /// kNotFound. Its last frame has ended when this returns.
  [[nodiscard]] Result<void> remove_camera(const std::string& id);
  /// Brings the cameras to what `next` says and touches only those that differ. Keys that wait for the next start are
  /// reported in `at_start`.
  /// @throws ConfigError, MediaError where any of it cannot be used; nothing has changed then
  config::Changes apply(const config::Config& next);
  /// Serves the camera as `priority` for `duration`, instead of its own. kNotFound, kInvalid (duration 0 or less).
  [[nodiscard]] Result<void> boost(const std::string& id, Priority priority, Duration duration);
  /// A device that drains finishes what it runs and takes nothing new, and its cameras move to others; false ends that,
  /// and cameras move back until loads are even. kNotFound.
  [[nodiscard]] Result<void> drain(const std::string& device, bool draining);

  // -- pictures from elsewhere
  /// Runs the picture through the same scheduler as the cameras' frames; all pictures of one moment count as one camera
  /// when frames are given up in fairness. At most kMostPictures wait or run, the next one is shed. Returns at once but
  /// where no input shape is ready yet.
  void infer(PictureRequest&& request, PictureAnswerFn done);
  static constexpr int kMostPictures = 1024;
  /// Books of those pictures.
  [[nodiscard]] FrameCounts pictures() const;

  // -- results
  [[nodiscard]] Subscription subscribe(ResultFn listener);
  /// Nothing where the camera has none yet. Pictures of cameras that are decoded on a card are brought to the host only
  /// while somebody asks: the first question finds nothing.
  [[nodiscard]] std::optional<Snapshot> snapshot(const std::string& id) const;

  // -- questions
  [[nodiscard]] std::vector<CameraStatus> cameras() const;
  [[nodiscard]] std::optional<CameraStatus> camera(const std::string& id) const;
  /// All cameras that are and that were, and pictures from elsewhere.
  [[nodiscard]] FrameCounts totals() const;
  /// With sources as they were given, secrets included.
  [[nodiscard]] config::Config config() const;
  [[nodiscard]] const engine::ModelInfo& model() const noexcept;
  [[nodiscard]] scheduler::DispatcherMetrics scheduler_metrics() const;
  [[nodiscard]] scheduler::PolicyReport scheduler_report() const;
  /// Expected arrivals a second at a time of day, as learned so far; negative: not known yet.
  [[nodiscard]] double demand_at(scheduler::WallTime wall) const;
  /// Pools of memory: decoded pictures, and what the back ends have.
  [[nodiscard]] std::vector<memory::PoolReading> pools() const;
  /// Of the cards that decode; empty where none does.
  [[nodiscard]] std::vector<DecoderReading> decoders() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::app
