// gantry_gpu_checks: the figures of the CUDA engine that are not the network's speed, on this machine's GPU.
//
//   gantry_gpu_checks kernels --model M.onnx   letterbox against the copy rate, decode and NMS against the network
//   gantry_gpu_checks warm --model M.onnx      what 10,000 warm batches allocate, on the host and on the card
//   gantry_gpu_checks start --model M.onnx     how long a start takes with the plan file as it is
//
// Every command prints its goal beside its figure and fails where it is missed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
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

/// Batches follow each other: the card never waits for the host.
bool letterbox_share(CudaPreprocessor::Measure measure, double copy) {
  constexpr int kPictures = 32, kWidth = 1280, kHeight = 720, kSets = 8;  // sets: so that nothing waits in the L2
  const std::size_t picture_bytes = static_cast<std::size_t>(kWidth) * kHeight * 3 / 2;
  const Stream stream = make_stream();
  std::vector<DeviceBuffer> sources, targets;
  std::vector<Image> images(static_cast<std::size_t>(kPictures * kSets));
  std::vector<std::vector<const Image*>> batches(kSets);
  const std::size_t target_bytes = static_cast<std::size_t>(kPictures) * kSquare.width * kSquare.height * 8;
  for (std::size_t set = 0; set < kSets; ++set) {
    sources.push_back(noise(picture_bytes * kPictures, static_cast<unsigned>(set)));
    targets.emplace_back(target_bytes);
    for (std::size_t i = 0; i < kPictures; ++i) {
      Image& image = images[set * kPictures + i];
      const auto* const at = sources.back().as<std::uint8_t>() + i * picture_bytes;
      image.width = kWidth, image.height = kHeight, image.format = PixelFormat::kNv12;
      image.space = MemorySpace::kDevice, image.device = 0;
      image.planes[0] = {at, kWidth}, image.planes[1] = {at + kWidth * kHeight, kWidth};
      batches[set].push_back(&image);
    }
  }
  CudaPreprocessor preprocessor(0, kPictures);
  const double micros = time_on(stream.get(), 30,
                                [&](int) {
                                  for (std::size_t set = 0; set < kSets; ++set)
                                    if (const auto done = preprocessor.run(batches[set], kSquare, targets[set].data(),
                                                                           stream.get(), measure);
                                        !done)
                                      throw DeviceError(done.error().message);
                                }) /
                        kSets;
  const double bytes = static_cast<double>(picture_bytes * kPictures + target_bytes), rate = bytes / micros * 1e6;
  char line[200];
  std::snprintf(
      line, sizeof line,
      "letterbox%s, 32 x 1280x720 NV12 to 640x640: %.1f us, %.0f GB/s = %.1f %% of the copy rate of %.0f GB/s "
      "(70 %%)",
      measure == CudaPreprocessor::Measure::kQuality ? " + quality" : "", micros, rate / 1e9, 100 * rate / copy,
      copy / 1e9);
  return goal(rate >= 0.7 * copy, line);
}

/// One object as a trained head sees it: the cells around its centre on the level of its size all give nearly its box.
struct SeenObject {
  int level, class_id;
  float x, y, width, height;  ///< centre and size, pixels of the input
};

/// 100 objects of a street on a loose grid: many small ones, some medium, few large.
std::vector<SeenObject> street(std::mt19937& random, int classes) {
  const auto uniform = [&](float low, float high) {
    return low + (high - low) * static_cast<float>(random() % 1000) / 1000.0F;
  };
  std::vector<SeenObject> objects;
  for (int i = 0; i < 100; ++i) {
    const int kind = i % 10, level = kind < 6 ? 0 : kind < 9 ? 1 : 2;
    const float width = level == 0 ? uniform(16, 56) : level == 1 ? uniform(48, 104) : uniform(96, 180);
    objects.push_back({level, static_cast<int>(random() % static_cast<unsigned>(classes)),
                       static_cast<float>(i % 10) * 64 + uniform(20, 44),
                       static_cast<float>(i / 10) * 64 + uniform(20, 44), width, width * uniform(0.7F, 1.3F)});
  }
  return objects;
}

/// Raw maps of 32 pictures of 100 objects each, every one seen by five cells; timed with decode and NMS alone.
bool detect_share(const std::string& model) {
  constexpr int kImages = 32, kObjects = 100, kClasses = 80, kBins = 16, kCells = 5;
  const auto engine = InferenceEngine::load(
      {.model = model, .device = 0, .lanes = 1, .cache_folder = default_cache_folder(), .tune = true});
  engine->prepare(kSquare, kImages);
  const double network = engine->benchmark(kSquare, kImages).milliseconds * 1e3;

  std::mt19937 random(5);
  std::vector<std::vector<SeenObject>> pictures;
  for (int image = 0; image < kImages; ++image) pictures.push_back(street(random, kClasses));
  DetectArgs args;
  args.level_count = 3, args.n = kImages, args.classes = kClasses, args.bins = kBins;
  std::vector<DeviceBuffer> maps;
  for (int l = 0; l < 3; ++l) {
    const int side = 80 >> l;
    const auto stride = static_cast<float>(8 << l);
    std::vector<__half> boxes(static_cast<std::size_t>(kImages) * side * side * 64),
        classes(static_cast<std::size_t>(kImages) * side * side * kClasses);
    for (auto& v : boxes) v = __float2half(static_cast<float>(random() % 256) / 256.0F);
    for (auto& v : classes) v = __float2half(-8.0F - static_cast<float>(random() % 256) / 128.0F);
    for (int image = 0; image < kImages; ++image)
      for (const SeenObject& object : pictures[static_cast<std::size_t>(image)]) {
        if (object.level != l) continue;
        constexpr int kAround[kCells][2] = {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}};
        for (int see = 0; see < kCells; ++see) {
          const int x = std::clamp(static_cast<int>(object.x / stride) + kAround[see][0], 0, side - 1);
          const int y = std::clamp(static_cast<int>(object.y / stride) + kAround[see][1], 0, side - 1);
          const std::size_t cell = (static_cast<std::size_t>(image) * side + y) * side + x;
          const float best = 2.5F - 0.3F * static_cast<float>(see) + static_cast<float>(random() % 100) / 500.0F;
          classes[cell * kClasses + static_cast<std::size_t>(object.class_id)] = __float2half(best);
          const float cell_x = static_cast<float>(x) + 0.5F, cell_y = static_cast<float>(y) + 0.5F;
          const float distances[4] = {
              cell_x - (object.x - object.width / 2) / stride, cell_y - (object.y - object.height / 2) / stride,
              (object.x + object.width / 2) / stride - cell_x, (object.y + object.height / 2) / stride - cell_y};
          for (int s = 0; s < 4; ++s) {  // the distribution's weight on the two bins around the distance
            const float distance = std::clamp(distances[s], 0.02F, kBins - 1.02F),
                        part = distance - std::floor(distance);
            const auto low = static_cast<int>(distance);
            for (int b = 0; b < kBins; ++b)
              boxes[cell * 64 + static_cast<std::size_t>(s * kBins + b)] =
                  __float2half(b == low       ? 12.0F + std::log(1 - part + 1e-3F)
                               : b == low + 1 ? 12.0F + std::log(part + 1e-3F)
                                              : 0.0F);
          }
        }
      }
    const auto put = [&](const std::vector<__half>& values) {
      maps.emplace_back(values.size() * sizeof(__half));
      check(cudaMemcpy(maps.back().data(), values.data(), maps.back().bytes(), cudaMemcpyHostToDevice), "upload");
      return maps.back().as<__half>();
    };
    args.levels[l] = {put(boxes), put(classes), 64, kClasses, side, side, stride, args.anchors};
    args.anchors += side * side;
  }
  const auto cells = static_cast<std::size_t>(kImages * args.anchors);
  const DeviceBuffer keys(cells * 8), boxes(cells * 16), ids(cells * 4), counts(kImages * 4),
      limits(kImages * sizeof(DetectLimits)), masks(kImages * 3 * 4), round(kImages * sizeof(NmsRound));
  const PinnedBuffer found(static_cast<std::size_t>(kImages) * kMaxDetections * sizeof(RawDetection)),
      found_counts(kImages * 4);
  const std::vector<DetectLimits> defaults(kImages, DetectLimits{0.25F, 0.7F, 300, 0});
  check(cudaMemcpy(limits.data(), defaults.data(), limits.bytes(), cudaMemcpyHostToDevice), "upload");
  check(cudaMemset(masks.data(), 0xFF, masks.bytes()), "memset");
  check(cudaMemset(counts.data(), 0, counts.bytes()), "memset");
  args.limits = limits.as<DetectLimits>(), args.class_masks = masks.as<std::uint32_t>();
  args.keys = keys.as<std::uint64_t>(), args.boxes = boxes.as<float4>(), args.ids = ids.as<std::int32_t>();
  args.round = round.as<NmsRound>();
  args.counts = counts.as<std::int32_t>(), args.detections = found.as<RawDetection>();
  args.detection_counts = found_counts.as<std::int32_t>();
  check(cudaDeviceSynchronize(), "upload");

  const Stream stream = make_stream();
  LaunchShape shape;
  shape.multiprocessors = describe_device(0).multiprocessors;
  check(launch_decode(args, shape, stream.get()), "decode");
  check(launch_rank(args, shape, stream.get()), "rank");
  check(launch_nms(args, shape, stream.get()), "nms");
  check(cudaStreamSynchronize(stream.get()), "decode and NMS");
  bool right = true;
  std::int64_t boxes_left = 0;
  for (int i = 0; i < kImages; ++i) {
    const std::int32_t number = found_counts.as<std::int32_t>()[i];
    right = right && number >= kObjects * 9 / 10 && number <= kObjects * 11 / 10;  // some hide each other
    boxes_left += number;
  }
  const auto time_graph = [&](auto behind_decode) {
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "capture");
    check(launch_decode(args, shape, stream.get()), "decode");
    behind_decode();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream.get(), &graph), "capture");
    const Graph owned(graph);
    cudaGraphExec_t exec = nullptr;
    check(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
    const GraphExec executable(exec);
    return time_replays(exec, stream.get(), 100) * 1e3;
  };
  const double decode = time_graph([&] {  // which counts up from zero
    check(cudaMemsetAsync(counts.data(), 0, counts.bytes(), stream.get()), "memset");
  });
  const double micros = time_graph([&] {
    LaunchShape chained = shape;
    chained.programmatic = true;
    check(launch_rank(args, chained, stream.get()), "rank");
    check(launch_nms(args, chained, stream.get()), "nms");
  });
  char line[260];
  std::snprintf(line, sizeof line,
                "decode + NMS, 32 x 100 objects (500 candidates): %.1f us (decode with a memset %.1f) = %.1f %% of the "
                "network's %.1f us (3 %%); %.1f boxes a picture%s",
                micros, decode, 100 * micros / network, network, static_cast<double>(boxes_left) / kImages,
                right ? "" : ": WRONG");
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
    using Measure = gantry::cuda::CudaPreprocessor::Measure;
    const double copy = gantry::cuda::copy_rate(gantry::cuda::make_stream().get());
    met = gantry::cuda::letterbox_share(Measure::kNothing, copy);
    met = gantry::cuda::letterbox_share(Measure::kQuality, copy) && met;
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
