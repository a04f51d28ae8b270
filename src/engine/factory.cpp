#include "gantry/engine/factory.hpp"

#include "gantry/core/errors.hpp"
#if defined(GANTRY_HAVE_OPENVINO)
#include "engine/openvino/backend.hpp"
#endif

namespace gantry::engine {

std::unique_ptr<Backend> make_backend(const ModelOptions& options) {
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
