#include "gantry/optimize/optimize.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/factory.hpp"
#include "gantry/vision/letterbox.hpp"
#if defined(GANTRY_HAVE_CUDA)
#include "gantry/engine/cuda/inference_engine.hpp"
#endif

namespace gantry {

#if defined(GANTRY_HAVE_CUDA)
namespace {

namespace fs = std::filesystem;

std::string text(engine::InputShape shape) {
  return std::to_string(shape.width) + "x" + std::to_string(shape.height);
}

/// The model's copy in the folder.
fs::path copy_into(const fs::path& folder, const fs::path& model) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw StartupError(folder.string() + ": can't be made: " + error.message());
  fs::path copy = folder / model.filename();
  if (fs::exists(copy, error) && fs::equivalent(copy, model, error)) return copy;
  fs::copy_file(model, copy, fs::copy_options::overwrite_existing, error);
  if (error) throw StartupError(copy.string() + ": can't be written: " + error.message());
  return copy;
}

OptimizedProfile profile_of(const cuda::ProfileReport& measured) {
  OptimizedProfile profile;
  profile.shape = measured.shape, profile.batch = measured.batch;
  profile.network_ms = measured.milliseconds;
  profile.images_per_second = measured.batch / measured.milliseconds * 1e3;
  profile.arena_bytes = measured.arena_bytes, profile.unshared_bytes = measured.unshared_bytes;
  profile.kernels = measured.kernels;
  for (const cuda::OpReport& op : measured.ops) {
    profile.bytes += op.bytes, profile.flops += op.flops;
    profile.floor_ms += op.floor_micros / 1e3;
  }
  return profile;
}

}  // namespace

OptimizeReport optimize(const OptimizeOptions& options) {
  GANTRY_EXPECTS(options.max_batch >= 1 && options.max_batch <= 64, "the engine runs batches of 1 to 64 pictures");
  const auto say = [&](const std::string& sentence) {
    if (options.progress) options.progress(sentence);
  };
  const auto start = std::chrono::steady_clock::now();
  OptimizeReport report;
  report.precision = options.precision;
  std::vector<engine::InputShape> shapes = options.shapes;
  // Before anything is written: does the model load, and is there a card?
  static_cast<void>(InferenceEngine::load({.model = options.model, .device = options.device, .cache_folder = {}}));
  report.model = copy_into(options.out, options.model).string();
  {
    const auto engine = InferenceEngine::load(
        {.model = report.model, .device = options.device, .cache_folder = options.out, .tune = true});
    report.plan_file = engine->plan_file();
    report.device = engine->device_name(), report.driver_version = engine->driver_version();
    const engine::ModelInfo& info = engine->model();
    if (shapes.empty()) {
      shapes.push_back(info.native_shape);
      const int size = std::max(info.native_shape.width, info.native_shape.height);
      const vision::InputSize rect = vision::rect_input(16 * size, 9 * size, size, info.stride);
      if (const engine::InputShape wide{rect.width, rect.height}; wide != info.native_shape) shapes.push_back(wide);
    }
    for (const engine::InputShape shape : shapes) {
      say("tuning " + text(shape) + " for batches of up to " + std::to_string(options.max_batch));
      engine->prepare(shape, options.max_batch);
      for (int batch = 1; engine->prepared(shape, batch); batch *= 2)
        report.profiles.push_back(profile_of(engine->benchmark(shape, batch)));
    }
  }
  // The way in which a server will load it; it measures latencies and leaves them in the plan file.
  engine::ModelOptions served;
  served.path = report.model;
  served.device = engine::Device::kCuda, served.device_index = options.device;
  const auto backend = engine::make_backend(served);
  for (const engine::InputShape shape : shapes) {
    say("measuring " + text(shape) + " from pictures to boxes");
    backend->prepare(shape, options.max_batch);
  }
  for (const engine::Profile& measured : backend->profiles())
    for (OptimizedProfile& profile : report.profiles)
      if (profile.shape == measured.shape && profile.batch == measured.batch)
        profile.latency_mean = measured.mean, profile.latency_p99 = measured.p99;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const fs::path file = fs::path(options.out) / "report.json";
  std::ofstream out(file, std::ios::binary);
  out << to_json(report);
  out.close();
  if (!out) throw StartupError(file.string() + ": can't be written");
  return report;
}
#else
OptimizeReport optimize(const OptimizeOptions& /*options*/) {
  throw DeviceError("this build of Gantry has no CUDA engine to optimize for: configure with -DGANTRY_ENABLE_CUDA=ON");
}
#endif

}  // namespace gantry
