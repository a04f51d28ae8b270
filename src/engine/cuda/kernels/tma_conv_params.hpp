#pragma once
// What a launch of tma_conv.hpp hands to its kernel.
#include <cuda.h>

#include "engine/cuda/kernels/tma_conv.hpp"

namespace gantry::cuda {

/// By value into the kernel.
struct TmaConvParams {
  CUtensorMap maps[kMaxConvSources];
  ConvArgs conv;
  int flat;              ///< units are 64 pixels in a row of the whole batch
  int units_x, units_y;  ///< of an image, where not flat
  int tiles;
  int chunks;  ///< of CK input channels
  int slabs, steps;
  int tail_bytes;              ///< of the tail's weights
  int slab_slots, step_slots;  ///< of the two rings; all steps have a slot: weights are loaded once a block
};

}  // namespace gantry::cuda
