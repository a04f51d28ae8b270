// gantry val: how good a detector is on labelled pictures, as COCO measures it.
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/summary.hpp"
#include "cli/val_answers.hpp"
#include "cli/val_compare.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/evaluate.hpp"
#include "gantry/vision/coco_eval.hpp"
#include "gantry/vision/dataset.hpp"
#include "gantry/vision/predictions.hpp"

namespace gantry::cli {
namespace {

void save_results(const std::string& file, const vision::Dataset& dataset,
                  const std::vector<engine::PictureResult>& found) {
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
  vision::Dataset dataset = read_labels(command);
  if (!command.compare.empty()) return compare_models(command, dataset);
  const ValAnswers answers = command.predictions.empty() ? run_model(command.model.model, command, dataset)
                                                         : read_predictions(command.predictions, dataset);
  if (!command.save_json.empty()) save_results(command.save_json, dataset, answers.pictures);
  const vision::CocoScore score = engine::evaluate(dataset, answers.pictures).score();
  (command.json ? print_json : print_table)(score, answers.class_names, answers.pictures.size());
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
  val->add_option("--compare", command->compare,
                  "Score two models and their difference, by class and by size, and how much of it may be chance: two "
                  "of what --model takes, or .jsonl files as --predictions takes")
      ->type_name("A B")
      ->expected(2)
      ->excludes(predictions)
      ->excludes(val->get_option("--model"));
  val->add_option("--conf", command->confidence, "Leave out detections at or below this confidence")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  val->add_option("--iou", command->iou, "Of two boxes that overlap by more than this, keep the stronger")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  val->add_option("--max-det", command->max_detections, "Most detections a picture")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  val->add_option("--save-json", command->save_json, "Write the detections in COCO's results format to this file")
      ->excludes(val->get_option("--compare"));
  val->add_flag("--json", command->json, "Print the scores as JSON on standard output");
  val->footer(
      "Example:\n  gantry val --data coco_val --model yolo11n.onnx --save-json results.json\n"
      "  gantry val --data coco_val --compare yolo11n.onnx int8/yolo11n-int8.onnx");
  val->callback([command, val, &exit_code] {
    command->size_given = val->count("--imgsz") > 0;
    exit_code = run(*command);
  });
}

}  // namespace gantry::cli
