// The kernels of detect.cu, for a CPU.
#include "engine/cuda/kernels/detect.cu"
#include "cuda/simt/simt.hpp"
