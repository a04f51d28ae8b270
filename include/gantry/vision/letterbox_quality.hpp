#pragma once
// How usable a picture is, out of the pixels that letterboxing makes anyway: no second read of the picture. The GPU's
// letterbox sums these up on its way (CudaPreprocessor); the reference here is its gold.
//
// Brightness of a pixel is (77 R + 150 G + 29 B) / 256 of the letterboxed bytes, rounded down. All sums are integers,
// so that nothing depends on their order. QualityMeter reads full pictures in host memory instead and also knows a
// frozen camera; its figures are alike, not equal.
//
// Owner: none, pure functions. Thread-safe.
#include <cstdint>

#include "gantry/vision/letterbox.hpp"

namespace gantry::vision {

/// Parts of the network's input that are judged as one: covered or not.
inline constexpr int kQualityColumns = 64, kQualityRows = 32;

/// Over the pixels of the picture, without padding.
struct QualityTotals {
  std::uint64_t sum = 0;      ///< of brightness
  std::uint64_t squares = 0;  ///< of its squares
  /// Of steps between neighbours: columns 2k and 2k + 1 of the input, rows 4k + i and 4k + i + 1 for i = 0, 1, 2.
  std::uint64_t steps = 0;
  std::uint64_t covered = 0;  ///< pixels in parts with nearly nothing to see
  friend bool operator==(const QualityTotals&, const QualityTotals&) = default;
};

/// Fractions, 0…1.
struct LetterboxQuality {
  float brightness = 0;  ///< mean
  float contrast = 0;    ///< standard deviation
  float sharpness = 0;   ///< mean step between neighbouring pixels; blur, fog and dirt lower it
  float covered = 0;     ///< how much of the picture shows nearly nothing: a lens that is taped over, sprayed, in fog
  friend bool operator==(const LetterboxQuality&, const LetterboxQuality&) = default;
};

/// Whether a part of `pixels` pixels and `step_count` steps shows nearly nothing: a standard deviation below 2 % and a
/// mean step below 1 % of the full range, as QualityOptions has it for whole pictures.
[[nodiscard]] constexpr bool quality_covered(std::uint64_t pixels, std::uint64_t sum, std::uint64_t squares,
                                             std::uint64_t steps, std::uint64_t step_count) noexcept {
  return 10'000 * (pixels * squares - sum * sum) < 510 * 510 * pixels * pixels && 100 * steps < 255 * step_count;
}

[[nodiscard]] LetterboxQuality letterbox_quality(const QualityTotals& totals,
                                                 const LetterboxGeometry& geometry) noexcept;

/// Plain reference: the totals of what letterbox_reference wrote.
[[nodiscard]] QualityTotals letterbox_quality_reference(const float* planes, const LetterboxGeometry& geometry);

}  // namespace gantry::vision
