#include "precision/evaluation.hpp"

#include <chrono>
#include <memory>

#include "gantry/core/errors.hpp"
#include "gantry/engine/evaluate.hpp"
#include "gantry/media/still.hpp"
#include "gantry/vision/coco_eval.hpp"
#include "gantry/vision/dataset.hpp"

namespace gantry::precision {
namespace {

engine::SweepOptions everything() {
  engine::SweepOptions options;
  options.detect.confidence = 0.001F;
  options.detect.every_class = true;
  return options;
}

template <typename Read>
Answers timed_sweep(engine::Backend& backend, std::size_t count, const Read& read) {
  const auto start = std::chrono::steady_clock::now();
  Answers answers{engine::sweep(backend, count, read, everything()), 0};
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  answers.pictures_per_second = static_cast<double>(count) / seconds.count();
  return answers;
}

class LabelledExam final : public Exam {
 public:
  explicit LabelledExam(const std::string& data) : data_(data) {
    auto read = vision::read_dataset(data);
    if (!read) throw StartupError(read.error().message);
    dataset_ = std::move(*read);
    if (dataset_.images.empty()) throw StartupError(data + ": holds no labelled pictures (--val)");
  }
  std::string name() const override { return "mAP50-95 on " + data_; }
  Answers sit(engine::Backend& backend) override {
    return timed_sweep(backend, dataset_.images.size(),
                       [this](std::size_t i) { return media::read_still(dataset_.images[i].file.string()); });
  }
  double score(const Answers& answers, const Answers& /*float_answers*/) const override {
    return engine::evaluate(dataset_, answers.pictures).score().all.ap50_95;
  }

 private:
  std::string data_;
  vision::Dataset dataset_;
};

constexpr float kConfident = 0.25F;

class AgreementExam final : public Exam {
 public:
  AgreementExam(const Samples& samples, std::vector<std::size_t> indices)
      : samples_(samples), indices_(std::move(indices)) {}
  std::string name() const override {
    return "agreement (mAP50-95 against the float model's boxes above 0.25) on " + std::to_string(indices_.size()) +
           " pictures that were not calibrated with";
  }
  Answers sit(engine::Backend& backend) override {
    return timed_sweep(backend, indices_.size(), [this](std::size_t i) { return as_frame(samples_, indices_[i]); });
  }
  double score(const Answers& answers, const Answers& float_answers) const override {
    vision::CocoEvaluator evaluator;
    for (std::size_t i = 0; i < answers.pictures.size(); ++i) {
      std::vector<vision::LabelledBox> truth;
      for (const Detection& detection : float_answers.pictures[i].detections) {
        if (detection.confidence <= kConfident) continue;
        const Box& box = detection.box;
        truth.push_back({box, detection.class_id,
                         static_cast<double>(box.x2 - box.x1) * static_cast<double>(box.y2 - box.y1), false});
      }
      evaluator.add(truth, answers.pictures[i].detections);
    }
    return evaluator.score().all.ap50_95;
  }

 private:
  const Samples& samples_;
  std::vector<std::size_t> indices_;
};

}  // namespace

std::unique_ptr<Exam> labelled_exam(const std::string& data) {
  return std::make_unique<LabelledExam>(data);
}

std::unique_ptr<Exam> agreement_exam(const Samples& samples, std::vector<std::size_t> indices) {
  return std::make_unique<AgreementExam>(samples, std::move(indices));
}

}  // namespace gantry::precision
