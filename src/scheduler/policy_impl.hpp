#pragma once
// GantryPolicy's inside. Events: gantry_policy.cpp. One decision: decide.cpp, which asks batch_choice.cpp for shape,
// size and time, and frame_choice.cpp for the frames. Which device: placement.cpp.
#include <unordered_map>
#include <vector>

#include "gantry/scheduler/gantry_policy.hpp"
#include "gantry/scheduler/latency_model.hpp"
#include "gantry/scheduler/load_predictor.hpp"
#include "scheduler/policy_state.hpp"

namespace gantry::scheduler {

class GantryPolicy::Impl {
 public:
  explicit Impl(const PolicyConfig& config);

  void add_device(const DeviceSpec& spec, Ns now);
  void set_profile(DeviceId device, ShapeId shape, std::span<const LatencyPoint> points);
  void set_camera(const CameraSpec& spec, Ns now);
  void remove_camera(CameraId id, Ns now);
  void on_arrival(const Arrival& arrival, Ns now);
  void on_completion(const Completion& completion, Ns now);
  void on_device_state(DeviceId id, DeviceState state, Ns now);
  void close_input();
  void boost(CameraId id, Priority priority, Ns until, Ns now);
  void on_memory(DeviceId id, double used, Ns now);
  [[nodiscard]] LoadPredictor& load() noexcept { return load_; }
  Decision decide(Ns now);
  [[nodiscard]] DeviceId home_of(CameraId id) const;
  void report(PolicyReport& out, Ns now) const;

  /// Time never goes back inside, whatever the caller does.
  Ns clamp(TimePoint now) noexcept { return now_ = std::max(now_, to_ns(now)); }

 private:
  enum class Choice { kNothing, kWait, kLaunch };

  // -- events (gantry_policy.cpp)
  [[nodiscard]] Camera* find_camera(CameraId id);
  [[nodiscard]] int effective_class(const Camera& camera, Priority priority, Ns now) const;
  void learn_arrival(Camera& camera, const Arrival& arrival, Ns now);
  void forget_expected(Camera& camera);
  void expect_next(Camera& camera, Ns now);
  [[nodiscard]] bool is_urgent(const Camera& camera, Ns now) const;
  void set_urgent(Camera& camera, bool urgent);
  void enqueue(FrameIndex index, DeviceId device);
  void unlink(FrameIndex index);
  void drop(FrameIndex index, Outcome reason);
  void forget(FrameIndex index);
  [[nodiscard]] bool shed_by_ladder(Camera& camera, int cls) const;
  [[nodiscard]] bool shed_early(Camera& camera, int cls) const;
  void breaker_changed(Device& device, CircuitBreaker::State before, Ns now);
  [[nodiscard]] int slot_depth(const Camera& camera) const;
  bool drop_oldest(const Camera& camera);
  void prepare_lanes(Device& device, ShapeId shape);

  // -- one decision (decide.cpp)
  bool evaluate(Device& device, Ns now);
  bool probe(Device& device, Ns now);
  [[nodiscard]] bool probe_due(const Device& device, Ns now) const;
  void drop_expired(Device& device, Ns now);
  void drop_unreachable(Device& device, Ns now);
  Choice choose(Device& device, Ns now, Ns& wait_until);
  [[nodiscard]] double patience_ns(const Device& device, Ns now) const;
  bool help(Device& helper, Device& other, Ns now);
  void launch(Device& runner, ShapeId shape, Ns now);

  // -- shape, size and time of a batch (batch_choice.cpp)
  [[nodiscard]] ShapeId choose_shape(const Device& runner, const Device& source, int cls, Ns now) const;
  [[nodiscard]] int batch_cap(Device& runner, ShapeId shape, Ns now);
  [[nodiscard]] double random_urgent_fps(const Device& device, Ns now) const;
  [[nodiscard]] bool expects_urgent(const Device& device, Ns now) const;
  [[nodiscard]] double urgent_limit_ns(const Device& runner, ShapeId shape, Ns now);
  [[nodiscard]] Ns worth_waiting(Device& runner, ShapeId shape, int cap, Ns now);
  [[nodiscard]] double time_ns(const Device& device, ShapeId shape, int batch) const;

  // -- its frames (frame_choice.cpp)
  void pick(Device& device, ShapeId shape, int cls, int cap, Ns now);
  [[nodiscard]] bool overloaded(const Device& device, ShapeId shape, int cls, int cap, int must, Ns now) const;
  void pick_fair(const Lane& lane, int want, Ns not_before, bool movable, double about_equal);
  void pick_tight(const Device& runner, const Lane& lane, ShapeId shape, int cap, bool overloaded, Ns now);
  void fill(const Device& runner, Device& source, ShapeId shape, int cls, int from_cls, int cap, Ns now);
  [[nodiscard]] double fair_unit(Ns now);

  // -- devices (placement.cpp)
  [[nodiscard]] Ns free_at(const Device& device, Ns now) const;
  [[nodiscard]] double predicted_finish(const Device& device, ShapeId shape, int cls, Ns now) const;
  [[nodiscard]] DeviceId best_device(ShapeId shape, int cls, Ns now, DeviceId except, double* finish) const;
  [[nodiscard]] double capacity_fps(const Device& device) const;
  [[nodiscard]] double capacity_fps() const;
  [[nodiscard]] int batch_for(const Device& device, double growth) const;
  void plan_load();
  [[nodiscard]] DeviceId pick_home(const Camera& camera) const;
  void set_home(Camera& camera, DeviceId home, Ns now);
  void move_away(Device& device, Ns now);
  void reconsider_home(Camera& camera, Ns now);
  void rehome_strays(Ns now);
  Device* to_help(const Device& helper, Ns now, double own_ns);
  void wake_helper(const Device& busy, ShapeId shape);

  static constexpr Ns kLosingHold = 250'000'000;  // how long after the last lost frame more are taken to be lost
  static constexpr double kRandomMemory = 5e9;    // ns over which urgent frames of other cameras are counted

  static constexpr double kEndless = std::numeric_limits<double>::infinity();

  PolicyConfig config_;
  LatencyModel latency_;
  LoadPredictor load_;
  LoadPredictor background_load_;  // of it, without a time of day
  double early_shed_ = 0;          // share of the background that will not fit anyway
  DegradeLadder ladder_;
  FramePool frames_;
  std::vector<Camera> cameras_;
  std::vector<CameraIndex> free_cameras_;
  std::unordered_map<CameraId, CameraIndex> camera_index_;
  std::vector<Device> devices_;
  std::size_t shapes_ = 0;
  BatchId next_batch_ = 1;
  Ns now_ = std::numeric_limits<Ns>::min();
  Ns epoch_ = std::numeric_limits<Ns>::min();  // of forward decay
  bool closed_ = false;
  std::size_t turn_ = 0;  // device that is looked at first

  std::vector<Drop> drops_;      // since the last decision
  std::vector<Drop> drops_out_;  // handed out
  std::vector<FrameTicket> tickets_;
  std::optional<Launch> launch_;

  // Scratch of one decision
  struct Scored {
    double key;
    FrameIndex frame;
  };
  std::vector<Scored> scored_;
  std::vector<Ns> deadlines_;
  struct UrgentDue {
    Ns earliest;  // when the frame may come
    double slack_ns;
  };
  std::vector<UrgentDue> urgent_due_;
  std::vector<FrameIndex> picked_;
  Ns picked_deadline_ = kNsNever;  // the earliest of picked_
  std::uint32_t mark_ = 0;
};

}  // namespace gantry::scheduler
