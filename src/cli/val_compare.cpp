#include "cli/val_compare.hpp"

#include <fmt/format.h>
#include <array>
#include <cstdio>
#include <filesystem>

#include "cli/commands.hpp"
#include "cli/summary.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/evaluate.hpp"
#include "gantry/vision/coco_compare.hpp"

namespace gantry::cli {
namespace {

using vision::Compared;
using vision::Interval;

bool is_predictions(const std::string& name) {
  return std::filesystem::path(name).extension() == ".jsonl";
}

/// Predictions carry no class names: where one of two is a model, its classes count.
std::array<ValAnswers, 2> answers_of(const ValCommand& command, vision::Dataset& dataset) {
  std::array<ValAnswers, 2> answers;
  for (const bool predictions : {false, true})
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (const std::string& name = command.compare[i]; is_predictions(name) == predictions)
        answers[i] = predictions ? read_predictions(name, dataset) : run_model(name, command, dataset);
  if (answers[0].class_names != answers[1].class_names && !answers[0].class_names.empty() &&
      !answers[1].class_names.empty())
    throw StartupError("--compare: " + command.compare[0] + " and " + command.compare[1] +
                       " do not name the same classes in the same order; their scores mean different things");
  return answers;
}

nlohmann::json interval_json(const std::optional<Interval>& interval) {
  return interval ? nlohmann::json{interval->low, interval->high} : nlohmann::json{};
}

nlohmann::json to_json(const Compared& one) {
  if (one.first < 0) return nullptr;
  return {{"first", one.first},
          {"second", one.second},
          {"difference", one.difference},
          {"interval", interval_json(one.interval)}};
}

void print_json(const ValCommand& command, const vision::CocoComparison& result, const std::vector<std::string>& names,
                std::size_t images, const vision::CompareOptions& options) {
  nlohmann::json classes = nlohmann::json::array();
  for (const auto& one : result.classes)
    classes.push_back({{"class_id", one.class_id},
                       {"class", class_name(names, one.class_id)},
                       {"images", one.images},
                       {"instances", one.instances},
                       {"map50_95", to_json(one.ap50_95)}});
  const nlohmann::json all{
      {"first", command.compare[0]},
      {"second", command.compare[1]},
      {"images", images},
      {"map50_95", to_json(result.ap50_95)},
      {"map50", to_json(result.ap50)},
      {"map_small", to_json(result.small)},
      {"map_medium", to_json(result.medium)},
      {"map_large", to_json(result.large)},
      {"retention", {{"value", result.retention}, {"interval", interval_json(result.retention_interval)}}},
      {"bootstrap", {{"draws", options.draws}, {"confidence", options.confidence}, {"seed", options.seed}}},
      {"classes", std::move(classes)}};
  std::printf("%s\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:+.4f} … {:+.4f}", interval->low, interval->high) : "-";
}

std::vector<std::string> row(std::string name, const std::string& boxes, const Compared& one) {
  if (one.first < 0) return {std::move(name), boxes, "-", "-", "-", "-"};
  return {std::move(name),
          boxes,
          fixed(one.first, 4),
          fixed(one.second, 4),
          fmt::format("{:+.4f}", one.difference),
          interval_text(one.interval)};
}

void print_table(const ValCommand& command, const vision::CocoComparison& result, const std::vector<std::string>& names,
                 std::size_t images, const vision::CompareOptions& options) {
  std::printf("A: %s\nB: %s\n%zu pictures\n\n", command.compare[0].c_str(), command.compare[1].c_str(), images);
  std::vector<std::vector<std::string>> rows{
      {"mAP50-95", "boxes", "A", "B", "B - A", fmt::format("{:g} % interval", 100 * options.confidence)}};
  std::size_t instances = 0;
  for (const auto& one : result.classes) instances += one.instances;
  rows.push_back(row("all", std::to_string(instances), result.ap50_95));
  rows.push_back(row("all, mAP50", "", result.ap50));
  rows.push_back(row("small", "", result.small));
  rows.push_back(row("medium", "", result.medium));
  rows.push_back(row("large", "", result.large));
  for (const auto& one : result.classes)
    rows.push_back(row(class_name(names, one.class_id), std::to_string(one.instances), one.ap50_95));
  std::fputs(format_table(rows).c_str(), stdout);
  std::printf("\nretention (B / A) %.4f", result.retention);
  if (const auto& interval = result.retention_interval)
    std::printf(", %g %% interval %.4f … %.4f; ", 100 * options.confidence, interval->low, interval->high);
  if (const auto& interval = result.ap50_95.interval)
    std::printf("%s\n", interval->holds(0) ? "the difference may be chance" : "the difference is more than chance");
  else
    std::printf("; too few pictures for an interval\n");
  std::printf("bootstrap over pictures, %zu draws, seed %llu\n", options.draws,
              static_cast<unsigned long long>(options.seed));
}

}  // namespace

int compare_models(const ValCommand& command, vision::Dataset& dataset) {
  const auto answers = answers_of(command, dataset);
  for (std::size_t i = 0; i < dataset.images.size(); ++i) {
    const auto& a = answers[0].pictures[i];
    const auto& b = answers[1].pictures[i];
    if (a.width != b.width || a.height != b.height)
      throw StartupError(fmt::format("{}: {} saw it with {}x{} pixels, {} with {}x{}; give answers to the same files",
                                     dataset.images[i].file.string(), command.compare[0], a.width, a.height,
                                     command.compare[1], b.width, b.height));
  }
  const vision::CompareOptions options;
  const vision::CocoComparison result = vision::compare(engine::evaluate(dataset, answers[0].pictures),
                                                        engine::evaluate(dataset, answers[1].pictures), options);
  const auto& names = answers[0].class_names.empty() ? answers[1].class_names : answers[0].class_names;
  (command.json ? print_json : print_table)(command, result, names, dataset.images.size(), options);
  return kOk;
}

}  // namespace gantry::cli
