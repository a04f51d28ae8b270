#pragma once
// Launching kernels whose blocks walk over tiles. Host-side header.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>

namespace gantry::cuda {

struct LaunchShape {
  int multiprocessors = 0;
  bool programmatic = false;  ///< programmatic dependent launch: the kernel may start before its predecessor ends
};

/// Launches `kernel(args)` with any grid. Asynchronous on `stream`.
template <typename Args>
cudaError_t launch_grid(void (*kernel)(Args), const Args& args, dim3 grid, int threads, std::size_t shared_bytes,
                        const LaunchShape& shape, cudaStream_t stream) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = shape.programmatic ? 1 : 0;
  void* arguments[] = {const_cast<Args*>(&args)};
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), arguments);
}

/// Allows the kernel `shared_bytes` of dynamic shared memory a block; needed above 48 KB.
template <typename Args>
cudaError_t allow_shared(void (*kernel)(Args), std::size_t shared_bytes) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shared_bytes));
}

/// Launches a grid that fills the chip at most once: blocks.x × columns. The kernel walks tiles blockIdx.x, +
/// gridDim.x, …, so that neighbouring blocks, which land on different multiprocessors, share the last round.
template <typename Args>
cudaError_t launch_persistent(void (*kernel)(Args), const Args& args, int tiles, int columns, int threads,
                              std::size_t shared_bytes, const LaunchShape& shape, cudaStream_t stream) {
  if (const cudaError_t error = allow_shared(kernel, shared_bytes); error != cudaSuccess) return error;
  int resident = 0;
  const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      &resident, reinterpret_cast<const void*>(kernel), threads, shared_bytes);
  if (error != cudaSuccess) return error;
  if (resident == 0) return cudaErrorInvalidConfiguration;
  const int slots = std::max(1, shape.multiprocessors * resident / columns);
  const int blocks = std::min(tiles, slots);
  return launch_grid(kernel, args, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(columns)), threads,
                     shared_bytes, shape, stream);
}

}  // namespace gantry::cuda
