// A hundred cameras of 1280x720 through Gantry as a library, one in twenty urgent; on a GPU where there is one and on
// the CPU otherwise, where it asks for one frame a second and gives each ten times as long.
//   hundred_cameras MODEL.onnx [SECONDS] [FRAMES A SECOND OF EACH CAMERA]
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "gantry/app/library.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/factory.hpp"
#include "gantry/memory/gpu.hpp"
#include "gantry/memory/memory_manager.hpp"

namespace {

using std::chrono::milliseconds;

constexpr int kCameras = 100;
constexpr int kWidth = 1280, kHeight = 720;
constexpr std::size_t kFrameBytes = std::size_t{kWidth} * kHeight * 3 / 2;

/// A grey street with one bright car in it, somewhere else for each camera.
void draw(std::uint8_t* nv12, int camera) {
  std::fill_n(nv12, kFrameBytes, std::uint8_t{128});
  for (int y = 300; y < 420; ++y)
    std::fill_n(nv12 + y * kWidth + 10 * camera, 200, static_cast<std::uint8_t>(y < 340 ? 60 : 220));
}

gantry::Frame frame_of(const gantry::memory::Lease& picture, gantry::MemorySpace space) {
  gantry::Frame frame;
  frame.image.width = kWidth;
  frame.image.height = kHeight;
  frame.image.space = space;
  frame.image.planes[0] = {picture.data, kWidth};
  frame.image.planes[1] = {picture.data + std::size_t{kWidth} * kHeight, kWidth};
  frame.pixels = picture.storage;  // shared, read only: nothing is copied
  return frame;
}

int run(const char* model, double seconds, double rate) {
  gantry::System system(gantry::engine::make_backend({.path = model}));
  const auto device = system.backend().capabilities();
  const bool on_gpu = device.device_frames;
  const auto space = on_gpu ? gantry::MemorySpace::kPinned : gantry::MemorySpace::kHost;
  if (rate <= 0) rate = on_gpu ? 30 : 1;

  // Every camera's picture, in memory that the device reads at full speed.
  gantry::MemoryOptions pools;
  (on_gpu ? pools.pinned : pools.host) = {{kFrameBytes, kCameras}};
  gantry::MemoryManager memory(on_gpu ? gantry::memory::open_gpu(device.device_index) : nullptr, pools);
  std::vector<gantry::memory::Lease> pictures;
  for (int camera = 0; camera < kCameras; ++camera) {
    auto lease = memory.tensor({{kHeight * 3 / 2, kWidth}, gantry::DataType::kUint8, space});
    if (!lease) throw gantry::DeviceError(lease.error().message);
    draw(lease->data, camera);
    pictures.push_back(std::move(*lease));
  }

  std::atomic<std::uint64_t> boxes{0};
  system.initialise({.on_answer = [&](const gantry::FrameAnswer& answer) { boxes += answer.detections->size(); }});
  system.prepare(kWidth, kHeight);

  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::duration_cast<gantry::Duration>(std::chrono::duration<double>(seconds));
  const auto period = std::chrono::duration_cast<gantry::Duration>(std::chrono::duration<double>(1 / rate));
  std::vector<std::thread> cameras;
  for (int camera = 0; camera < kCameras; ++camera)
    cameras.emplace_back([&, camera] {
      const bool urgent = camera % 20 == 0;
      for (auto due = start + period * camera / kCameras; due < end; due += period) {
        std::this_thread::sleep_until(due);
        system.process(frame_of(pictures[static_cast<std::size_t>(camera)], space),
                       static_cast<gantry::CameraId>(camera),
                       urgent ? gantry::Priority::kUrgent : gantry::Priority::kNormal,
                       (urgent ? milliseconds(100) : milliseconds(200)) * (on_gpu ? 1 : 10));
      }
    });
  for (std::thread& camera : cameras) camera.join();
  system.shut_down();

  const gantry::SystemMetrics metrics = system.metrics();
  std::printf("%s, %d cameras of %dx%d at %.1f frames/s for %.1f s\n", device.device.c_str(), kCameras, kWidth, kHeight,
              rate, seconds);
  std::printf("answered %.1f frames/s; %llu frames in, %llu in time, %llu late, %llu dropped; %llu boxes\n",
              static_cast<double>(metrics.frames.published()) / seconds,
              static_cast<unsigned long long>(metrics.frames.received),
              static_cast<unsigned long long>(metrics.frames[gantry::Outcome::kPublished]),
              static_cast<unsigned long long>(metrics.frames[gantry::Outcome::kPublishedLate]),
              static_cast<unsigned long long>(metrics.frames.dropped()), static_cast<unsigned long long>(boxes.load()));
  for (const auto priority : {gantry::Priority::kUrgent, gantry::Priority::kNormal}) {
    const auto& latency = metrics.latency[static_cast<std::size_t>(priority)];
    std::printf("%-7s latency, ms: p50 %.1f, p99 %.1f, p99.9 %.1f\n", gantry::to_string(priority), latency.p50_ms,
                latency.p99_ms, latency.p999_ms);
  }
  std::printf("%llu batches of %.1f frames; %.2f of them at a time\n", static_cast<unsigned long long>(metrics.batches),
              metrics.mean_batch, metrics.busy);
  std::printf("%s", gantry::format_table(memory.stats()).c_str());
  return metrics.frames.received == metrics.frames.published() + metrics.frames.dropped() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: hundred_cameras MODEL.onnx [SECONDS] [FRAMES A SECOND OF EACH CAMERA]\n");
    return 2;
  }
  try {
    return run(argv[1], argc > 2 ? std::atof(argv[2]) : 10, argc > 3 ? std::atof(argv[3]) : 0);
  } catch (const gantry::StartupError& error) {
    std::fprintf(stderr, "hundred_cameras: %s\n", error.what());
    return 2;
  }
}
