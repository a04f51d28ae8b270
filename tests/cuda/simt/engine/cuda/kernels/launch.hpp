#pragma once
// Stands for the kernels' launch.hpp where their source runs on a CPU: a launch is a call that returns when the grid
// has run. See simt.hpp.
#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/simt/simt.hpp"

namespace gantry::cuda {

struct LaunchShape {
  int multiprocessors = 0;
  bool programmatic = false;
};

template <typename Args>
cudaError_t launch_grid(void (*kernel)(Args), const Args& args, dim3 grid, int threads, std::size_t /*shared_bytes*/,
                        const LaunchShape& /*shape*/, cudaStream_t /*stream*/) {
  test::simt::run(grid, threads, [&] { kernel(args); });
  return cudaSuccess;
}

}  // namespace gantry::cuda
