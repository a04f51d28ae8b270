// The kernels of letterbox.cu, for a CPU.
#include "engine/cuda/kernels/letterbox.cu"
#include "cuda/simt/simt.hpp"
