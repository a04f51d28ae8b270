#include "gantry/scheduler/dispatcher.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler {

/// Keeps each frame in the slot that the core gave it, and batches to reuse.
class Dispatcher::Impl final : public DispatchCore::Client {
 public:
  Impl(std::unique_ptr<Policy> policy, FrameEndFn on_end, const Clock& clock, const DispatcherConfig& config)
      : on_end_(std::move(on_end)),
        core_(std::make_shared<DispatchCore>(std::move(policy), *this, clock, config)),
        frames_(config.max_frames) {
    GANTRY_EXPECTS(on_end_ != nullptr, "the dispatcher needs a function that takes the ends of frames");
  }
  ~Impl() override { core_->stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void set_backend(DeviceId device, ModelId model, engine::Backend& backend) {
    {
      const std::lock_guard lock(mutex_);
      if (backends_.size() <= device) backends_.resize(device + 1U);
      auto& models = backends_[device];
      if (models.size() <= model) models.resize(model + 1U, nullptr);
      models[model] = &backend;
    }
    std::map<engine::InputShape, std::vector<LatencyPoint>> by_shape;
    for (const engine::Profile& profile : backend.profiles())
      by_shape[profile.shape].push_back({profile.batch, profile.mean, profile.p99});
    for (const auto& entry : by_shape) {
      const ShapeId id = shape_id(model, entry.first);
      core_->with_policy([&](Policy& policy, TimePoint now) { policy.set_profile(device, id, entry.second, now); });
    }
  }

  ShapeId shape_id(ModelId model, engine::InputShape shape) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < shapes_.size(); ++i)
      if (shapes_[i].model == model && shapes_[i].shape == shape) return static_cast<ShapeId>(i);
    GANTRY_EXPECTS(shapes_.size() < kMaxShapes, "more than 256 pairs of model and input shape");
    shapes_.push_back({model, shape});
    return static_cast<ShapeId>(shapes_.size() - 1);
  }

  engine::InputShape input_shape(ShapeId shape) {
    const std::lock_guard lock(mutex_);
    GANTRY_EXPECTS(shape < shapes_.size(), "ask for the input of a shape that shape_id() gave");
    return shapes_[shape].shape;
  }

  void submit(Frame&& frame, ShapeId shape, const engine::DetectOptions* options) {
    GANTRY_EXPECTS(options != nullptr, "a frame needs its detection options");
    DispatchCore::Item item;
    item.camera = frame.camera;
    item.shape = shape;
    item.priority = frame.priority;
    item.captured_at = frame.captured_at;
    item.deadline = frame.deadline;
    const auto slot = core_->reserve();
    if (!slot) {
      core_->refuse(frame.priority, Outcome::kShed);
      FrameEnd end;
      end.frame = std::move(frame);
      end.outcome = Outcome::kShed;
      end.shape = shape;
      end.submitted_at = end.ended_at = core_->clock().now();
      on_end_(end);
      return;
    }
    Held& held = frames_[*slot];
    held.end.frame = std::move(frame);
    held.end.shape = shape;
    held.end.times = {};
    held.end.detections.clear();
    held.end.quality.reset();
    held.options = options;
    core_->submit(*slot, item);
  }

  // -- DispatchCore::Client

  void run(DispatchCore::BatchRef ref, DeviceId device, ShapeId shape,
           std::span<const DispatchCore::Slot> items) override {
    engine::Backend* backend = nullptr;
    engine::Batch batch;
    {
      const std::lock_guard lock(mutex_);
      if (device < backends_.size() && shapes_[shape].model < backends_[device].size())
        backend = backends_[device][shapes_[shape].model];
      batch.shape = shapes_[shape].shape;
      if (!spare_.empty()) {
        batch.entries = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    GANTRY_EXPECTS(backend != nullptr, "the policy chose a device without a back end for the model");
    batch.id = ref.slot;
    batch.entries.resize(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      Held& held = frames_[items[i]];
      engine::BatchEntry& entry = batch.entries[i];
      entry.options = held.options;
      entry.frame = std::move(held.end.frame);
      describe(entry.frame, held.end.frame);  // should the back end never give it back
      entry.drop.reset();
      entry.quality.reset();
      entry.detections.clear();
      std::swap(entry.detections, held.end.detections);  // its capacity
    }
    backend->enqueue(std::move(batch), Done{core_.get(), ref});
  }

  void end(DispatchCore::Slot slot, const DispatchCore::End& core_end) override {
    FrameEnd& end = frames_[slot].end;
    end.outcome = core_end.outcome;
    end.device = core_end.device;
    end.batch_size = core_end.batch_size;
    end.submitted_at = core_end.submitted_at;
    end.started_at = core_end.started_at;
    end.ended_at = core_end.ended_at;
    on_end_(end);
    end.frame = Frame{};  // returns the lease
  }

  [[nodiscard]] DispatchCore& core() const { return *core_; }

 private:
  struct Held {
    FrameEnd end;
    const engine::DetectOptions* options = nullptr;
  };
  struct ModelShape {
    ModelId model = 0;
    engine::InputShape shape;
  };

  /// What the back end calls; fits into a std::function without allocating. After the watchdog has given the batch up
  /// the dispatcher may be gone: only the core, which the running batch keeps alive, may be touched before the claim.
  struct Done {
    DispatchCore* core;
    DispatchCore::BatchRef ref;
    void operator()(engine::Batch&& batch, Result<void> status) const {
      const auto given = status.has_value() ? BatchStatus::kOk : BatchStatus::kError;
      const auto counted = core->claim(ref, given, batch.entries.size());
      if (counted) static_cast<Impl&>(core->client()).done(ref, std::move(batch), *counted == BatchStatus::kOk);
    }
  };

  void done(DispatchCore::BatchRef ref, engine::Batch&& batch, bool ok) {
    const auto items = core_->items(ref);
    for (std::size_t i = 0; i < std::min(items.size(), batch.entries.size()); ++i) {
      FrameEnd& end = frames_[items[i]].end;
      engine::BatchEntry& entry = batch.entries[i];
      // A faulty back end may give frames back in another order: then only their description is kept.
      if (entry.frame.camera == end.frame.camera && entry.frame.seq == end.frame.seq)
        end.frame = std::move(entry.frame);
      if (!ok) continue;
      if (entry.drop) core_->drop(items[i], *entry.drop);
      std::swap(end.detections, entry.detections);
      end.quality = entry.quality;
      end.times = batch.times;
    }
    for (engine::BatchEntry& entry : batch.entries) entry.frame = Frame{};
    {
      const std::lock_guard lock(mutex_);
      spare_.push_back(std::move(batch.entries));
    }
    core_->finish(ref);
  }

  static void describe(const Frame& from, Frame& to) {
    to.camera = from.camera;
    to.seq = from.seq;
    to.pts = from.pts;
    to.captured_at = from.captured_at;
    to.deadline = from.deadline;
    to.priority = from.priority;
    to.image = from.image;
    to.image.planes = {};
  }

  FrameEndFn on_end_;
  std::shared_ptr<DispatchCore> core_;
  std::vector<Held> frames_;                             // by slot
  std::mutex mutex_;                                     // guards what follows
  std::vector<std::vector<engine::Backend*>> backends_;  // [device][model]
  std::vector<ModelShape> shapes_;
  std::vector<std::vector<engine::BatchEntry>> spare_;
};

Dispatcher::Dispatcher(std::unique_ptr<Policy> policy, FrameEndFn on_end, const Clock& clock, DispatcherConfig config)
    : impl_(std::make_unique<Impl>(std::move(policy), std::move(on_end), clock, config)) {}
Dispatcher::~Dispatcher() = default;

DeviceId Dispatcher::add_device(std::string name, int max_batch, int concurrent_batches) {
  return impl_->core().add_device(std::move(name), max_batch, concurrent_batches);
}
void Dispatcher::set_backend(DeviceId device, ModelId model, engine::Backend& backend) {
  impl_->set_backend(device, model, backend);
}
ShapeId Dispatcher::shape_id(ModelId model, engine::InputShape shape) {
  return impl_->shape_id(model, shape);
}
engine::InputShape Dispatcher::input_shape(ShapeId shape) const {
  return impl_->input_shape(shape);
}
void Dispatcher::set_device_state(DeviceId device, DeviceState state) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.on_device_state(device, state, now); });
}
void Dispatcher::set_camera(const CameraSpec& spec) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.set_camera(spec, now); });
}
void Dispatcher::remove_camera(CameraId camera) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.remove_camera(camera, now); });
}
void Dispatcher::boost(CameraId camera, Priority priority, TimePoint until) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.boost(camera, priority, until, now); });
}
DeviceId Dispatcher::home_of(CameraId camera) const {
  return impl_->core().ask_policy([&](const Policy& policy, TimePoint) { return policy.home_of(camera); });
}
void Dispatcher::submit(Frame&& frame, ShapeId shape, const engine::DetectOptions* options) {
  impl_->submit(std::move(frame), shape, options);
}
void Dispatcher::start() {
  impl_->core().start();
}
void Dispatcher::stop() {
  impl_->core().stop();
}
void Dispatcher::on_memory(DeviceId device, double used) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.on_memory(device, used, now); });
}
void Dispatcher::set_wall_time(WallTime wall) {
  impl_->core().with_policy([&](Policy& policy, TimePoint now) { policy.on_wall_time(wall, now); });
}
double Dispatcher::demand_at(WallTime wall) const {
  return impl_->core().ask_policy([&](const Policy& policy, TimePoint) { return policy.demand_at(wall); });
}
std::string Dispatcher::save_profile() const {
  return impl_->core().ask_policy([](const Policy& policy, TimePoint) { return policy.save(); });
}
Result<void> Dispatcher::restore_profile(std::string_view text) {
  return impl_->core().with_policy([&](Policy& policy, TimePoint) { return policy.restore(text); });
}
DispatcherMetrics Dispatcher::metrics() const {
  return impl_->core().metrics();
}
PolicyReport Dispatcher::report() const {
  return impl_->core().report();
}
std::size_t Dispatcher::in_flight() const {
  return impl_->core().in_flight();
}

}  // namespace gantry::scheduler
