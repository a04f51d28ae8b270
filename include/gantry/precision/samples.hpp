#pragma once
// Calibration pictures: drawn evenly from folders and videos, letterboxed exactly as at run time, kept as bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/engine/graph/graph.hpp"

namespace gantry::precision {

struct Sample {
  std::string name;                  ///< file, or "video.mp4#frame"
  std::vector<std::uint8_t> planes;  ///< [3][height][width], R first
};

struct Samples {
  engine::InputShape shape;
  std::vector<Sample> pictures;  ///< in the order in which they were drawn
  std::string digest;            ///< of all pixels, 16 hex digits
};

/// Draws up to `count` pictures of `inputs`: folders (searched with their subfolders, each an equal share, within one
/// evenly over the sorted names: cameras, hours and scenes lie apart there), single pictures and videos (an equal
/// share each, evenly over time). The same files give the same samples.
/// @throws MediaError for what can't be read; StartupError where nothing is found
[[nodiscard]] Samples read_samples(const std::vector<std::string>& inputs, std::size_t count, engine::InputShape shape);

/// The least number of pictures that say something about ranges.
inline constexpr std::size_t kLeastSamples = 16;
/// @throws StartupError: fewer than kLeastSamples, or more than a tenth of them without contrast (black, covered)
void refuse_useless(const Samples& samples);

/// [1][3][height][width], 0…1: the network's input.
[[nodiscard]] graph::Tensor as_input(const Samples& samples, std::size_t index);
/// The picture as a frame of packed pixels, red and blue exchanged where `swapped`.
[[nodiscard]] Frame as_frame(const Samples& samples, std::size_t index, bool swapped = false);

}  // namespace gantry::precision
