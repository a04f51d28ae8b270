#pragma once
// A picture into the network's input: scaled to fit, centred on grey 114, R, G, B planes of float 0…1, pixel for pixel
// what Ultralytics' LetterBox makes with OpenCV's INTER_LINEAR (11-bit fixed-point weights).
//
// The geometry and the reference are pure functions. A Letterboxer keeps its tables and scratch rows from picture to
// picture: one a thread, no allocation while sizes stay the same.
#include <cstdint>
#include <memory>

#include "gantry/core/detection.hpp"
#include "gantry/core/image.hpp"

namespace gantry::vision {

inline constexpr std::uint8_t kPadding = 114;

/// Where a source picture lies inside the input. Pixels throughout.
struct LetterboxGeometry {
  int source_width = 0, source_height = 0;
  int input_width = 0, input_height = 0;
  int inner_width = 0, inner_height = 0;  ///< the scaled picture
  int left = 0, top = 0;                  ///< its place; what remains is padding
  double scale = 1;                       ///< input pixels a source pixel
  friend bool operator==(const LetterboxGeometry&, const LetterboxGeometry&) = default;
};

struct InputSize {
  int width = 0, height = 0;
  friend bool operator==(const InputSize&, const InputSize&) = default;
};

/// @pre every side is positive
[[nodiscard]] LetterboxGeometry letterbox_geometry(int source_width, int source_height, int input_width,
                                                   int input_height);

/// The smallest input whose sides are multiples of `stride` that holds the picture scaled to fit image_size x
/// image_size: Ultralytics' `rect`. 1280x720 at 640 gives 640x384.
[[nodiscard]] InputSize rect_input(int source_width, int source_height, int image_size, int stride);

/// A box in input pixels, in pixels of the source picture and clipped to it.
[[nodiscard]] Box to_source(const LetterboxGeometry& geometry, const Box& box) noexcept;

/// Plain reference. Writes input_height * input_width * 3 floats, [3][height][width], R first.
/// @pre image has the geometry's source size and lies in host memory
void letterbox_reference(const Image& image, const LetterboxGeometry& geometry, float* planes);

/// The fast way from any pixel format straight to the input: row by row through the cache, AVX2 where the processor has
/// it. Bit-equal to letterbox_reference.
class Letterboxer {
 public:
  enum class Path { kAuto, kPortable };  ///< kPortable leaves special instructions out
  explicit Letterboxer(Path path = Path::kAuto);
  ~Letterboxer();
  Letterboxer(const Letterboxer&) = delete;
  Letterboxer& operator=(const Letterboxer&) = delete;

  /// As letterbox_reference. `padded` says that the padding around the inner picture is in `planes` already, from an
  /// earlier picture of the same geometry, and need not be written again.
  void run(const Image& image, const LetterboxGeometry& geometry, float* planes, bool padded = false);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gantry::vision
