#include "cli/val_answers.hpp"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <map>

#include "cli/progress.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/media/still.hpp"
#include "gantry/vision/predictions.hpp"

namespace gantry::cli {
namespace {

std::vector<engine::PictureResult> sweep(engine::Backend& backend, const vision::Dataset& dataset,
                                         const ValCommand& command) {
  std::atomic<std::size_t> done{0};
  engine::SweepOptions options;
  options.detect.confidence = command.confidence;
  options.detect.iou = command.iou;
  options.detect.max_detections = command.max_detections;
  options.detect.every_class = true;
  options.any_shape = command.size_given;
  options.progress = [&](std::size_t count) { done = count; };
  const SteadyClock clock;
  const TimePoint start = clock.now();
  const Progress progress{"pictures", [&]() -> ProgressReading {
                            const std::chrono::duration<double> seconds = clock.now() - start;
                            return {done, dataset.images.size(), seconds.count()};
                          }};
  return engine::sweep(
      backend, dataset.images.size(), [&](std::size_t i) { return media::read_still(dataset.images[i].file.string()); },
      options);
}

/// Categories of the data set become the model's classes, by name.
void adopt_classes(vision::Dataset& dataset, const std::vector<std::string>& class_names, const std::string& model) {
  if (dataset.class_names.empty()) {
    for (const auto& image : dataset.images) {
      for (const auto& box : image.boxes) {
        if (static_cast<std::size_t>(box.class_id) < class_names.size()) continue;
        throw StartupError(image.file.string() + " is labelled with class " + std::to_string(box.class_id) + ", but " +
                           model + " has only the classes 0 to " + std::to_string(class_names.size() - 1));
      }
    }
    return;
  }
  std::vector<int> to_model;
  std::vector<std::int64_t> category_ids(class_names.size(), -1);
  for (std::size_t i = 0; i < dataset.class_names.size(); ++i) {
    const auto found = std::find(class_names.begin(), class_names.end(), dataset.class_names[i]);
    if (found == class_names.end()) {
      throw StartupError("the data set's category \"" + dataset.class_names[i] + "\" is no class of " + model);
    }
    to_model.push_back(static_cast<int>(found - class_names.begin()));
    category_ids[static_cast<std::size_t>(to_model.back())] = dataset.category_ids[i];
  }
  for (auto& image : dataset.images) {
    for (auto& box : image.boxes) box.class_id = to_model[static_cast<std::size_t>(box.class_id)];
  }
  dataset.class_names = class_names;
  dataset.category_ids = std::move(category_ids);
}

}  // namespace

vision::Dataset read_labels(const ValCommand& command) {
  auto read = vision::read_dataset(command.data, command.images, command.split);
  if (!read) throw StartupError(read.error().message);
  return std::move(*read);
}

ValAnswers run_model(const std::string& model, const ValCommand& command, vision::Dataset& dataset) {
  ModelChoice choice = command.model;
  choice.model = model;
  const auto backend = open_model(choice);
  adopt_classes(dataset, backend->model().class_names, backend->model().path);
  return {sweep(*backend, dataset, command), backend->model().class_names};
}

ValAnswers read_predictions(const std::string& file, const vision::Dataset& dataset) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw StartupError(file + ": can't be read");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto frames = vision::parse_predictions(text, file);
  if (!frames) throw StartupError(frames.error().message);
  std::map<std::string, vision::FramePredictions*> by_name;
  for (auto& frame : *frames) by_name[frame.camera] = &frame;
  ValAnswers answers{{}, dataset.class_names};
  for (const auto& image : dataset.images) {
    const auto frame = by_name.find(image.file.stem().string());
    if (frame == by_name.end()) throw StartupError(file + ": has no line for picture " + image.file.string());
    answers.pictures.push_back({frame->second->width, frame->second->height, std::move(frame->second->detections)});
  }
  return answers;
}

std::string class_name(const std::vector<std::string>& names, int class_id) {
  const auto index = static_cast<std::size_t>(class_id);
  return index < names.size() ? names[index] : "class" + std::to_string(class_id);
}

}  // namespace gantry::cli
