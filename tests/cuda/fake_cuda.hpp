#pragma once
// A CUDA runtime without a GPU, for tests: linked in the real one's place, it gives memory from the host's heap, takes
// kernels without running them, and fails where it is told to. Captured graphs replay in order; the NMS kernel alone
// does something: it answers with one box a picture, so that results can be followed to their owner.
//
// What the engine decides around its kernels (memory, plan files, tuning, exchange of graphs, faults) runs on it as it
// is. A function that is missing here is a link error of the test.
#include <cstddef>
#include <cstdint>
#include <string>

namespace gantry::test::fake_cuda {

/// The card and its driver. Set before the engine looks at it.
struct Card {
  int count = 1;
  std::string name = "Fake GPU";
  int major = 9, minor = 0;
  int multiprocessors = 4;
  std::size_t memory_bytes = std::size_t{4} << 30;
  std::size_t l2_bytes = std::size_t{8} << 20;
  int driver_version = 13000;
  bool driver_too_old = false;  ///< as cudaGetDeviceCount says it
  std::string pci_bus_id = "0000:1B:00.0";
  std::string refuses;  ///< kernels whose mangled names hold this are not launched; empty: none
};

/// What has been asked of it since reset().
struct Counts {
  std::uint64_t allocations = 0;  ///< cudaMalloc and cudaHostAlloc
  std::uint64_t frees = 0;
  std::uint64_t launches = 0;      ///< kernels outside captures
  std::uint64_t replays = 0;       ///< graphs
  std::uint64_t instantiated = 0;  ///< graphs
  std::size_t bytes = 0;           ///< held on the card now
};

void reset(const Card& card = {});
[[nodiscard]] Counts counts();
/// From here on every call fails as after an illegal access, until reset().
void break_card();
/// The box that NMS answers for every picture whose threshold lets it pass: confidence 0.9, class 1.
inline constexpr float kBox[4] = {8, 8, 24, 40};

}  // namespace gantry::test::fake_cuda
