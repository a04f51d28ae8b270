#include "engine/cuda/backend.hpp"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "engine/map_frames.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/cuda/preprocessor.hpp"
#include "gantry/vision/letterbox.hpp"

namespace gantry::cuda {

namespace {

using engine::Batch;
using engine::BatchDone;
using engine::InputShape;
using engine::Profile;

constexpr int kLanes = 2;  // one uploads while the other computes
constexpr int kMaxBatch = 64;

/// $XDG_CACHE_HOME/gantry or ~/.cache/gantry; empty where neither is known.
std::string cache_folder() {
  if (const char* base = std::getenv("XDG_CACHE_HOME"); base != nullptr && *base != '\0')
    return (std::filesystem::path(base) / "gantry").string();
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return (std::filesystem::path(home) / ".cache" / "gantry").string();
  return {};
}

class CudaBackend final : public engine::Backend {
 public:
  explicit CudaBackend(const engine::ModelOptions& options)
      : options_(options),
        engine_(InferenceEngine::load({.model = options.path,
                                       .device = options.device_index,
                                       .lanes = kLanes,
                                       .cache_folder = cache_folder(),
                                       .tune = true})),
        info_(engine_->model()) {
    info_.precision = "fp16";
    info_.any_shape = true;
    info_.max_batch = kMaxBatch;
    for (int lane = 0; lane < kLanes; ++lane) {
      preprocessors_.push_back(std::make_unique<CudaPreprocessor>(options.device_index, kMaxBatch));
      workers_.emplace_back([this, lane] { work(lane); });
    }
  }

  ~CudaBackend() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  [[nodiscard]] const engine::ModelInfo& model() const noexcept override { return info_; }

  [[nodiscard]] engine::Capabilities capabilities() const override {
    return {.device = "cuda:" + std::to_string(options_.device_index),
            .concurrent_batches = kLanes,
            .max_batch = kMaxBatch,
            .device_frames = true,
            .device_index = options_.device_index};
  }

  [[nodiscard]] std::vector<Profile> profiles() const override {
    const std::lock_guard lock(mutex_);
    std::vector<Profile> all;
    for (const auto& [key, profile] : profiles_) all.push_back(profile);
    return all;
  }

  void prepare(InputShape shape, int max_batch) override {
    GANTRY_EXPECTS(max_batch >= 1 && max_batch <= kMaxBatch, "the CUDA engine runs batches of 1 to 64 frames");
    {
      const std::unique_lock running(running_);
      engine_->prepare(shape, max_batch);
    }
    measure(shape, max_batch);
  }

  [[nodiscard]] InputShape shape_for(int width, int height) const override {
    if (options_.input.width != 0) return options_.input;
    const int size = std::max(info_.native_shape.width, info_.native_shape.height);
    const vision::InputSize rect = vision::rect_input(width, height, size, info_.stride);
    return {rect.width, rect.height};
  }

  void enqueue(Batch&& batch, BatchDone done) override {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back({std::move(batch), std::move(done)});
    }
    wake_.notify_one();
  }

 private:
  struct Job {
    Batch batch;
    BatchDone done;
  };

  /// Grey pictures twice the size of the input, one batch at a time on an idle lane; twenty runs a size.
  void measure(InputShape shape, int max_batch) {
    const int width = shape.width * 2, height = shape.height * 2;
    std::vector<std::uint8_t> grey(static_cast<std::size_t>(width) * height * 3 / 2, 128);
    Image image;
    image.width = width, image.height = height;
    image.planes[0] = {grey.data(), width};
    image.planes[1] = {grey.data() + static_cast<std::ptrdiff_t>(width) * height, width};
    const engine::DetectOptions defaults;
    std::vector<int> sizes;
    for (int size = 1; size < max_batch; size *= 2) sizes.push_back(size);
    sizes.push_back(max_batch);
    for (const int size : sizes) {
      std::vector<Duration> times;
      for (int run = 0; run < 22; ++run) {
        Batch batch;
        batch.shape = shape;
        batch.entries.resize(static_cast<std::size_t>(size));
        for (auto& entry : batch.entries) entry.frame.image = image, entry.options = &defaults;
        std::mutex finished_mutex;
        std::condition_variable finished;
        bool answered = false;
        std::string failure;
        const auto start = std::chrono::steady_clock::now();
        enqueue(std::move(batch), [&](Batch&&, Result<void> status) {
          const std::lock_guard lock(finished_mutex);
          if (!status) failure = status.error().message;
          answered = true;
          finished.notify_one();
        });
        std::unique_lock lock(finished_mutex);
        finished.wait(lock, [&] { return answered; });
        if (!failure.empty()) throw ModelError("the model fails on a grey picture: " + failure);
        if (run >= 2) times.push_back(std::chrono::steady_clock::now() - start);
      }
      std::sort(times.begin(), times.end());
      Profile profile;
      profile.shape = shape, profile.batch = size, profile.p99 = times.back();
      for (const Duration time : times) profile.mean += time / static_cast<int>(times.size());
      const std::lock_guard lock(mutex_);
      profiles_[{shape, size}] = profile;
    }
  }

  void work(int lane) noexcept {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        job = std::move(queue_.front());
        queue_.pop_front();
      }
      Result<void> status;
      try {
        status = run(lane, job.batch);
      } catch (const std::exception& error) {
        status = fail(ErrorCode::kDevice, error.what());
      }
      if (!status && status.error().code == ErrorCode::kDevice && !failed_.exchange(true))
        spdlog::error("GPU {} has failed and takes no more work: {}", options_.device_index, status.error().message);
      job.done(std::move(job.batch), std::move(status));
    }
  }

  Result<void> run(int lane, Batch& batch) {
    // After a sticky CUDA error every call fails until the process ends; say so at once.
    if (failed_) return fail(ErrorCode::kDevice, "the GPU has failed earlier; restart Gantry to use it again");
    const std::shared_lock running(running_);
    const int images = static_cast<int>(batch.entries.size());
    if (!engine_->prepared(batch.shape, images))
      return fail(ErrorCode::kInvalid, "the shape " + std::to_string(batch.shape.width) + "x" +
                                           std::to_string(batch.shape.height) + " for " + std::to_string(images) +
                                           " frames has not been prepared");
    std::vector<const Image*>& pictures = pictures_[lane];
    std::vector<const engine::DetectOptions*>& options = options_of_[lane];
    options.clear();
    for (const auto& entry : batch.entries) options.push_back(entry.options);
    const auto start = std::chrono::steady_clock::now();
    if (engine::map_frames(batch, engine_->stream(lane), pictures) == 0) return {};
    if (Result<void> status = preprocessors_[static_cast<std::size_t>(lane)]->run(
            pictures, batch.shape, engine_->input(lane), engine_->stream(lane));
        !status)
      return status;
    const auto uploaded = std::chrono::steady_clock::now();
    if (Result<void> status = engine_->run(lane, batch.shape, images, options); !status) return status;
    if (Result<void> status = engine_->wait(lane); !status) return status;
    const auto inferred = std::chrono::steady_clock::now();
    for (int i = 0; i < images; ++i) {
      auto& entry = batch.entries[static_cast<std::size_t>(i)];
      if (entry.drop) continue;
      engine_->results(lane, i, entry.detections);
      const Image& image = entry.frame.image;
      const auto geometry =
          vision::letterbox_geometry(image.width, image.height, batch.shape.width, batch.shape.height);
      for (Detection& detection : entry.detections) detection.box = vision::to_source(geometry, detection.box);
    }
    batch.times.preprocess = uploaded - start;
    batch.times.inference = inferred - uploaded;
    batch.times.postprocess = std::chrono::steady_clock::now() - inferred;
    return {};
  }

  engine::ModelOptions options_;
  std::unique_ptr<InferenceEngine> engine_;
  engine::ModelInfo info_;
  std::vector<std::unique_ptr<CudaPreprocessor>> preprocessors_;
  std::vector<const Image*> pictures_[kLanes];
  std::vector<const engine::DetectOptions*> options_of_[kLanes];
  std::shared_mutex running_;  ///< shared while a lane runs, exclusive while profiles are prepared
  std::atomic<bool> failed_{false};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  std::map<std::pair<InputShape, int>, Profile> profiles_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;  ///< last, so that they end before what they use
};

}  // namespace

std::unique_ptr<engine::Backend> make_cuda_backend(const engine::ModelOptions& options) {
  return std::make_unique<CudaBackend>(options);
}

}  // namespace gantry::cuda
