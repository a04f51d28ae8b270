#pragma once
// Compares, layer by layer, whatever runs a Plan with a float32 run of the unfused graph. Reading is thread-safe.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/reference.hpp"

namespace gantry::graph {

/// The largest difference between one result of one op and the float32 run.
struct LayerError {
  int op = 0;
  std::string node;
  std::string tensor;
  double difference = 0;                     ///< largest; NaN where the result holds one
  double scale = 0;                          ///< largest magnitude in the float32 run
  int image = 0, y = 0, x = 0, channel = 0;  ///< where
  float expected = 0, found = 0;             ///< there
  /// Results that the plan rounds to 8-bit steps, and those of them that are more than one step away: of all images.
  std::size_t rounded = 0, beyond_a_step = 0;

  /// Difference over scale.
  [[nodiscard]] double relative() const noexcept;
  /// False for NaN.
  [[nodiscard]] bool within(double tolerance) const noexcept { return relative() <= tolerance; }
};

/// What the file's own decode says against Gantry's decode of the float32 run's raw maps.
struct DecodeError {
  double box = 0;    ///< pixels, over anchors of score above 0.25
  double score = 0;  ///< over all anchors
};

/// The float32 run of the unfused graph on one batch, kept for comparing.
class LayerCheck {
 public:
  /// `images_nchw` is [batch][3][height][width] of the plan's shape, 0…1. `plan` is used while constructing only.
  LayerCheck(const Model& model, const Plan& plan, std::span<const float> images_nchw, int batch);

  /// The float32 result that belongs in output `output` of op `op`, without padding; valid as long as this object.
  [[nodiscard]] ConstMap expected(const Op& op, std::size_t output, int image) const;
  /// @pre `found` has the size of expected()
  [[nodiscard]] LayerError compare(const Plan& plan, int op, std::size_t output, int image,
                                   const ConstMap& found) const;
  /// Nothing where the file can't run its own decode at this shape (exported for another one).
  [[nodiscard]] const std::optional<DecodeError>& decode() const noexcept { return decode_; }

 private:
  struct Kept {
    int height = 0, width = 0, channels = 0;
    std::vector<float> values;  ///< [batch][height][width][channels]
  };
  void keep(const std::string& tensor, const Tensor& value);
  void compare_decode(const Model& model, const Plan& plan, const Tensor& output);

  std::map<std::string, Kept> kept_;
  std::optional<DecodeError> decode_;
};

/// Whether errors add up along the network as they do in use, or every op is given the float32 run's inputs and answers
/// for its own error alone.
enum class CheckMode : int { kCumulative, kIsolated };

/// Runs the plan on the CPU and compares every op's results, in the plan's order; of a batch, the worst image's.
[[nodiscard]] std::vector<LayerError> check_on_cpu(const LayerCheck& check, const Plan& plan,
                                                   std::span<const float> images_nchw, int batch, CheckMode mode);

/// Pictures with edges, gradients and noise, [batch][3][height][width], the same for the same arguments: for checking
/// without a picture at hand.
[[nodiscard]] std::vector<float> drawn_images(engine::InputShape shape, int batch);

}  // namespace gantry::graph
