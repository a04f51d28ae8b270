#include "gantry/engine/factory.hpp"

#include <spdlog/spdlog.h>

#include "gantry/core/errors.hpp"
#if defined(GANTRY_HAVE_CUDA)
#include "engine/cuda/backend.hpp"
#include "engine/cuda/device.hpp"
#endif
#if defined(GANTRY_HAVE_OPENVINO)
#include "engine/openvino/backend.hpp"
#endif

namespace gantry::engine {

#if defined(GANTRY_HAVE_CUDA)
namespace {

/// kAuto takes the card where there is a usable one and it runs the model; otherwise nothing.
std::unique_ptr<Backend> on_card_if_possible(const ModelOptions& options) {
  if (!options.path.ends_with(".onnx")) return nullptr;
  try {
    static_cast<void>(cuda::describe_device(options.device_index));
  } catch (const DeviceError&) {
    return nullptr;
  }
  try {
    return cuda::make_cuda_backend(options);
  } catch (const StartupError& error) {
    spdlog::warn("the CPU runs {}, since the GPU can't: {}", options.path, error.what());
    return nullptr;
  }
}

}  // namespace
#endif

int gpu_count() noexcept {
#if defined(GANTRY_HAVE_CUDA)
  return cuda::device_count();
#else
  return 0;
#endif
}

std::unique_ptr<Backend> make_backend(const ModelOptions& options) {
#if defined(GANTRY_HAVE_CUDA)
  if (options.device == Device::kCuda) return cuda::make_cuda_backend(options);
  if (options.device == Device::kAuto)
    if (auto backend = on_card_if_possible(options)) return backend;
#endif
  if (options.device == Device::kCuda) {
    throw DeviceError(
        "this build of Gantry has no CUDA engine: configure with -DGANTRY_ENABLE_CUDA=ON, or use the CPU");
  }
#if defined(GANTRY_HAVE_OPENVINO)
  return openvino::make_openvino_backend(options);
#else
  throw DeviceError("this build of Gantry has no CPU engine: configure with -DGANTRY_ENABLE_OPENVINO=ON");
#endif
}

}  // namespace gantry::engine
