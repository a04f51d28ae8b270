#pragma once
// Pictures from anywhere into the network's input on the card: uploads what lies in host memory, then letterboxes up to
// 64 pictures in one launch, bit for bit like vision::letterbox_reference (as FP16). On request the same pass measures
// how usable each picture is.
//
// One preprocessor a lane; not thread-safe. It keeps pinned and device staging, which grow while larger pictures than
// before arrive and then stay: no allocation once warm. Nothing is synchronised: pictures in pinned or device memory
// must live until `stream` has passed; pictures in plain host memory are copied before run() returns.
//
// Owner: engine/cuda. The reference and the geometry are vision's.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "gantry/core/image.hpp"
#include "gantry/core/result.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::cuda {

struct PreprocessStats {
  std::uint64_t pictures = 0;
  std::uint64_t launches = 0;
  std::uint64_t uploaded_bytes = 0;  ///< from host to card
  std::uint64_t copied_bytes = 0;    ///< from plain to pinned host memory, by this thread
  std::size_t staging_bytes = 0;     ///< held, host and device each
};

class CudaPreprocessor {
 public:
  enum class Measure { kNothing, kQuality };

  /// @throws DeviceError
  CudaPreprocessor(int device, int max_pictures);
  ~CudaPreprocessor();
  CudaPreprocessor(const CudaPreprocessor&) = delete;
  CudaPreprocessor& operator=(const CudaPreprocessor&) = delete;

  /// Writes halves [pictures][shape.height][shape.width][4] to `out` (device, 16-byte aligned) on `stream` (a
  /// cudaStream_t). The previous run() must have passed its stream. kInvalid for more pictures than max_pictures or a
  /// picture on another card; kDevice where the card fails.
  /// @pre shape.width is even
  [[nodiscard]] Result<void> run(std::span<const Image* const> pictures, engine::InputShape shape, void* out,
                                 void* stream, Measure measure = Measure::kNothing);
  /// Of one picture of the last run, which was asked for kQuality and has passed its stream.
  /// @pre picture is one of that run's
  [[nodiscard]] vision::LetterboxQuality quality(std::size_t picture) const;
  [[nodiscard]] PreprocessStats stats() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::cuda
namespace gantry {
using cuda::CudaPreprocessor;
}
