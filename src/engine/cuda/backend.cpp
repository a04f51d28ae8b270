#include "engine/cuda/backend.hpp"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/cuda/device.hpp"
#include "engine/cuda/gate.hpp"
#include "engine/cuda/lane_timeline.hpp"
#include "engine/map_frames.hpp"
#include "engine/measure.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/core/numa.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/cuda/preprocessor.hpp"
#include "gantry/vision/letterbox.hpp"

namespace gantry::cuda {

namespace {

using engine::Batch;
using engine::BatchDone;
using engine::InputShape;
using engine::Profile;

constexpr int kMaxBatch = 64;
constexpr int kTraceRows = 16;  // a device; see core/trace.hpp

struct Job {
  Batch batch;
  BatchDone done;
  Job* behind = nullptr;
};

/// Batches that wait for a lane, first come first served. Keeps its slots, so that it stops allocating once warm.
class JobQueue {
 public:
  void push(Batch&& batch, BatchDone&& done) {
    Job* job = free_;
    if (job != nullptr)
      free_ = job->behind;
    else
      job = &slots_.emplace_back();
    job->batch = std::move(batch), job->done = std::move(done), job->behind = nullptr;
    (last_ != nullptr ? last_->behind : first_) = job;
    last_ = job;
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// The slot is the taker's until give_back().
  [[nodiscard]] Job* take() {
    Job* const job = first_;
    first_ = job->behind;
    if (first_ == nullptr) last_ = nullptr;
    return job;
  }
  void give_back(Job* job) {
    job->done = nullptr;
    job->behind = free_, free_ = job;
  }

 private:
  std::deque<Job> slots_;  // its elements stay where they are
  Job *first_ = nullptr, *last_ = nullptr, *free_ = nullptr;
};

class CudaBackend final : public engine::Backend {
 public:
  CudaBackend(const engine::ModelOptions& options, const std::filesystem::path& sys)
      : options_(options),
        engine_(InferenceEngine::load({.model = options.path,
                                       .device = options.device_index,
                                       .lanes = options.streams,
                                       .cache_folder = default_cache_folder(),
                                       .tune = false,
                                       .memory_fraction = options.memory_fraction})),
        info_(engine_->model()),
        near_(near_cpus(describe_device(options.device_index).pci_bus_id, sys)) {
    info_.precision = "fp16";
    info_.any_shape = true;
    info_.max_batch = kMaxBatch;
    lanes_.blocks = static_cast<std::size_t>(options.streams);
    if (!near_.cpus.empty())
      spdlog::info("GPU {}: its threads stay on NUMA node {}, CPUs {}", options.device_index, near_.node,
                   cpu_list(near_.cpus));
    const StayNear here(near_);  // with the host memory that is locked here
    for (int lane = 0; lane < options.streams; ++lane)
      scratch_.emplace_back(static_cast<std::uint32_t>(options.device_index * kTraceRows + lane));
    for (int lane = 0; lane < options.streams; ++lane)
      preprocessors_.push_back(std::make_unique<CudaPreprocessor>(options.device_index, kMaxBatch));
    for (int lane = 0; lane < options.streams; ++lane) workers_.emplace_back([this, lane] { work(lane); });
    tuner_ = std::thread([this] { tune_behind(); });
  }

  ~CudaBackend() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      tuning_stop_.request_stop();
    }
    wake_.notify_all();
    wake_tuner_.notify_all();
    tuner_.join();
    for (std::thread& worker : workers_) worker.join();
  }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  [[nodiscard]] const engine::ModelInfo& model() const noexcept override { return info_; }

  [[nodiscard]] engine::Capabilities capabilities() const override {
    return {.device = "cuda:" + std::to_string(options_.device_index),
            .concurrent_batches = options_.streams,
            .max_batch = kMaxBatch,
            .device_frames = true,
            .device_index = options_.device_index};
  }

  [[nodiscard]] bool failed() const noexcept override { return failed_; }

  [[nodiscard]] std::vector<Profile> profiles() const override {
    const std::lock_guard lock(mutex_);
    std::vector<Profile> all;
    for (const auto& [key, profile] : profiles_) all.push_back(profile);
    return all;
  }

  /// Lanes are what batches lease: each holds the memory of one running network.
  [[nodiscard]] std::vector<memory::PoolReading> pools() const override {
    const std::lock_guard lock(mutex_);
    return {{"cuda:" + std::to_string(options_.device_index) + " lanes", {lanes_}}};
  }

  void prepare(InputShape shape, int max_batch) override {
    GANTRY_EXPECTS(max_batch >= 1 && max_batch <= kMaxBatch, "the CUDA engine runs batches of 1 to 64 frames");
    if (failed_) throw DeviceError(kFailedEarlier);
    const StayNear here(near_);
    const TunerHeld held(*this);
    const std::lock_guard preparing(preparing_);
    gate_.alone([&] {
      engine_->prepare(shape, max_batch);
      const std::lock_guard lock(mutex_);
      lanes_.block_bytes = engine_->lane_bytes();
    });
    if (options_.wait_for_tuning) static_cast<void>(engine_->tune(shape, max_batch, {.stop = {}, .alone = alone()}));
    remember_latencies(shape, max_batch);
    if (engine_->tuned(shape, max_batch)) return;
    spdlog::info("GPU {}: {}x{} runs with untuned kernels while they are tuned in the background",
                 options_.device_index, shape.width, shape.height);
    const std::lock_guard lock(mutex_);
    to_tune_.emplace_back(shape, max_batch);
  }

  [[nodiscard]] InputShape shape_for(int width, int height) const override {
    if (options_.input.width != 0) return options_.input;
    const int size = std::max(info_.native_shape.width, info_.native_shape.height);
    const vision::InputSize rect = vision::rect_input(width, height, size, info_.stride);
    return {rect.width, rect.height};
  }

  void enqueue(Batch&& batch, BatchDone done) override {
    GANTRY_EXPECTS(!batch.entries.empty(), "a batch holds at least one frame");
    GANTRY_EXPECTS(batch.entries.size() <= kMaxBatch, "the batch is larger than max_batch");
    for (const engine::BatchEntry& entry : batch.entries)
      GANTRY_EXPECTS(entry.options != nullptr, "each entry carries its options");
    {
      const std::lock_guard lock(mutex_);
      queue_.push(std::move(batch), std::move(done));
    }
    wake_.notify_one();
  }

 private:
  static constexpr const char* kFailedEarlier = "the GPU has failed earlier; restart Gantry to use it again";

  /// Latencies that the plan file holds, or measured ones.
  void remember_latencies(InputShape shape, int max_batch) {
    std::vector<Profile> measured;
    for (int size = 1;; size = std::min(2 * size, max_batch)) {
      const std::optional<Profile> known = engine_->known_latency(shape, size);
      if (!known) break;
      measured.push_back(*known);
      if (size == max_batch) return keep(measured);
    }
    measured = engine::measure_latency(*this, shape, max_batch);
    keep(measured);
    engine_->keep_latencies(measured);
  }
  void keep(const std::vector<Profile>& profiles) {
    const std::lock_guard lock(mutex_);
    for (const Profile& profile : profiles) profiles_[{profile.shape, profile.batch}] = profile;
  }

  [[nodiscard]] std::function<void(const std::function<void()>&)> alone() {
    return [this](const std::function<void()>& act) { gate_.alone(act); };
  }

  /// prepare() goes before tuning: who waits for a shape waits for frames.
  class TunerHeld {
   public:
    explicit TunerHeld(CudaBackend& backend) : backend_(backend) {
      const std::lock_guard lock(backend_.mutex_);
      ++backend_.tuner_held_;
      backend_.tuning_stop_.request_stop();
    }
    ~TunerHeld() {
      {
        const std::lock_guard lock(backend_.mutex_);
        --backend_.tuner_held_;
      }
      backend_.wake_tuner_.notify_all();
    }
    TunerHeld(const TunerHeld&) = delete;
    TunerHeld& operator=(const TunerHeld&) = delete;

   private:
    CudaBackend& backend_;
  };

  void tune_behind() noexcept {
    for (;;) {
      std::pair<InputShape, int> work;
      std::stop_token stop;
      {
        std::unique_lock lock(mutex_);
        wake_tuner_.wait(lock, [&] { return stopping_ || (tuner_held_ == 0 && !to_tune_.empty()); });
        if (stopping_) return;
        work = to_tune_.front();
        tuning_stop_ = std::stop_source();
        stop = tuning_stop_.get_token();
      }
      try {
        const std::lock_guard preparing(preparing_);
        if (!engine_->tune(work.first, work.second, {.stop = stop, .alone = alone()})) continue;
        spdlog::info("GPU {}: {}x{} is tuned", options_.device_index, work.first.width, work.first.height);
      } catch (const std::exception& error) {
        spdlog::error("GPU {}: tuning {}x{} failed, it goes on untuned: {}", options_.device_index, work.first.width,
                      work.first.height, error.what());
      }
      const std::lock_guard lock(mutex_);
      to_tune_.pop_front();
    }
  }

  void work(int lane) noexcept {
    pthread_setname_np(pthread_self(),
                       ("gpu" + std::to_string(options_.device_index) + " lane " + std::to_string(lane)).c_str());
    for (;;) {
      Job* job = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        job = queue_.take();
        ++lanes_.leases;
        lanes_.high_water = std::max(lanes_.high_water, ++lanes_.in_use);
      }
      Result<void> status;
      try {
        status = run(lane, job->batch);
      } catch (const std::exception& error) {
        status = fail(ErrorCode::kDevice, error.what());
      }
      if (!status && status.error().code == ErrorCode::kDevice && !failed_.exchange(true))
        spdlog::error("GPU {} has failed and takes no more work: {}", options_.device_index, status.error().message);
      job->done(std::move(job->batch), std::move(status));
      const std::lock_guard lock(mutex_);
      queue_.give_back(job);
      --lanes_.in_use;
    }
  }

  Result<void> run(int lane, Batch& batch) {
    // After a sticky CUDA error every call fails until the process ends; say so at once.
    if (failed_) return fail(ErrorCode::kDevice, kFailedEarlier);
    const Gate::Pass pass(gate_);
    const int images = static_cast<int>(batch.entries.size());
    auto& [pictures, options, timeline] = scratch_[static_cast<std::size_t>(lane)];
    options.clear();
    for (const auto& entry : batch.entries) options.push_back(entry.options);
    if (!engine_->prepared(batch.shape, images))
      return fail(ErrorCode::kInvalid, "the shape " + std::to_string(batch.shape.width) + "x" +
                                           std::to_string(batch.shape.height) + " for " + std::to_string(images) +
                                           " frames has not been prepared");
    const auto start = std::chrono::steady_clock::now();
    timeline.begin(engine_->stream(lane), batch.entries.size());
    if (engine::map_frames(batch, options_.device_index, engine_->stream(lane), pictures) == 0) return {};
    timeline.mark("fetch");
    const auto fetched = std::chrono::steady_clock::now();
    CudaPreprocessor& preprocessor = *preprocessors_[static_cast<std::size_t>(lane)];
    const bool asked = std::any_of(batch.entries.begin(), batch.entries.end(),
                                   [](const auto& entry) { return entry.frame.wants_quality; });
    if (Result<void> status =
            preprocessor.run(pictures, batch.shape, engine_->input(lane), engine_->stream(lane),
                             asked ? CudaPreprocessor::Measure::kQuality : CudaPreprocessor::Measure::kNothing);
        !status)
      return status;
    timeline.mark("preprocess");
    const auto uploaded = std::chrono::steady_clock::now();
    if (Result<void> status = engine_->run(lane, batch.shape, images, options); !status) return status;
    timeline.mark("network and NMS");
    if (Result<void> status = engine_->wait(lane); !status) return status;
    timeline.finish();
    const auto inferred = std::chrono::steady_clock::now();
    for (int i = 0; i < images; ++i) {
      auto& entry = batch.entries[static_cast<std::size_t>(i)];
      if (entry.drop) continue;
      if (entry.frame.wants_quality) entry.quality = preprocessor.quality(static_cast<std::size_t>(i));
      if (entry.options->every_class)
        engine_->every_class_results(lane, batch.shape, images, i, *entry.options, entry.detections);
      else
        engine_->results(lane, i, entry.detections);
      const Image& image = entry.frame.image;
      const auto geometry =
          vision::letterbox_geometry(image.width, image.height, batch.shape.width, batch.shape.height);
      for (Detection& detection : entry.detections) detection.box = vision::to_source(geometry, detection.box);
    }
    batch.times.fetch = fetched - start;
    batch.times.preprocess = uploaded - start;
    batch.times.inference = inferred - uploaded;
    const auto finished = std::chrono::steady_clock::now();
    batch.times.postprocess = finished - inferred;
    timeline.host("fetch", start, fetched);
    timeline.host("preprocess", fetched, uploaded);
    timeline.host("wait for the network", uploaded, inferred);
    timeline.host("boxes", inferred, finished);
    return {};
  }

  engine::ModelOptions options_;
  std::unique_ptr<InferenceEngine> engine_;
  engine::ModelInfo info_;
  const NearCpus near_;  ///< lanes and tuner are started there, and stay
  std::vector<std::unique_ptr<CudaPreprocessor>> preprocessors_;
  struct Scratch {
    explicit Scratch(std::uint32_t row) : timeline(row) {}
    std::vector<const Image*> pictures;
    std::vector<const engine::DetectOptions*> options;
    LaneTimeline timeline;
  };
  std::vector<Scratch> scratch_;  ///< of each lane; keeps its capacity
  Gate gate_;                     ///< lanes inside while they run; alone while graphs and memory change
  std::mutex preparing_;  ///< one of prepare() and the tuner changes the engine; taken before the gate and mutex_
  std::atomic<bool> failed_{false};

  mutable std::mutex mutex_;  ///< what follows
  std::condition_variable wake_, wake_tuner_;
  JobQueue queue_;
  memory::SizeClassStats lanes_;
  std::map<std::pair<InputShape, int>, Profile> profiles_;
  std::deque<std::pair<InputShape, int>> to_tune_;
  std::stop_source tuning_stop_;
  int tuner_held_ = 0;  ///< prepare() calls under way
  bool stopping_ = false;
  std::vector<std::thread> workers_;  ///< after all that they use
  std::thread tuner_;
};

}  // namespace

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::unique_ptr<engine::Backend> make_cuda_backend(const engine::ModelOptions& options,
                                                   const std::filesystem::path& sys) {
  return std::make_unique<CudaBackend>(options, sys);
}

}  // namespace gantry::cuda
