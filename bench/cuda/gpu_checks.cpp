// gantry_gpu_checks: the figures of the CUDA engine that are not the network's speed, on this machine's GPU.
//
//   gantry_gpu_checks kernels --model yolo11n.onnx   letterbox against the copy rate; decode and NMS against the
//   network gantry_gpu_checks warm --model yolo11n.onnx      what 10,000 warm batches allocate, on the host and on the
//   card gantry_gpu_checks start --model yolo11n.onnx     how long a start takes with the plan file as it is
//
// Every command prints its goal beside its figure and fails where it is missed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/cuda/backend.hpp"
#include "engine/cuda/device.hpp"
#include "engine/cuda/kernels/detect.hpp"
#include "engine/cuda/tuner.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/cuda/preprocessor.hpp"
#include "media/counting_new.hpp"

namespace {

std::atomic<std::uint64_t> card_allocations{0};

}  // namespace

// The linker sends every call of these here (--wrap).
extern "C" {
cudaError_t __real_cudaMalloc(void** memory, std::size_t bytes);
cudaError_t __real_cudaHostAlloc(void** memory, std::size_t bytes, unsigned flags);
cudaError_t __wrap_cudaMalloc(void** memory, std::size_t bytes) {
  ++card_allocations;
  return __real_cudaMalloc(memory, bytes);
}
cudaError_t __wrap_cudaHostAlloc(void** memory, std::size_t bytes, unsigned flags) {
  ++card_allocations;
  return __real_cudaHostAlloc(memory, bytes, flags);
}
}

namespace gantry::cuda {
namespace {

using engine::InputShape;
constexpr InputShape kSquare{640, 640};

bool goal(bool met, const char* line) {
  std::printf("%-6s %s\n", met ? "met" : "MISSED", line);
  std::fflush(stdout);
  return met;
}

/// Median microseconds of `work` on a stream, from events.
template <typename Work>
double time_on(cudaStream_t stream, int rounds, Work&& work) {
  const Event start = make_event(true), stop = make_event(true);
  std::vector<float> times;
  for (int i = 0; i < rounds + 3; ++i) {
    float milliseconds = 0;
    check(cudaEventRecord(start.get(), stream), "event");
    work(i);
    check(cudaEventRecord(stop.get(), stream), "event");
    check(cudaEventSynchronize(stop.get()), "work");
    check(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()), "event");
    if (i >= 3) times.push_back(milliseconds);
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return static_cast<double>(times[static_cast<std::size_t>(rounds / 2)]) * 1e3;
}

DeviceBuffer noise(std::size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> values(bytes);
  for (auto& value : values) value = static_cast<std::uint8_t>(random() >> 7);
  DeviceBuffer buffer(bytes);
  check(cudaMemcpy(buffer.data(), values.data(), bytes, cudaMemcpyHostToDevice), "upload");
  return buffer;
}

/// Bytes a second of a copy on the card, read and written both counted.
double copy_rate(cudaStream_t stream) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  const DeviceBuffer from(kBytes), to(kBytes);
  const double micros = time_on(stream, 15, [&](int) {
    check(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream), "copy");
  });
  return 2.0 * kBytes / micros * 1e6;
}

bool letterbox_share() {
  constexpr int kPictures = 32, kWidth = 1280, kHeight = 720, kSets = 4;  // sets: so that nothing waits in the L2
  const std::size_t picture_bytes = static_cast<std::size_t>(kWidth) * kHeight * 3 / 2;
  const Stream stream = make_stream();
  const double copy = copy_rate(stream.get());
  std::vector<DeviceBuffer> sources, targets;
  std::vector<Image> images(static_cast<std::size_t>(kPictures * kSets));
  const std::size_t target_bytes = static_cast<std::size_t>(kPictures) * kSquare.width * kSquare.height * 8;
  for (int set = 0; set < kSets; ++set) {
    sources.push_back(noise(picture_bytes * kPictures, static_cast<unsigned>(set)));
    targets.emplace_back(target_bytes);
    for (int i = 0; i < kPictures; ++i) {
      Image& image = images[static_cast<std::size_t>(set * kPictures + i)];
      const auto* const at = sources.back().as<std::uint8_t>() + static_cast<std::size_t>(i) * picture_bytes;
      image.width = kWidth, image.height = kHeight, image.format = PixelFormat::kNv12;
      image.space = MemorySpace::kDevice, image.device = 0;
      image.planes[0] = {at, kWidth}, image.planes[1] = {at + kWidth * kHeight, kWidth};
    }
  }
  CudaPreprocessor preprocessor(0, kPictures);
  const double micros = time_on(stream.get(), 60, [&](int i) {
    const auto set = static_cast<std::size_t>(i % kSets);
    std::vector<const Image*> batch;
    for (std::size_t p = 0; p < kPictures; ++p) batch.push_back(&images[set * kPictures + p]);
    if (const auto done = preprocessor.run(batch, kSquare, targets[set].data(), stream.get()); !done)
      throw DeviceError(done.error().message);
  });
  const double bytes = static_cast<double>(picture_bytes * kPictures + target_bytes), rate = bytes / micros * 1e6;
  char line[200];
  std::snprintf(line, sizeof line,
                "letterbox, 32 x 1280x720 NV12 to 640x640: %.1f us, %.0f GB/s = %.1f %% of the copy rate of %.0f GB/s "
                "(70 %%)",
                micros, rate / 1e9, 100 * rate / copy, copy / 1e9);
  return goal(rate >= 0.7 * copy, line);
}

/// Raw maps of 32 pictures of 100 objects each, every one seen by a few cells; timed with decode and NMS alone.
bool detect_share(const std::string& model) {
  constexpr int kImages = 32, kObjects = 100, kClasses = 80, kBins = 16;
  const auto engine = InferenceEngine::load(
      {.model = model, .device = 0, .lanes = 1, .cache_folder = default_cache_folder(), .tune = true});
  engine->prepare(kSquare, kImages);
  const double network = engine->benchmark(kSquare, kImages).milliseconds * 1e3;

  std::mt19937 random(5);
  DetectArgs args;
  args.level_count = 3, args.n = kImages, args.classes = kClasses, args.bins = kBins;
  std::vector<DeviceBuffer> maps;
  for (int l = 0; l < 3; ++l) {
    const int side = 80 >> l;
    std::vector<__half> boxes(static_cast<std::size_t>(kImages) * side * side * 64),
        classes(static_cast<std::size_t>(kImages) * side * side * kClasses);
    for (auto& v : boxes) v = __float2half(static_cast<float>(random() % 256) / 256.0F);
    for (auto& v : classes) v = __float2half(-8.0F - static_cast<float>(random() % 256) / 128.0F);
    // Objects on a grid of the finest map, far enough apart to be told from each other; three cells see each.
    if (l == 0)
      for (int image = 0; image < kImages; ++image)
        for (int object = 0; object < kObjects; ++object)
          for (int see = 0; see < 3; ++see) {
            const int x = object % 10 * 8 + 2 + see % 2, y = object / 10 * 8 + 3 + see / 2;
            const std::size_t cell = (static_cast<std::size_t>(image) * side + y) * side + x;
            classes[cell * kClasses + static_cast<std::size_t>(object % kClasses)] =
                __float2half(2.0F - 0.3F * static_cast<float>(see));
            for (int s = 0; s < 4; ++s)  // all weight on bin 2: 16 pixels to each side
              for (int b = 0; b < kBins; ++b)
                boxes[cell * 64 + static_cast<std::size_t>(s * kBins + b)] = __float2half(b == 2 ? 20.0F : 0.0F);
          }
    const auto put = [&](const std::vector<__half>& values) {
      maps.emplace_back(values.size() * sizeof(__half));
      check(cudaMemcpy(maps.back().data(), values.data(), maps.back().bytes(), cudaMemcpyHostToDevice), "upload");
      return maps.back().as<__half>();
    };
    args.levels[l] = {put(boxes), put(classes), 64, kClasses, side, side, static_cast<float>(8 << l), args.anchors};
    args.anchors += side * side;
  }
  const auto cells = static_cast<std::size_t>(kImages * args.anchors);
  const DeviceBuffer keys(cells * 8), boxes(cells * 16), ids(cells * 4), counts(kImages * 4),
      limits(kImages * sizeof(DetectLimits)), masks(kImages * 3 * 4);
  const PinnedBuffer found(static_cast<std::size_t>(kImages) * kMaxDetections * sizeof(RawDetection)),
      found_counts(kImages * 4);
  const std::vector<DetectLimits> defaults(kImages, DetectLimits{0.25F, 0.5F, 300, 0});
  check(cudaMemcpy(limits.data(), defaults.data(), limits.bytes(), cudaMemcpyHostToDevice), "upload");
  check(cudaMemset(masks.data(), 0xFF, masks.bytes()), "memset");
  check(cudaMemset(counts.data(), 0, counts.bytes()), "memset");
  args.limits = limits.as<DetectLimits>(), args.class_masks = masks.as<std::uint32_t>();
  args.keys = keys.as<std::uint64_t>(), args.boxes = boxes.as<float4>(), args.ids = ids.as<std::int32_t>();
  args.counts = counts.as<std::int32_t>(), args.detections = found.as<RawDetection>();
  args.detection_counts = found_counts.as<std::int32_t>();
  check(cudaDeviceSynchronize(), "upload");

  const Stream stream = make_stream();
  LaunchShape shape;
  shape.multiprocessors = describe_device(0).multiprocessors;
  check(launch_decode(args, shape, stream.get()), "decode");
  check(launch_nms(args, shape, stream.get()), "nms");
  check(cudaStreamSynchronize(stream.get()), "decode and NMS");
  bool right = true;
  for (int i = 0; i < kImages; ++i) right = right && found_counts.as<std::int32_t>()[i] == kObjects;
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "capture");
  check(launch_decode(args, shape, stream.get()), "decode");
  shape.programmatic = true;
  check(launch_nms(args, shape, stream.get()), "nms");
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream.get(), &graph), "capture");
  const Graph owned(graph);
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
  const GraphExec executable(exec);
  const double micros = time_replays(exec, stream.get(), 100) * 1e3;
  char line[220];
  std::snprintf(line, sizeof line,
                "decode + NMS, 32 x 100 objects: %.1f us = %.1f %% of the network's %.1f us (3 %%); %s", micros,
                100 * micros / network, network, right ? "100 boxes in each picture" : "WRONG NUMBER OF BOXES");
  return goal(right && micros <= 0.03 * network, line);
}

/// Batches one behind the other, two under way, until `count` have been answered.
class Feeder {
 public:
  Feeder(engine::Backend& backend, InputShape shape, int images, int width, int height) : backend_(backend) {
    pixels_.resize(static_cast<std::size_t>(width) * height * 3 / 2, 90);
    for (engine::Batch& batch : batches_) {
      batch.shape = shape;
      batch.entries.resize(static_cast<std::size_t>(images));
      for (auto& entry : batch.entries) {
        Image& image = entry.frame.image;
        image.width = width, image.height = height, image.format = PixelFormat::kNv12;
        image.planes[0] = {pixels_.data(), width};
        image.planes[1] = {pixels_.data() + static_cast<std::ptrdiff_t>(width) * height, width};
        entry.options = &options_;
      }
    }
  }
  void run(int count) {
    left_ = count, running_ = 0;
    for (engine::Batch& batch : batches_) start(std::move(batch));
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return running_ == 0; });
    if (!failure_.empty()) throw DeviceError(failure_);
  }

 private:
  void start(engine::Batch&& batch) {
    {
      const std::lock_guard lock(mutex_);
      if (left_ == 0 || !failure_.empty()) {
        batches_[batch.id] = std::move(batch);
        return;
      }
      --left_, ++running_;
    }
    backend_.enqueue(std::move(batch), [this](engine::Batch&& back, Result<void> status) {
      if (!status) {
        const std::lock_guard lock(mutex_);
        failure_ = status.error().message;
      }
      start(std::move(back));
      const std::lock_guard lock(mutex_);
      --running_;
      idle_.notify_one();
    });
  }
  engine::Backend& backend_;
  engine::DetectOptions options_;
  std::vector<std::uint8_t> pixels_;
  engine::Batch batches_[2] = {{.id = 0}, {.id = 1}};
  std::mutex mutex_;
  std::condition_variable idle_;
  int left_ = 0, running_ = 0;
  std::string failure_;
};

bool warm(const std::string& model, int batches) {
  engine::ModelOptions options;
  options.path = model, options.wait_for_tuning = true;
  const auto backend = make_cuda_backend(options);
  const InputShape shape{640, 384};
  backend->prepare(shape, 8);
  Feeder feeder(*backend, shape, 8, 320, 192);
  feeder.run(500);
  const std::uint64_t host = media::testing::allocations_so_far(), card = card_allocations;
  const auto start = std::chrono::steady_clock::now();
  feeder.run(batches);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::uint64_t on_host = media::testing::allocations_so_far() - host, on_card = card_allocations - card;
  char line[200];
  std::snprintf(line, sizeof line,
                "%d warm batches of 8, host pictures to boxes, %.2f s: %llu operator new, %llu cudaMalloc or "
                "cudaHostAlloc (0)",
                batches, seconds, static_cast<unsigned long long>(on_host), static_cast<unsigned long long>(on_card));
  return goal(on_host == 0 && on_card == 0, line);
}

bool start_up(const std::string& model, bool wait, double limit) {
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  engine::ModelOptions options;
  options.path = model, options.wait_for_tuning = wait;
  check(cudaSetDevice(0), "cudaSetDevice");
  check(cudaFree(nullptr), "the driver's start");
  const double driver = seconds();
  const auto backend = make_cuda_backend(options);
  const double loaded = seconds();
  backend->prepare(kSquare, 32);
  const double prepared = seconds();
  Feeder(*backend, kSquare, 1, 1280, 720).run(2);
  const double answered = seconds();
  char line[220];
  std::snprintf(line, sizeof line,
                "first boxes %.3f s after the start: driver %.3f, model and plan %.3f, batches of 1 to 32 ready %.3f, "
                "first answers %.3f (%.1f s)",
                answered, driver, loaded - driver, prepared - loaded, answered - prepared, limit);
  const bool met = goal(answered <= limit, line);
  for (const engine::Profile& profile : backend->profiles())
    std::printf("       b%-2d %.3f ms\n", profile.batch,
                std::chrono::duration<double, std::milli>(profile.mean).count());
  return met;
}

}  // namespace
}  // namespace gantry::cuda

int main(int argc, char** argv) {
  CLI::App app("Figures of Gantry's CUDA engine beside the network's speed.");
  app.require_subcommand(1);
  std::string model;
  int batches = 10'000;
  bool wait = false, met = true;
  double limit = 1.0;
  const auto add = [&](const char* name, const char* what) {
    auto* command = app.add_subcommand(name, what);
    command->add_option("--model", model, "an ONNX file")->required();
    return command;
  };
  add("kernels", "letterbox against the copy rate, decode and NMS against the network")->callback([&] {
    met = gantry::cuda::letterbox_share();
    met = gantry::cuda::detect_share(model) && met;
  });
  auto* warm = add("warm", "what warm batches allocate");
  warm->add_option("--batches", batches, "how many");
  warm->callback([&] { met = gantry::cuda::warm(model, batches); });
  auto* start = add("start", "how long a start takes");
  start->add_flag("--wait", wait, "for tuned kernels, which fills the plan file");
  start->add_option("--limit", limit, "seconds to the first boxes");
  start->callback([&] { met = gantry::cuda::start_up(model, wait, limit); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::printf("FAIL %s\n", error.what());
    return 1;
  }
  return met ? 0 : 1;
}
