#include "gantry/app/library.hpp"

#include <map>
#include <mutex>
#include <shared_mutex>

#include "app/useful_batch.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/scheduler/dispatcher.hpp"
#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry {
namespace {

LatencyMetrics read(const scheduler::Histogram& seconds) {
  return {seconds.quantile(0.5) * 1e3, seconds.quantile(0.99) * 1e3, seconds.quantile(0.999) * 1e3};
}

}  // namespace

class System::Impl {
 public:
  explicit Impl(std::unique_ptr<engine::Backend> backend) : backend_(std::move(backend)) {
    GANTRY_EXPECTS(backend_ != nullptr, "a System needs a back end: engine::make_backend() gives one");
  }
  ~Impl() { shut_down(); }

  void initialise(SystemOptions options) {
    GANTRY_EXPECTS(!dispatcher_, "a System is initialised once");
    GANTRY_EXPECTS(options.max_batch >= 1, "a batch holds at least one frame");
    options_ = std::move(options);
    const auto capabilities = backend_->capabilities();
    batch_ = app::useful_batch(capabilities, options_.max_batch);
    dispatcher_ = std::make_unique<scheduler::Dispatcher>(
        std::make_unique<scheduler::GantryPolicy>(), [this](scheduler::FrameEnd& end) { ended(end); }, clock_);
    device_ = dispatcher_->add_device(capabilities.device, batch_, capabilities.concurrent_batches);
    started_ = clock_.now();
    dispatcher_->start();
  }

  scheduler::ShapeId prepare(int width, int height) {
    GANTRY_EXPECTS(dispatcher_ != nullptr, "initialise() the System first");
    const std::pair size{width, height};
    {
      const std::shared_lock lock(mutex_);
      if (const auto known = shapes_.find(size); known != shapes_.end()) return known->second;
    }
    const std::lock_guard one(preparing_);
    const auto shape = backend_->shape_for(width, height);
    backend_->prepare(shape, batch_);
    dispatcher_->set_backend(device_, 0, *backend_);
    const auto id = dispatcher_->shape_id(0, shape);
    const std::unique_lock lock(mutex_);
    shapes_.emplace(size, id);
    return id;
  }

  void process(Frame frame, CameraId camera, Priority priority, Duration deadline) {
    const auto shape = prepare(frame.image.width, frame.image.height);
    frame.camera = camera;
    frame.seq = next_seq(camera);
    frame.priority = priority;
    if (frame.captured_at == TimePoint{}) frame.captured_at = clock_.now();
    frame.deadline = frame.captured_at + deadline;
    ledger_.received();
    dispatcher_->submit(std::move(frame), shape, &options_.detect);
  }

  SystemMetrics metrics() const {
    SystemMetrics metrics;
    metrics.frames = ledger_.read();
    for (std::size_t i = 0; i < latency_.size(); ++i) metrics.latency[i] = read(latency_[i]);
    if (!dispatcher_) return metrics;
    const auto device = dispatcher_->metrics().devices.front();
    metrics.batches = device.batches;
    if (device.batches > 0)
      metrics.mean_batch = static_cast<double>(device.frames) / static_cast<double>(device.batches);
    const double seconds = std::chrono::duration<double>(clock_.now() - started_).count();
    if (seconds > 0) metrics.busy = device.busy_seconds / seconds;
    return metrics;
  }

  void shut_down() {
    if (dispatcher_) dispatcher_->stop();
  }
  const engine::Backend& backend() const noexcept { return *backend_; }

 private:
  std::uint64_t next_seq(CameraId camera) {
    const std::unique_lock lock(mutex_);
    const auto [at, fresh] = next_seq_.try_emplace(camera, 0);
    const std::uint64_t seq = at->second++;
    if (fresh) {
      scheduler::CameraSpec spec;
      spec.id = camera;
      dispatcher_->set_camera(spec);
    }
    return seq;
  }

  void ended(scheduler::FrameEnd& end) {
    FrameAnswer answer;
    answer.camera = end.frame.camera;
    answer.seq = end.frame.seq;
    answer.priority = end.frame.priority;
    answer.outcome = end.outcome;
    if (is_drop(end.outcome)) end.detections.clear();
    answer.detections = &end.detections;
    answer.latency = clock_.now() - end.frame.captured_at;
    answer.batch_size = end.batch_size;
    if (!is_drop(end.outcome)) latency_[static_cast<std::size_t>(end.frame.priority)].add(answer.latency);
    if (options_.on_answer) options_.on_answer(answer);
    ledger_.ended(end.outcome);
  }

  SteadyClock clock_;
  SystemOptions options_;  // outlives the back end, which may hold a batch to the very end
  std::unique_ptr<engine::Backend> backend_;
  FrameLedger ledger_;
  std::array<scheduler::Histogram, kPriorityCount> latency_;
  std::unique_ptr<scheduler::Dispatcher> dispatcher_;
  scheduler::DeviceId device_ = 0;
  int batch_ = 1;
  TimePoint started_{};
  std::mutex preparing_;  // one shape at a time; outside mutex_
  std::shared_mutex mutex_;
  std::map<std::pair<int, int>, scheduler::ShapeId> shapes_;
  std::map<CameraId, std::uint64_t> next_seq_;
};

System::System(std::unique_ptr<engine::Backend> backend) : impl_(std::make_unique<Impl>(std::move(backend))) {}
System::~System() = default;
void System::initialise(SystemOptions options) {
  impl_->initialise(std::move(options));
}
void System::prepare(int width, int height) {
  (void)impl_->prepare(width, height);
}
void System::process(Frame frame, CameraId camera, Priority priority, Duration deadline) {
  impl_->process(std::move(frame), camera, priority, deadline);
}
SystemMetrics System::metrics() const {
  return impl_->metrics();
}
const engine::Backend& System::backend() const noexcept {
  return impl_->backend();
}
void System::shut_down() {
  impl_->shut_down();
}

}  // namespace gantry
