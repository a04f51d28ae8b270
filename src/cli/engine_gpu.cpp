#include "cli/engine_gpu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "cli/common_options.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

#if defined(GANTRY_HAVE_CUDA)
/// Nothing where the choice leaves it open and there is no card.
std::unique_ptr<InferenceEngine> engine_for(const std::string& device, const std::string& model) {
  const auto [kind, index] = *parse_device(device);
  if (kind == engine::Device::kCpu) return nullptr;
  try {
    return InferenceEngine::load(
        {.model = model, .device = index, .cache_folder = cuda::default_cache_folder(), .tune = true});
  } catch (const DeviceError&) {
    if (kind == engine::Device::kCuda) throw;
    return nullptr;
  }
}
#else
void refuse(const std::string& device) {
  if (parse_device(device)->first == engine::Device::kCuda)
    throw DeviceError("this build of Gantry has no CUDA engine: configure with -DGANTRY_ENABLE_CUDA=ON");
}
#endif

}  // namespace

#if defined(GANTRY_HAVE_CUDA)
std::optional<cuda::ProfileReport> measure_on_gpu(const std::string& device, const std::string& model,
                                                  engine::InputShape shape, int batch) {
  const auto engine = engine_for(device, model);
  if (engine == nullptr) return std::nullopt;
  engine->prepare(shape, batch);
  return engine->benchmark(shape, batch);
}

std::optional<std::vector<graph::LayerError>> check_on_gpu(const std::string& device, const std::string& model,
                                                           engine::InputShape shape, std::span<const float> pictures,
                                                           const graph::LayerCheck& reference, graph::CheckMode mode) {
  const auto engine = engine_for(device, model);
  if (engine == nullptr) return std::nullopt;
  const auto pixels = static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height);
  engine->prepare(shape, static_cast<int>(pictures.size() / (3 * pixels)));
  return engine->check_layers(reference, shape, pictures, mode);
}
#else
std::optional<cuda::ProfileReport> measure_on_gpu(const std::string& device, const std::string& /*model*/,
                                                  engine::InputShape /*shape*/, int /*batch*/) {
  refuse(device);
  return std::nullopt;
}

std::optional<std::vector<graph::LayerError>> check_on_gpu(const std::string& device, const std::string& /*model*/,
                                                           engine::InputShape /*shape*/,
                                                           std::span<const float> /*pictures*/,
                                                           const graph::LayerCheck& /*reference*/,
                                                           graph::CheckMode /*mode*/) {
  refuse(device);
  return std::nullopt;
}
#endif

void print_measured(const cuda::ProfileReport& report) {
  struct Sum {
    double micros = 0, floor = 0;
    int runs = 0;
  };
  std::map<std::string, Sum> kinds;
  Sum all;
  fmt::print("\nmeasured alone on the GPU\n{:>9} {:>9} {:>6}  {}\n", "us", "floor us", "times", "node | kernel");
  for (const cuda::OpReport& op : report.ops) {
    if (op.micros > 0)
      fmt::print("{:>9.2f} {:>9.2f} {:>6.1f}  {} | {}\n", op.micros, op.floor_micros, op.micros / op.floor_micros,
                 op.name, op.kernel);
    else  // one way, one variant: nothing to choose, so nobody measured
      fmt::print("{:>9} {:>9.2f} {:>6}  {} | {}\n", "-", op.floor_micros, "-", op.name, op.kernel);
    Sum& kind = kinds[op.kernel.substr(0, op.kernel.find(' '))];
    kind.micros += op.micros, kind.floor += op.floor_micros, ++kind.runs;
    all.micros += op.micros, all.floor += op.floor_micros;
  }
  std::vector<std::pair<std::string, Sum>> sorted(kinds.begin(), kinds.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.micros > b.second.micros; });
  fmt::print("\nwhere the time goes\n{:>9} {:>9} {:>5} {:>5}  {}\n", "us", "floor us", "share", "runs", "kernel");
  for (const auto& [kind, sum] : sorted)
    fmt::print("{:>9.2f} {:>9.2f} {:>4.0f}% {:>5}  {}\n", sum.micros, sum.floor, 100 * sum.micros / all.micros,
               sum.runs, kind);
  fmt::print("{:>9.2f} {:>9.2f}   sum of {} kernels alone\n{:>9.2f}   the whole network, batch {}: {:.0f} images/s\n",
             all.micros, all.floor, report.kernels, report.milliseconds * 1e3, report.batch,
             report.batch / report.milliseconds * 1e3);
}

}  // namespace gantry::cli
