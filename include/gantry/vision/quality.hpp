#pragma once
// How usable a camera's picture is: a few figures a frame for the camera's health, from some ten thousand samples of
// brightness, so that it costs tens of microseconds whatever the size.
//
// Pictures that lie on a card are measured where they are letterboxed (letterbox_quality.hpp); what that means is
// judged here as well.
//
// One QualityMeter a camera, used by one thread at a time; after the first picture of a size it allocates nothing.
#include <cstdint>
#include <optional>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/image.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::vision {

struct QualityOptions {
  float covered_contrast = 0.02F;   ///< below this contrast and …
  float covered_sharpness = 0.01F;  ///< … below this sharpness the lens counts as covered
  /// Pictures that differ by less than this, as the mean difference of a sample, show the same scene at the same
  /// moment: a sensor's noise alone is more.
  float frozen_difference = 0.0005F;
  Duration frozen_after = std::chrono::seconds(5);  ///< of such pictures in a row
};

/// Figures are fractions of the full range of luma, 0…1.
struct Quality {
  float brightness = 0;  ///< mean
  float contrast = 0;    ///< standard deviation
  float sharpness = 0;   ///< mean step between neighbouring pixels; blur, fog and dirt lower it
  bool covered = false;  ///< nearly nothing to see
  bool frozen = false;   ///< the same picture again and again
};

class QualityMeter {
 public:
  explicit QualityMeter(const QualityOptions& options = {}) : options_(options) {}

  /// `at` is when the picture was captured; pictures come in order.
  /// @pre image lies in host memory
  [[nodiscard]] Quality measure(const Image& image, TimePoint at);
  /// The same of a picture whose letterboxing has measured it. Figures that are all as they were are taken for the same
  /// picture: a sensor's noise alone changes them.
  [[nodiscard]] Quality measure(const LetterboxQuality& measured, TimePoint at);

 private:
  [[nodiscard]] Quality judge(Quality figures, bool changed, TimePoint at);

  QualityOptions options_;
  std::optional<LetterboxQuality> measured_;  ///< of the picture before, where letterboxing has
  int width_ = 0, height_ = 0;
  std::vector<std::uint8_t> samples_;  ///< of the picture before
  TimePoint unchanged_since_{};
};

}  // namespace gantry::vision
