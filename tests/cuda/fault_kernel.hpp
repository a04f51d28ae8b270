#pragma once
#include <cuda_runtime_api.h>

namespace gantry::test {

/// Makes every later CUDA call of this process fail, and returns with what.
cudaError_t break_this_card();

}  // namespace gantry::test
