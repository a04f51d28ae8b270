#include "cuda/fault_kernel.hpp"

namespace gantry::test {

namespace {
/// What: stores to an address that belongs to nobody, for tests of what a broken card does to the program
__global__ void store_to_nowhere_kernel(int* nowhere) {
  *nowhere = 1;
}
}  // namespace

cudaError_t break_this_card() {
  store_to_nowhere_kernel<<<1, 1>>>(reinterpret_cast<int*>(64));
  return cudaDeviceSynchronize();
}

}  // namespace gantry::test
