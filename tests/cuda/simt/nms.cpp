// The kernels of nms.cu, for a CPU.
#include "engine/cuda/kernels/nms.cu"
#include "cuda/simt/simt.hpp"
