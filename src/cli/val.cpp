// gantry val: how good a detector is on labelled pictures, as COCO measures it.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/progress.hpp"
#include "cli/summary.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/sweep.hpp"
#include "gantry/media/still.hpp"
#include "gantry/vision/coco_eval.hpp"
#include "gantry/vision/dataset.hpp"
#include "gantry/vision/predictions.hpp"

namespace gantry::cli {
namespace {

struct ValCommand {
  std::string data;
  std::string images;
  std::string split;
  std::string predictions;
  std::string save_json;
  ModelChoice model;
  bool size_given = false;
  float confidence = 0.001F;
  float iou = 0.7F;
  int max_detections = 300;
  bool json = false;
};

using Found = engine::PictureResult;

std::vector<Found> run_model(engine::Backend& backend, const vision::Dataset& dataset, const ValCommand& command) {
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

/// Predictions made earlier: a line's `camera` is the picture's file name without its ending.
std::vector<Found> read_predictions(const std::string& file, const vision::Dataset& dataset) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw StartupError(file + ": can't be read");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto frames = vision::parse_predictions(text, file);
  if (!frames) throw StartupError(frames.error().message);
  std::map<std::string, vision::FramePredictions*> by_name;
  for (auto& frame : *frames) by_name[frame.camera] = &frame;
  std::vector<Found> found;
  for (const auto& image : dataset.images) {
    const auto frame = by_name.find(image.file.stem().string());
    if (frame == by_name.end()) throw StartupError(file + ": has no line for picture " + image.file.string());
    found.push_back({frame->second->width, frame->second->height, std::move(frame->second->detections)});
  }
  return found;
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

void save_results(const std::string& file, const vision::Dataset& dataset, const std::vector<Found>& found) {
  std::string text = "[";
  for (std::size_t i = 0; i < found.size(); ++i) {
    vision::append_coco_results(dataset.images[i].id, found[i].detections, dataset.category_ids, text);
  }
  text += "]\n";
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw StartupError(file + ": can't be written");
}

std::string class_name(const std::vector<std::string>& names, int class_id) {
  const auto index = static_cast<std::size_t>(class_id);
  return index < names.size() ? names[index] : "class" + std::to_string(class_id);
}

void print_json(const vision::CocoScore& score, const std::vector<std::string>& names, std::size_t images) {
  nlohmann::json classes = nlohmann::json::array();
  for (const auto& one : score.classes) {
    classes.push_back({{"class_id", one.class_id},
                       {"class", class_name(names, one.class_id)},
                       {"images", one.images},
                       {"instances", one.instances},
                       {"map50_95", one.all.ap50_95},
                       {"map50", one.all.ap50}});
  }
  const nlohmann::json summary{
      {"images", images},         {"map50_95", score.all.ap50_95}, {"map50", score.all.ap50},
      {"map75", score.all.ap75},  {"map_small", score.small},      {"map_medium", score.medium},
      {"map_large", score.large}, {"recall", score.recall},        {"classes", std::move(classes)}};
  std::printf("%s\n", summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void print_table(const vision::CocoScore& score, const std::vector<std::string>& names, std::size_t images) {
  const auto cell = [](double value) { return value < 0 ? std::string("-") : fixed(value, 4); };
  std::vector<std::vector<std::string>> rows{{"class", "images", "boxes", "mAP50-95", "mAP50"}};
  std::size_t instances = 0;
  for (const auto& one : score.classes) instances += one.instances;
  rows.push_back(
      {"all", std::to_string(images), std::to_string(instances), cell(score.all.ap50_95), cell(score.all.ap50)});
  for (const auto& one : score.classes) {
    rows.push_back({class_name(names, one.class_id), std::to_string(one.images), std::to_string(one.instances),
                    cell(one.all.ap50_95), cell(one.all.ap50)});
  }
  std::fputs(format_table(rows).c_str(), stdout);
  std::printf("\nmAP50-95 by size: small %s, medium %s, large %s; mAP75 %s, recall %s\n", cell(score.small).c_str(),
              cell(score.medium).c_str(), cell(score.large).c_str(), cell(score.all.ap75).c_str(),
              cell(score.recall).c_str());
}

int run(const ValCommand& command) {
  auto read = vision::read_dataset(command.data, command.images, command.split);
  if (!read) throw StartupError(read.error().message);
  vision::Dataset dataset = std::move(*read);
  std::vector<Found> found;
  std::vector<std::string> names = dataset.class_names;
  if (command.predictions.empty()) {
    const auto backend = open_model(command.model);
    names = backend->model().class_names;
    adopt_classes(dataset, names, backend->model().path);
    found = run_model(*backend, dataset, command);
  } else {
    found = read_predictions(command.predictions, dataset);
  }
  vision::CocoEvaluator evaluator;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [truth, detections] =
        vision::judged(dataset.images[i], found[i].width, found[i].height, found[i].detections);
    evaluator.add(truth, detections);
  }
  if (!command.save_json.empty()) save_results(command.save_json, dataset, found);
  const vision::CocoScore score = evaluator.score();
  (command.json ? print_json : print_table)(score, names, found.size());
  return kOk;
}

}  // namespace

void add_val(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<ValCommand>();
  auto* val = app.add_subcommand("val", "Measure a detector on labelled pictures: COCO mAP");
  val->add_option("--data", command->data,
                  "A folder with images and labels (YOLO text) inside, and where only a part is labelled `ignore` and "
                  "per_image.json, or a COCO JSON file")
      ->required();
  val->add_option("--images", command->images, "Folder of the pictures that a COCO JSON names; default: beside it");
  val->add_option("--split", command->split, "Only this folder below `images`, such as val");
  add_model_options(*val, command->model);
  val->get_option("--imgsz")->default_str("the exported size");
  auto* predictions = val->add_option("--predictions", command->predictions,
                                      "Score these instead of running a model: JSON lines as detect writes them");
  predictions->excludes(val->get_option("--model"));
  val->add_option("--conf", command->confidence, "Leave out detections at or below this confidence")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  val->add_option("--iou", command->iou, "Of two boxes that overlap by more than this, keep the stronger")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  val->add_option("--max-det", command->max_detections, "Most detections a picture")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  val->add_option("--save-json", command->save_json, "Write the detections in COCO's results format to this file");
  val->add_flag("--json", command->json, "Print the scores as JSON on standard output");
  val->footer("Example:\n  gantry val --data coco_val --model yolo11n.onnx --save-json results.json");
  val->callback([command, val, &exit_code] {
    command->size_given = val->count("--imgsz") > 0;
    exit_code = run(*command);
  });
}

}  // namespace gantry::cli
