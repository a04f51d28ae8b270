#pragma once
// Whether calibration pictures have red and blue exchanged: the commonest fault of home-made picture sets.
#include "gantry/engine/backend.hpp"
#include "gantry/precision/samples.hpp"

namespace gantry::precision {

/// Shares of pixels, letterbox included, in which green is strongest and red and blue differ clearly.
struct Greens {
  double yellowish = 0;  ///< more red than blue, as leaves and grass are
  double bluish = 0;     ///< more blue than red, which hardly anything outdoors is
};
[[nodiscard]] Greens count_greens(const Samples& samples);

/// True where the float model sees clearly more (sum of confidences above 0.25, by a tenth) with the channels
/// exchanged; or where it sees more at all and the greens say the same, by twice. A model that was trained to bear odd
/// colours hardly tells, and a camera with a blue cast has bluish greens, but not both at once.
[[nodiscard]] bool looks_swapped(engine::Backend& float_model, const Samples& samples);

}  // namespace gantry::precision
