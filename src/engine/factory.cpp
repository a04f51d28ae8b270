#include "gantry/engine/factory.hpp"

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

/// kAuto takes the card where there is a usable one and the model is one that it runs.
bool card_for(const ModelOptions& options) {
  if (options.device != Device::kAuto || !options.path.ends_with(".onnx")) return false;
  try {
    static_cast<void>(cuda::describe_device(options.device_index));
    return true;
  } catch (const DeviceError&) {
    return false;
  }
}

}  // namespace
#endif

std::unique_ptr<Backend> make_backend(const ModelOptions& options) {
#if defined(GANTRY_HAVE_CUDA)
  if (options.device == Device::kCuda || card_for(options)) return cuda::make_cuda_backend(options);
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
