#pragma once
// How much of a model's answers another one keeps: by labels, or, where there are none, by the float model's own boxes.
#include <string>
#include <vector>

#include "gantry/engine/sweep.hpp"
#include "gantry/precision/samples.hpp"

namespace gantry::precision {

/// Answers of a model to a fixed set of pictures, and how fast they came.
struct Answers {
  std::vector<engine::PictureResult> pictures;
  double pictures_per_second = 0;
};

/// A fixed set of pictures with what should be found on them. Not thread-safe.
class Exam {
 public:
  virtual ~Exam() = default;
  /// What the retention is made of: "mAP50-95 on FOLDER", "agreement with the float model …".
  [[nodiscard]] virtual std::string name() const = 0;
  /// @throws StartupError where the back end fails
  [[nodiscard]] virtual Answers sit(engine::Backend& backend) = 0;
  /// 0…1. The float model's own answers stand behind `float_answers`.
  [[nodiscard]] virtual double score(const Answers& answers, const Answers& float_answers) const = 0;
};

/// COCO's mAP50-95 on a labelled data set, with Ultralytics' protocol: everything above 0.001, every class, IoU 0.7,
/// best 300. @throws StartupError where the data set can't be read
[[nodiscard]] std::unique_ptr<Exam> labelled_exam(const std::string& data);

/// COCO's mAP50-95 with the float model's boxes above 0.25 in the place of labels, on the samples `indices`.
[[nodiscard]] std::unique_ptr<Exam> agreement_exam(const Samples& samples, std::vector<std::size_t> indices);

}  // namespace gantry::precision
