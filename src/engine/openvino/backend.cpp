#include "engine/openvino/backend.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/properties.hpp>
#include <optional>
#include <thread>

#include "engine/measure.hpp"
#include "engine/openvino/detector.hpp"
#include "engine/openvino/runner.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/vision/letterbox.hpp"

namespace gantry::engine::openvino {
namespace {

/// A batch on its way through the workers. Entries are handed out one by one; the last to finish answers.
struct Job {
  Batch batch;
  BatchDone done;
  std::size_t next = 0;      ///< first entry nobody has taken
  std::size_t finished = 0;  ///< entries answered
  std::optional<Error> error;
  Job* behind = nullptr;  ///< in the queue
};

/// A batch is a list of frames, and each worker takes one frame at a time through its own infer request, so that on a
/// CPU a frame's answer can't depend on its neighbours and no core waits for another one's letterbox.
class OpenVinoBackend final : public Backend {
 public:
  explicit OpenVinoBackend(const ModelOptions& options);
  ~OpenVinoBackend() override;

  [[nodiscard]] const ModelInfo& model() const noexcept override { return info_; }
  [[nodiscard]] Capabilities capabilities() const override;
  [[nodiscard]] std::vector<Profile> profiles() const override;
  void prepare(InputShape shape, int max_batch) override;
  [[nodiscard]] InputShape shape_for(int width, int height) const override;
  void enqueue(Batch&& batch, BatchDone done) override;

 private:
  using Runners = std::vector<std::unique_ptr<Runner>>;  ///< one a worker

  [[nodiscard]] ov::AnyMap compile_options() const;
  Runners& runners_for(InputShape shape);
  void work(std::size_t worker);
  void push(Job* job);
  [[nodiscard]] Job* take_free_job();

  ModelOptions options_;
  ov::Core core_;
  std::optional<Detector> detector_;  ///< read at start, dropped once compiled; read again for another shape
  ModelInfo info_;
  std::size_t worker_count_ = 1;

  std::mutex compile_mutex_;         ///< guards detector_; held while a shape compiles
  mutable std::mutex shapes_mutex_;  ///< guards runners_ and profiles_; never held for long, so ready shapes run on
  std::map<InputShape, Runners> runners_;
  std::map<std::pair<InputShape, int>, Profile> profiles_;

  std::mutex queue_mutex_;  ///< guards all below
  std::condition_variable work_ready_;
  std::vector<std::unique_ptr<Job>> jobs_;  ///< all there are
  Job* free_ = nullptr;
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

OpenVinoBackend::OpenVinoBackend(const ModelOptions& options) : options_(options) {
  detector_ = read_detector(core_, options.path);
  info_ = detector_->info;
  info_.max_batch = 64;
  const InputShape wanted = options.input;
  if (wanted.width != 0 && wanted != info_.native_shape) {
    if (wanted.width % info_.stride != 0 || wanted.height % info_.stride != 0) {
      throw ModelError("an input of " + std::to_string(wanted.width) + "x" + std::to_string(wanted.height) +
                       " does not fit " + options.path + ": both sides must be multiples of " +
                       std::to_string(info_.stride));
    }
    if (!info_.any_shape) {
      throw ModelError(options.path + " was exported for " + std::to_string(info_.native_shape.width) + "x" +
                       std::to_string(info_.native_shape.height) +
                       " and can't run at another size; export it with dynamic=True");
    }
  }
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t threads = options.threads > 0 ? static_cast<std::size_t>(options.threads) : cores;
  worker_count_ = options.mode == Mode::kLatency ? 1 : threads;
  for (std::size_t i = 0; i < worker_count_; ++i) workers_.emplace_back([this, i] { work(i); });
}

OpenVinoBackend::~OpenVinoBackend() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

Capabilities OpenVinoBackend::capabilities() const {
  Capabilities result;
  result.device = "cpu";
  result.concurrent_batches = static_cast<int>(worker_count_);
  result.max_batch = info_.max_batch;
  return result;
}

std::vector<Profile> OpenVinoBackend::profiles() const {
  const std::lock_guard lock(shapes_mutex_);
  std::vector<Profile> result;
  for (const auto& [key, profile] : profiles_) result.push_back(profile);
  return result;
}

InputShape OpenVinoBackend::shape_for(int width, int height) const {
  if (options_.input.width != 0) return options_.input;
  if (!info_.any_shape) return info_.native_shape;
  const int longer = std::max(info_.native_shape.width, info_.native_shape.height);
  const vision::InputSize size = vision::rect_input(width, height, longer, info_.stride);
  return {size.width, size.height};
}

ov::AnyMap OpenVinoBackend::compile_options() const {
  const int threads =
      options_.threads > 0 ? options_.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return {
      ov::num_streams(static_cast<std::int32_t>(worker_count_)),
      ov::inference_num_threads(threads),
      // Left to itself OpenVINO computes float32 models in bfloat16 where the processor can: other answers.
      ov::hint::inference_precision(ov::element::f32),
      // The machine is shared with the decoders: the kernel's scheduler knows better.
      ov::hint::enable_cpu_pinning(false),
  };
}

OpenVinoBackend::Runners& OpenVinoBackend::runners_for(InputShape shape) {
  const auto ready = [&]() -> Runners* {
    const std::lock_guard lock(shapes_mutex_);
    const auto found = runners_.find(shape);
    return found == runners_.end() ? nullptr : &found->second;
  };
  if (Runners* found = ready()) return *found;
  const std::lock_guard compiling(compile_mutex_);
  if (Runners* found = ready()) return *found;  // somebody else was first
  if (shape != info_.native_shape && !info_.any_shape) {
    throw ModelError(options_.path + " can't run at " + std::to_string(shape.width) + "x" +
                     std::to_string(shape.height));
  }
  if (!detector_) detector_ = read_detector(core_, options_.path);
  if (shape != info_.native_shape) detector_->model->reshape(ov::PartialShape{1, 3, shape.height, shape.width});
  ov::CompiledModel compiled = core_.compile_model(detector_->model, "CPU", compile_options());
  Runners runners;
  for (std::size_t i = 0; i < worker_count_; ++i) {
    runners.push_back(std::make_unique<Runner>(compiled.create_infer_request(), shape, detector_->map_strides,
                                               static_cast<int>(info_.class_names.size())));
  }
  detector_.reset();  // the compiled model has its own copy of the weights
  const std::lock_guard lock(shapes_mutex_);
  return runners_.emplace(shape, std::move(runners)).first->second;
}

void OpenVinoBackend::prepare(InputShape shape, int max_batch) {
  try {
    runners_for(shape);
  } catch (const ModelError&) {
    throw;
  } catch (const std::exception& error) {
    throw ModelError(options_.path + " can't be compiled for " + std::to_string(shape.width) + "x" +
                     std::to_string(shape.height) + ": " + error.what());
  }
  for (Profile& profile : measure_latency(*this, shape, std::min(max_batch, info_.max_batch))) {
    const std::lock_guard lock(shapes_mutex_);
    profiles_[{shape, profile.batch}] = profile;
  }
}

Job* OpenVinoBackend::take_free_job() {
  if (free_ == nullptr) {
    jobs_.push_back(std::make_unique<Job>());
    return jobs_.back().get();
  }
  return std::exchange(free_, free_->behind);
}

void OpenVinoBackend::push(Job* job) {
  job->behind = nullptr;
  (last_ == nullptr ? first_ : last_->behind) = job;
  last_ = job;
}

void OpenVinoBackend::enqueue(Batch&& batch, BatchDone done) {
  GANTRY_EXPECTS(!batch.entries.empty(), "a batch holds at least one frame");
  GANTRY_EXPECTS(batch.entries.size() <= static_cast<std::size_t>(info_.max_batch),
                 "the batch is larger than max_batch");
  for (const BatchEntry& entry : batch.entries)
    GANTRY_EXPECTS(entry.options != nullptr, "each entry carries its options");
  {
    const std::lock_guard lock(queue_mutex_);
    GANTRY_EXPECTS(!stopping_, "enqueue() after the back end began to end");
    Job* job = take_free_job();
    job->batch = std::move(batch);
    job->batch.times = {};
    job->done = std::move(done);
    job->next = 0;
    job->finished = 0;
    job->error.reset();
    push(job);
  }
  work_ready_.notify_all();
}

void OpenVinoBackend::work(std::size_t worker) {
  WorkerScratch scratch;
  std::unique_lock lock(queue_mutex_);
  for (;;) {
    work_ready_.wait(lock, [this] { return stopping_ || first_ != nullptr; });
    if (first_ == nullptr) return;
    Job* job = first_;
    BatchEntry& entry = job->batch.entries[job->next++];
    if (job->next == job->batch.entries.size()) {
      first_ = job->behind;
      if (first_ == nullptr) last_ = nullptr;
    }
    lock.unlock();

    StageTimes times;
    Result<void> status;
    try {
      status = runners_for(job->batch.shape)[worker]->run(entry, scratch, times);
    } catch (const std::exception& error) {
      status = fail(ErrorCode::kDevice, error.what());
    }

    lock.lock();
    if (!status && !job->error) job->error = status.error();
    job->batch.times.preprocess += times.preprocess;
    job->batch.times.inference += times.inference;
    job->batch.times.postprocess += times.postprocess;
    if (++job->finished < job->batch.entries.size()) continue;
    lock.unlock();
    Result<void> outcome = job->error ? Result<void>(Unexpected<Error>{*job->error}) : Result<void>();
    job->done(std::move(job->batch), std::move(outcome));
    job->done = nullptr;
    lock.lock();
    job->behind = free_;
    free_ = job;
  }
}

}  // namespace

std::unique_ptr<Backend> make_openvino_backend(const ModelOptions& options) {
  return std::make_unique<OpenVinoBackend>(options);
}

}  // namespace gantry::engine::openvino
