#include "server/observer.hpp"

#include <algorithm>

#include "gantry/sinks/jsonl.hpp"

namespace gantry::server {
namespace {

/// Larger than any id of an earlier process, and exact in a JavaScript number.
std::uint64_t first_event() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count()) << 20U;
}

}  // namespace

SystemObserver::SystemObserver(app::System& system, const Clock& clock, std::function<void()> each_second)
    : system_(system),
      clock_(clock),
      each_second_(std::move(each_second)),
      events_(std::make_shared<EventLog>(first_event())),
      pictures_(std::make_shared<PictureBook>(system)),
      looked_at_(clock.now()),
      results_(system.subscribe([this](const sinks::FrameResult& result) { on_result(result); })),
      thread_([this] { run(); }) {}

SystemObserver::~SystemObserver() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  results_.reset();
  pictures_->close();
}

void SystemObserver::run() {
  std::unique_lock lock{mutex_};
  while (!wake_.wait_for(lock, std::chrono::seconds{1}, [this] { return stopping_; })) {
    lock.unlock();
    look();
    each_second_();
    lock.lock();
  }
}

void SystemObserver::look() {
  const auto cameras = system_.cameras();
  const auto devices = system_.scheduler_metrics().devices;
  const auto report = system_.scheduler_report();
  const auto totals = system_.totals();
  const auto to_run = totals.received - totals[Outcome::kRateLimited] - totals[Outcome::kDecodeSkipped];
  std::map<std::string, app::GpuReading> gpus;
  for (const auto& device : devices)
    if (const auto reading = gpu_gauge_.read(device.name)) gpus[device.name] = *reading;
  const auto now = clock_.now();
  std::vector<std::string> gone;
  std::vector<const app::CameraStatus*> changed;
  {
    const std::lock_guard lock{mutex_};
    const double seconds = std::max(1e-3, std::chrono::duration<double>(now - looked_at_).count());
    looked_at_ = now;
    for (const auto& camera : cameras) {
      const auto [at, fresh] = seen_.try_emplace(camera.id);
      Seen& seen = at->second;
      if (fresh || seen.state != camera.state || seen.reason != camera.reason) changed.push_back(&camera);
      const bool counts = !fresh && camera.frames.received >= seen.frames.received &&
                          camera.frames.published() >= seen.frames.published();
      if (counts)
        seen.rates = {static_cast<double>(camera.frames.received - seen.frames.received) / seconds,
                      static_cast<double>(camera.frames.published() - seen.frames.published()) / seconds};
      seen.frames = camera.frames;
      seen.state = camera.state;
      seen.reason = camera.reason;
    }
    std::erase_if(seen_, [&](const auto& entry) {
      const bool is_gone =
          std::none_of(cameras.begin(), cameras.end(), [&](const auto& camera) { return camera.id == entry.first; });
      if (is_gone) gone.push_back(entry.first);
      return is_gone;
    });
    std::erase_if(last_captured_, [&](const auto& entry) { return !seen_.contains(entry.first); });
    for (const auto& device : devices) {
      double& before = busy_[device.name];
      utilization_[device.name] = std::clamp((device.busy_seconds - before) / seconds * 100, 0.0, 100.0);
      before = device.busy_seconds;
    }
    for (const auto& [name, gpu] : gpus) utilization_[name] = gpu.utilization_percent;
    gpus_ = std::move(gpus);
    load_.look(to_run, report, now);
  }
  for (const auto* camera : changed) tell_state(camera->id, media::to_string(camera->state), camera->reason);
  for (const auto& id : gone) tell_state(id, "removed", "");
  pictures_->tidy();
  events_->wake_all();
}

void SystemObserver::tell_state(const std::string& id, std::string_view state, const std::string& reason) {
  std::string fields = "\"camera\":";
  sinks::append_json_string(id, fields);
  fields += ",\"state\":\"" + std::string(state) + "\",\"reason\":";
  sinks::append_json_string(reason, fields);
  events_->publish("state", id, {}, fields);
}

void SystemObserver::on_result(const sinks::FrameResult& result) {
  stages_.add(result.latency);
  {
    const std::lock_guard lock{mutex_};
    last_captured_[result.camera] = clock_.now() - result.latency.total;
  }
  std::vector<int> classes;
  for (const auto& detection : result.detections)
    if (std::find(classes.begin(), classes.end(), detection.class_id) == classes.end())
      classes.push_back(detection.class_id);
  std::string line;
  sinks::append_jsonl(result, system_.model().class_names, line);
  // {"camera":…}\n without its braces
  events_->publish("detections", result.camera, std::move(classes), line.substr(1, line.size() - 3));
  pictures_->on_result(result.camera);
}

Rates SystemObserver::rates(const std::string& camera) const {
  const std::lock_guard lock{mutex_};
  const auto found = seen_.find(camera);
  return found == seen_.end() ? Rates{} : found->second.rates;
}
std::map<std::string, TimePoint> SystemObserver::last_captured() const {
  const std::lock_guard lock{mutex_};
  return last_captured_;
}
std::map<std::string, app::GpuReading> SystemObserver::gpus() const {
  const std::lock_guard lock{mutex_};
  return gpus_;
}
LoadHistory SystemObserver::load() const {
  const std::lock_guard lock{mutex_};
  return load_;
}
std::map<std::string, double> SystemObserver::utilization() const {
  const std::lock_guard lock{mutex_};
  return utilization_;
}

}  // namespace gantry::server
