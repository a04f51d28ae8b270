#include "gantry/app/system.hpp"

#include <shared_mutex>
#include <unordered_map>

#include "app/busy_meter.hpp"
#include "app/homes.hpp"
#include "app/live_camera.hpp"
#include "app/load_watch.hpp"
#include "app/options_pool.hpp"
#include "app/picture_desk.hpp"
#include "app/result_hub.hpp"
#include "app/shape_book.hpp"
#include "app/useful_batch.hpp"
#include "gantry/app/class_filter.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/media/pools.hpp"
#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry::app {
namespace {

std::vector<engine::Backend*> pointers(const std::vector<std::unique_ptr<engine::Backend>>& backends) {
  GANTRY_EXPECTS(!backends.empty(), "a System needs at least one back end");
  std::vector<engine::Backend*> out;
  for (const auto& backend : backends) out.push_back(backend.get());
  return out;
}

/// Their own; where several have one (parts of a card), numbered.
std::vector<std::string> names_of(const std::vector<std::unique_ptr<engine::Backend>>& backends) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (const auto& backend : backends) {
    const std::string name = backend->capabilities().device;
    const int number = ++seen[name];
    names.push_back(number == 1 ? name : name + "#" + std::to_string(number));
  }
  return names;
}

/// Those whose decoders cameras may use; -1 for devices without.
std::vector<int> cards_of(const std::vector<std::unique_ptr<engine::Backend>>& backends, bool decode_on_cards) {
  std::vector<int> cards;
  for (const auto& backend : backends) cards.push_back(decode_on_cards ? backend->capabilities().device_index : -1);
  return cards;
}

using CameraPtr = std::shared_ptr<LiveCamera>;

}  // namespace

class System::Impl {
 public:
  Impl(config::Config config, std::vector<std::unique_ptr<engine::Backend>> backends, const Clock& clock, LogFn log,
       MakeDecoder make_decoder)
      : clock_(clock),
        log_(std::move(log)),
        gate_(std::make_shared<media::SourceGate>(config.server.allow_sources)),
        make_decoder_(std::move(make_decoder)),
        backends_(std::move(backends)),
        dispatcher_(
            std::make_unique<scheduler::GantryPolicy>(), [this](scheduler::FrameEnd& end) { ended(end); }, clock),
        shapes_(pointers(backends_), dispatcher_, config.engine.max_batch, log_),
        names_(names_of(backends_)),
        homes_(
            dispatcher_, pointers(backends_), names_, static_cast<bool>(make_decoder_), [this] { return all(); }, log_),
        busy_(cards_of(backends_, static_cast<bool>(make_decoder_))),
        config_(std::move(config)),
        load_watch_(dispatcher_, watch_parts(), clock.now()) {
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      const auto capabilities = backends_[i]->capabilities();
      dispatcher_.add_device(names_[i], useful_batch(capabilities, config_.engine.max_batch),
                             capabilities.concurrent_batches);
    }
    for (const auto& [id, camera] : config_.cameras)
      if (camera.enabled) insert(make(id, camera, std::make_shared<CameraBooks>()));
  }

  ~Impl() { stop(); }

  void watch_arrivals(ArrivalFn arrival) {
    const std::lock_guard control{control_};
    GANTRY_EXPECTS(phase_ == Phase::kNew, "who watches a System's arrivals says so before it starts");
    arrival_ = std::move(arrival);
  }

  void watch_decoders(DecodersFn read) {
    const std::lock_guard control{control_};
    GANTRY_EXPECTS(phase_ == Phase::kNew, "who reads a System's decoders says so before it starts");
    read_decoders_ = std::move(read);
  }
  std::vector<DecoderReading> decoders() const {
    auto readings = read_decoders_ ? read_decoders_() : std::vector<DecoderReading>{};
    for (auto& reading : readings) reading.device = names_[static_cast<std::size_t>(reading.place)];
    return readings;
  }

  void start() {
    const std::lock_guard control{control_};
    GANTRY_EXPECTS(phase_ == Phase::kNew, "a System starts once");
    phase_ = Phase::kRunning;
    dispatcher_.start();
    load_watch_.start(clock_);
    const auto cameras = all();
    for (const auto& camera : cameras) enter(camera);
    // Nobody waits for the first camera of a server that starts empty: most pictures have this shape.
    if (cameras.empty()) shapes_.expect(1920, 1080);
  }

  void stop() {
    const std::lock_guard control{control_};
    if (phase_ == Phase::kStopped) return;
    phase_ = Phase::kStopped;
    const auto cameras = all();
    for (const auto& camera : cameras) camera->cancel();
    load_watch_.stop();
    shapes_.stop();  // frees cameras that wait for a shape
    for (const auto& camera : cameras) camera->stop();
    dispatcher_.stop();
  }

  Result<void> add(const std::string& id, const config::CameraConfig& wanted) {
    const std::lock_guard control{control_};
    if (phase_ == Phase::kStopped) return fail(ErrorCode::kCancelled, "the server is stopping");
    if (!config::is_camera_id(id)) return fail(ErrorCode::kInvalid, "'" + id + "' is no camera id");
    if (known(id)) return fail(ErrorCode::kInvalid, "camera " + id + " exists already; change it or choose another id");
    return guarded([&] {
      if (wanted.enabled) {
        const auto camera = make(id, wanted, std::make_shared<CameraBooks>());
        insert(camera);
        if (phase_ == Phase::kRunning) enter(camera);
      }
      remember(id, wanted);
    });
  }

  Result<void> change(const std::string& id, const config::CameraConfig& wanted) {
    const std::lock_guard control{control_};
    if (phase_ == Phase::kStopped) return fail(ErrorCode::kCancelled, "the server is stopping");
    if (!known(id)) return fail(ErrorCode::kNotFound, "there is no camera " + id);
    auto next = config();
    next.cameras[id] = wanted;
    return guarded([&] { bring_to(next); });
  }

  Result<void> remove(const std::string& id) {
    const std::lock_guard control{control_};
    if (!known(id)) return fail(ErrorCode::kNotFound, "there is no camera " + id);
    if (const auto camera = find(id)) leave({camera});
    const std::unique_lock lock{mutex_};
    config_.cameras.erase(id);
    return {};
  }

  config::Changes apply(const config::Config& next) {
    const std::lock_guard control{control_};
    GANTRY_EXPECTS(phase_ != Phase::kStopped, "a stopped System takes no new configuration");
    return bring_to(next);
  }

  Result<void> boost(const std::string& id, Priority priority, Duration duration) {
    if (duration <= Duration{}) return fail(ErrorCode::kInvalid, "a boost needs a duration above 0");
    const auto camera = find(id);
    if (!camera) return fail(ErrorCode::kNotFound, "there is no camera " + id + ", or it is not enabled");
    dispatcher_.boost(camera->number(), priority, clock_.now() + duration);
    log_(Severity::kInfo, "camera " + id + ": served as " + gantry::to_string(priority) + " for " +
                              std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) +
                              " s");
    return {};
  }

  Result<void> drain(const std::string& device, bool draining) {
    const std::lock_guard control{control_};
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      if (names_[i] != device) continue;
      dispatcher_.set_device_state(static_cast<scheduler::DeviceId>(i),
                                   draining ? scheduler::DeviceState::kDraining : scheduler::DeviceState::kUp);
      homes_.settle();
      log_(Severity::kInfo, device + (draining ? ": drains; it takes no new work" : ": takes work again"));
      return {};
    }
    return fail(ErrorCode::kNotFound, "there is no device " + device);
  }

  void infer(PictureRequest&& request, PictureAnswerFn done) {
    const auto shape = shapes_.shape_for(request.image.width, request.image.height);
    desk_.submit(std::move(request), shape, std::move(done));
  }
  const PictureDesk& desk() const noexcept { return desk_; }

  Subscription subscribe(ResultFn listener) { return hub_->subscribe(std::move(listener)); }

  CameraPtr find(const std::string& id) const {
    const std::shared_lock lock{mutex_};
    const auto found = by_id_.find(id);
    return found != by_id_.end() ? found->second : nullptr;
  }
  CameraStatus status(const LiveCamera& camera) const {
    CameraStatus status = camera.status();
    status.home = homes_.home_of(camera);
    return status;
  }
  std::vector<CameraPtr> all() const {
    const std::shared_lock lock{mutex_};
    std::vector<CameraPtr> cameras;
    for (const auto& [id, camera] : by_id_) cameras.push_back(camera);
    return cameras;
  }
  FrameCounts totals() const {
    const std::shared_lock lock{mutex_};
    FrameCounts sum = gone_;
    sum += desk_.books();
    for (const auto& [id, camera] : by_id_) sum += camera->books()->ledger.read();
    return sum;
  }
  config::Config config() const {
    const std::shared_lock lock{mutex_};
    return config_;
  }
  const engine::ModelInfo& model() const noexcept { return backends_.front()->model(); }
  const scheduler::Dispatcher& dispatcher() const noexcept { return dispatcher_; }
  std::vector<memory::PoolReading> pools() const {
    std::vector<memory::PoolReading> all{media::picture_pools()};
    for (const auto& backend : backends_)
      for (auto& pool : backend->pools()) all.push_back(std::move(pool));
    return all;
  }

 private:
  enum class Phase { kNew, kRunning, kStopped };

  // -- frames

  void submit(LiveCamera& camera, Frame&& frame) {
    const auto shape = shapes_.shape_for(frame.image.width, frame.image.height);
    if (!shape) return camera.ended_early(phase_ == Phase::kStopped ? Outcome::kShutdown : Outcome::kEngineError);
    if (arrival_) arrival_(frame, dispatcher_.input_shape(*shape), clock_.now());
    dispatcher_.submit(std::move(frame), *shape, camera.options());
  }

  void ended(scheduler::FrameEnd& end) {
    if (end.frame.camera == PictureDesk::kCamera) return desk_.ended(end);
    CameraPtr camera;
    {
      const std::shared_lock lock{mutex_};
      const auto found = by_number_.find(end.frame.camera);
      if (found == by_number_.end()) return;  // can't be: a camera stays until its last frame has ended
      camera = found->second;
    }
    camera->ended(end, *hub_);
  }

  // -- load

  LoadWatch::Parts watch_parts() {
    return {.wall_time = local_wall_time,
            .memory = [this] { return memory_use(); },
            .measure_again = [this] { shapes_.measure_again(); },
            .on_report =
                [this](const scheduler::PolicyReport& report, TimePoint now) {
                  const auto& levels = skip_plan_.update(report, now);
                  for (const auto& camera : all()) camera->skip(levels);
                  homes_.settle();
                  homes_.spill(busy_.decoders(), busy_.cores(now), now);
                },
            .log = log_,
            .profile = config_.scheduler.load_profile};
  }

  /// On the watch's thread.
  MemoryUse memory_use() {
    MemoryUse use;
    use.machine = machine_memory_use();
    std::vector<double> gpus;
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      const int index = backends_[i]->capabilities().device_index;
      if (index < 0) continue;
      if (gpus.empty()) gpus = gpu_memory_use();
      if (static_cast<std::size_t>(index) < gpus.size())
        use.devices.emplace_back(static_cast<scheduler::DeviceId>(i), gpus[static_cast<std::size_t>(index)]);
    }
    return use;
  }

  // -- cameras; all under control_, except in the constructor

  engine::DetectOptions detect_options(const std::string& id, const config::CameraConfig& camera) const {
    engine::DetectOptions options;
    options.confidence = static_cast<float>(camera.confidence);
    options.iou = static_cast<float>(camera.iou);
    options.max_detections = camera.max_detections;
    options.agnostic = camera.agnostic;
    options.classes = class_ids(camera.classes, model().class_names, "cameras." + id + ".classes");
    return options;
  }

  CameraPtr make(const std::string& id, const config::CameraConfig& camera, std::shared_ptr<CameraBooks> books) {
    return std::make_shared<LiveCamera>(
        id, next_number_++, camera, options_.intern(detect_options(id, camera)), std::move(books),
        [this](LiveCamera& from, Frame&& frame) { submit(from, std::move(frame)); }, log_, clock_, gate_, make_decoder_,
        [this](LiveCamera& moved) { homes_.placed(moved); });
  }

  void insert(const CameraPtr& camera) {
    const std::unique_lock lock{mutex_};
    by_number_[camera->number()] = camera;
    by_id_[camera->id()] = camera;
  }

  void enter(const CameraPtr& camera) {
    homes_.enter(*camera);
    camera->start();
  }

  /// Takes cameras out; their last frames have ended when it returns. Books of ids that are not there any more go into
  /// the total of those that were.
  void leave(const std::vector<CameraPtr>& cameras) {
    for (const auto& camera : cameras) camera->cancel();
    for (const auto& camera : cameras) {
      camera->stop();
      if (phase_ == Phase::kRunning) dispatcher_.remove_camera(camera->number());
      camera->wait_until_idle();
      const std::unique_lock lock{mutex_};
      by_number_.erase(camera->number());
      const auto current = by_id_.find(camera->id());
      if (current == by_id_.end() || current->second != camera) continue;
      by_id_.erase(current);
      gone_ += camera->books()->ledger.read();
    }
  }

  config::Changes bring_to(const config::Config& next) {
    const auto changes = config::changes(config(), next);
    // Everything that can fail comes first.
    std::vector<CameraPtr> fresh;
    std::vector<CameraPtr> old;
    for (const auto& id : changes.added)
      fresh.push_back(make(id, next.cameras.at(id), std::make_shared<CameraBooks>()));
    for (const auto& id : changes.reconnected) {
      old.push_back(find(id));
      fresh.push_back(make(id, next.cameras.at(id), old.back()->books()));
    }
    std::vector<std::pair<CameraPtr, const engine::DetectOptions*>> adjusted;
    for (const auto& id : changes.adjusted)
      adjusted.emplace_back(find(id), options_.intern(detect_options(id, next.cameras.at(id))));
    for (const auto& id : changes.removed) old.push_back(find(id));

    for (const auto& [camera, options] : adjusted) {
      camera->adjust(next.cameras.at(camera->id()), options);
      if (phase_ == Phase::kRunning) dispatcher_.set_camera(camera->spec());
    }
    for (const auto& camera : fresh) insert(camera);  // takes the id over, so that the books stay in place
    leave(old);
    if (phase_ == Phase::kRunning)
      for (const auto& camera : fresh) enter(camera);
    const std::unique_lock lock{mutex_};
    config_ = next;
    return changes;
  }

  bool known(const std::string& id) const {
    const std::shared_lock lock{mutex_};
    return config_.cameras.contains(id);
  }
  void remember(const std::string& id, const config::CameraConfig& camera) {
    const std::unique_lock lock{mutex_};
    config_.cameras[id] = camera;
  }

  template <typename Act>
  static Result<void> guarded(Act act) {
    try {
      act();
      return {};
    } catch (const StartupError& error) {
      return fail(ErrorCode::kInvalid, error.what());
    }
  }

  const Clock& clock_;
  const LogFn log_;
  const std::shared_ptr<const media::SourceGate> gate_;
  const MakeDecoder make_decoder_;
  OptionsPool options_;  // outlives the back ends, which may hold a batch to the very end
  const std::vector<std::unique_ptr<engine::Backend>> backends_;
  const std::shared_ptr<ResultHub> hub_ = std::make_shared<ResultHub>();
  scheduler::Dispatcher dispatcher_;
  PictureDesk desk_{dispatcher_};
  ShapeBook shapes_;
  const std::vector<std::string> names_;  ///< of the devices
  Homes homes_;

  std::mutex control_;  // outermost: one control at a time
  std::atomic<Phase> phase_{Phase::kNew};
  CameraId next_number_ = 1;

  ArrivalFn arrival_;         // set before start()
  DecodersFn read_decoders_;  // set before start()
  SkipPlan skip_plan_;        // the watch's thread only, as what follows
  BusyMeter busy_;            // the same

  mutable std::shared_mutex mutex_;  // what follows, to gone_; held for look-ups only
  config::Config config_;
  std::map<std::string, CameraPtr> by_id_;
  std::unordered_map<CameraId, CameraPtr> by_number_;
  FrameCounts gone_;

  LoadWatch load_watch_;  // last: its thread uses all of the above
};

System::System(config::Config config, std::vector<std::unique_ptr<engine::Backend>> backends, const Clock& clock,
               LogFn log, MakeDecoder make_decoder)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(backends), clock, std::move(log),
                                   std::move(make_decoder))) {}
System::~System() = default;
void System::watch_arrivals(ArrivalFn arrival) {
  impl_->watch_arrivals(std::move(arrival));
}
void System::watch_decoders(DecodersFn read) {
  impl_->watch_decoders(std::move(read));
}
void System::start() {
  impl_->start();
}
void System::stop() {
  impl_->stop();
}
Result<void> System::add_camera(const std::string& id, const config::CameraConfig& camera) {
  return impl_->add(id, camera);
}
Result<void> System::change_camera(const std::string& id, const config::CameraConfig& camera) {
  return impl_->change(id, camera);
}
Result<void> System::remove_camera(const std::string& id) {
  return impl_->remove(id);
}
config::Changes System::apply(const config::Config& next) {
  return impl_->apply(next);
}
Result<void> System::boost(const std::string& id, Priority priority, Duration duration) {
  return impl_->boost(id, priority, duration);
}
Result<void> System::drain(const std::string& device, bool draining) {
  return impl_->drain(device, draining);
}
void System::infer(PictureRequest&& request, PictureAnswerFn done) {
  impl_->infer(std::move(request), std::move(done));
}
FrameCounts System::pictures() const {
  return impl_->desk().books();
}
Subscription System::subscribe(ResultFn listener) {
  return impl_->subscribe(std::move(listener));
}
std::optional<Snapshot> System::snapshot(const std::string& id) const {
  const auto camera = impl_->find(id);
  return camera ? camera->snapshot() : std::nullopt;
}
std::vector<CameraStatus> System::cameras() const {
  std::vector<CameraStatus> out;
  for (const auto& camera : impl_->all()) out.push_back(impl_->status(*camera));
  return out;
}
std::optional<CameraStatus> System::camera(const std::string& id) const {
  const auto camera = impl_->find(id);
  return camera ? std::optional{impl_->status(*camera)} : std::nullopt;
}
FrameCounts System::totals() const {
  return impl_->totals();
}
config::Config System::config() const {
  return impl_->config();
}
const engine::ModelInfo& System::model() const noexcept {
  return impl_->model();
}
scheduler::DispatcherMetrics System::scheduler_metrics() const {
  return impl_->dispatcher().metrics();
}
scheduler::PolicyReport System::scheduler_report() const {
  return impl_->dispatcher().report();
}
double System::demand_at(scheduler::WallTime wall) const {
  return impl_->dispatcher().demand_at(wall);
}
std::vector<DecoderReading> System::decoders() const {
  return impl_->decoders();
}
std::vector<memory::PoolReading> System::pools() const {
  return impl_->pools();
}

}  // namespace gantry::app
