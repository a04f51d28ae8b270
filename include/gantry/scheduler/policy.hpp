#pragma once
// The seam between deciding and doing. A Policy answers one question: given what is known at `now`, which frames run
// on which device in one batch, which frames are given up, and until when is there nothing to do? The live dispatcher
// (dispatcher.hpp) and the simulator call the same object, so what is proven in simulation is what runs.
//
// Contract of every implementation
// - Pure: it sees only numbers given to it. No clock (time is an argument), thread, lock, device or log.
// - Not thread-safe: one caller at a time. `now` never goes back from one call to the next; implementations clamp it.
// - Deterministic: the same calls give the same decisions.
// - No allocation in on_arrival, on_completion and decide once every camera, device and shape has been seen ("warm").
// - Every frame given to on_arrival leaves exactly once: in one Launch or in one Drop. Frames of a failed batch are
//   not handed back; whoever ran it ends them.
//
// How to drive it
//   add_device / set_profile / add_camera;
//   on every event: the matching on_… call, then
//     do { d = decide(now); end the frames of d.drops; if (d.launch) start it; } while (d.launch);
//     sleep until d.wait_until or the next event, then decide(now) again.
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/frame.hpp"
#include "gantry/core/outcome.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/core/result.hpp"

namespace gantry::scheduler {

/// A device's index, given by whoever makes the devices: 0, 1, 2, … At most kMaxDevices.
using DeviceId = std::uint16_t;
/// What may share a batch: one model at one input shape. Given by whoever owns the models: 0, 1, 2, …
using ShapeId = std::uint16_t;
/// A frame's name between caller and policy; opaque to the policy and unique while the frame waits.
using FrameTicket = std::uint64_t;
/// A batch's name, given by the policy: 1, 2, 3, … of one run.
using BatchId = std::uint64_t;

inline constexpr DeviceId kNoDevice = std::numeric_limits<DeviceId>::max();
inline constexpr int kMaxDevices = 1024;
inline constexpr int kMaxShapes = 256;
inline constexpr int kMaxBatch = 256;
/// "No timer needed": nothing will change before the next event.
inline constexpr TimePoint kNever = TimePoint::max();

struct DeviceSpec {
  DeviceId id = 0;
  int max_batch = 32;          ///< 1…kMaxBatch
  int concurrent_batches = 1;  ///< batches that make progress at the same time, 1…16
};

/// Measured latency of one batch size, launch to completion, as engine::Profile has it.
struct LatencyPoint {
  int batch = 1;
  Duration mean{};
  Duration p99{};  ///< zero: unknown, taken from the mean
};

struct CameraSpec {
  CameraId id = 0;
  Priority priority = Priority::kNormal;
  Duration period{};          ///< between frames; zero: unknown, learned from arrivals
  Duration deadline{};        ///< usual time from a frame's arrival to its deadline; zero: unknown, learned
  double weight = 1.0;        ///< share in fair shedding relative to others of its class, > 0
  int slot_depth = 0;         ///< frames that may wait, newest win; 0: as many as can still meet their deadlines,
                              ///< and no backlog of a camera that is ahead of its beat
  DeviceId home = kNoDevice;  ///< where its decoded frames live; kNoDevice: the policy picks, see home_of()
  bool pinned = false;        ///< frames can run on `home` only (their pixels cannot leave it)
};

/// A frame that is ready to run.
struct Arrival {
  FrameTicket frame = 0;
  CameraId camera = 0;                    ///< added before
  ShapeId shape = 0;                      ///< has a profile on at least one device
  Priority priority = Priority::kNormal;  ///< a boost of the camera raises it further
  TimePoint captured_at{};
  TimePoint deadline{};  ///< a result after this is worth nothing
};

enum class BatchStatus : std::uint8_t {
  kOk,
  kError,  ///< the back end threw, reported an error, or returned too few results
  /// The back end did not return in time. The batch's place on the device stays taken until the back end does return
  /// (a second Completion of the same batch, with another status) or the device goes down and up again.
  kTimeout,
};

struct Completion {
  BatchId batch = 0;
  DeviceId device = 0;
  BatchStatus status = BatchStatus::kOk;
};

enum class DeviceState : std::uint8_t {
  kUp,        ///< takes work
  kDraining,  ///< finishes what it runs and takes nothing new; its cameras move
  kDown,      ///< gone; its cameras move. Batches it ran are completed with an error, by the caller
};

/// snake_case names as they stand in metrics: "ok", "error", "timeout"; "up", "draining", "down".
[[nodiscard]] const char* to_string(BatchStatus status) noexcept;
[[nodiscard]] const char* to_string(DeviceState state) noexcept;

struct Drop {
  FrameTicket frame = 0;
  Outcome reason = Outcome::kExpired;  ///< superseded, expired, predicted_late, shed, camera_removed or shutdown
};

struct Launch {
  BatchId batch = 0;
  DeviceId device = 0;
  ShapeId shape = 0;
  std::span<const FrameTicket> frames;  ///< 1…max_batch of the device, most urgent first
  TimePoint predicted_finish{};         ///< by the learned mean
};

/// Views into the policy, good until the next call that is not const.
struct Decision {
  std::span<const Drop> drops;    ///< end these, each with its reason
  std::optional<Launch> launch;   ///< start this, then decide again
  TimePoint wait_until = kNever;  ///< without a launch: call decide again at this time even if nothing happens
};

/// Local time of day, as a label for the load profile.
struct WallTime {
  int weekday = 0;        ///< 0 Sunday … 6 Saturday
  int second_of_day = 0;  ///< 0…86399
};

/// One device as the policy sees it.
struct DeviceReport {
  DeviceId id = 0;
  DeviceState state = DeviceState::kUp;
  std::string_view breaker = "closed";  ///< "closed", "open" or "half_open"
  std::string_view breaker_reason;      ///< why it opened last: "errors", "timeouts", "deadline_misses", "memory" or ""
  double slowdown = 1;                  ///< learned latency over profiled latency
  double load = 0;                      ///< demand of its cameras over what it can do, 1 = full
  int cameras = 0;                      ///< with this home
  int waiting = 0;                      ///< frames
  int running = 0;                      ///< batches
  int batch_now = 0;   ///< the smallest batch with which it keeps up with its cameras; its largest where none does
  int batch_5min = 0;  ///< the same, if their demand grows as the whole is expected to in five minutes
};

/// For metrics, warnings and pre-warming. Made outside the frame path; may allocate.
struct PolicyReport {
  std::vector<DeviceReport> devices;
  double demand_now_fps = 0;        ///< expected in the next second
  double demand_5min_fps = 0;       ///< expected in five minutes' time
  double capacity_fps = 0;          ///< of all devices that take work, at their best batch
  double headroom = 0;              ///< 1 - demand in five minutes / capacity; negative: too much
  double demand_peak_fps = -1;      ///< most that is expected within a day; negative: not known
  WallTime peak_at;                 ///< when that quarter of an hour begins
  double early_shed = 0;            ///< share of background frames that are shed on arrival, 0…1
  int degrade_step = 0;             ///< 0 none, 1 background off, 2 normal at a lower rate, 3 smaller batches, 4 open
  std::string_view degrade_reason;  ///< as DeviceReport::breaker_reason
};

/// Implementations: GantryPolicy (gantry_policy.hpp) and the simulator's baselines.
class Policy {
 public:
  virtual ~Policy() = default;
  /// As in `gantry simulate --policy NAME`.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  // -- set-up; also live. May allocate.
  virtual void add_device(const DeviceSpec& spec, TimePoint now) = 0;
  /// Latency of `shape` on `device` by batch size, ascending in batch, not empty. A device without a profile for a
  /// shape never runs it. Called again (after a re-measurement) it replaces what was learned.
  virtual void set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points, TimePoint now) = 0;
  /// Adds a camera, or updates a known one; frames that wait are kept.
  virtual void set_camera(const CameraSpec& spec, TimePoint now) = 0;
  /// Frames that wait come back as drops with kCameraRemoved; frames that run are completed as usual.
  virtual void remove_camera(CameraId camera, TimePoint now) = 0;

  // -- events
  virtual void on_arrival(const Arrival& arrival, TimePoint now) = 0;
  virtual void on_completion(const Completion& completion, TimePoint now) = 0;
  virtual void on_device_state(DeviceId device, DeviceState state, TimePoint now) = 0;
  /// From now on nothing more arrives: do not wait for larger batches.
  virtual void on_input_closed(TimePoint now) { static_cast<void>(now); }
  /// Raises the camera's frames to `priority` until `until`, those that wait included. A second call replaces the
  /// first; an `until` in the past ends it.
  virtual void boost(CameraId camera, Priority priority, TimePoint until, TimePoint now) {
    static_cast<void>(camera), static_cast<void>(priority), static_cast<void>(until), static_cast<void>(now);
  }
  /// Share of a device's memory (or of the server's, kNoDevice) that is in use, 0…1.
  virtual void on_memory(DeviceId device, double used, TimePoint now) {
    static_cast<void>(device), static_cast<void>(used), static_cast<void>(now);
  }

  /// What the wall clock says; a label for the time-of-day profile, never used for time spans. May jump.
  virtual void on_wall_time(WallTime wall, TimePoint now) { static_cast<void>(wall), static_cast<void>(now); }

  /// @return what to do at `now`; at most one launch a call.
  [[nodiscard]] virtual Decision decide(TimePoint now) = 0;

  // -- questions
  /// Where the camera's frames should be decoded; kNoDevice where the policy does not care.
  [[nodiscard]] virtual DeviceId home_of(CameraId camera) const {
    static_cast<void>(camera);
    return kNoDevice;
  }
  /// Expected arrivals a second at a time of day; negative: not known.
  [[nodiscard]] virtual double demand_at(WallTime wall) const {
    static_cast<void>(wall);
    return -1;
  }
  /// What should survive a restart (the time-of-day profile), as text; empty: nothing.
  [[nodiscard]] virtual std::string save() const { return {}; }
  [[nodiscard]] virtual Result<void> restore(std::string_view text) {
    static_cast<void>(text);
    return {};
  }
  virtual void report(PolicyReport& out, TimePoint now) const { static_cast<void>(out), static_cast<void>(now); }
};

}  // namespace gantry::scheduler
