#pragma once
// Options that several commands share, with one spelling and one meaning.
#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gantry/config/config.hpp"
#include "gantry/engine/factory.hpp"

namespace gantry::cli {

struct ModelChoice {
  std::string model = "gantry-traffic-n";
  std::string imgsz = "auto";
  std::string device = "auto";
  int threads = 0;
};
/// "auto", "cpu", "cuda" (GPU 0) or "cuda:N".
[[nodiscard]] std::optional<std::pair<engine::Device, int>> parse_device(const std::string& text);
/// --model, --imgsz, --device, --threads
void add_model_options(CLI::App& command, ModelChoice& choice);
/// @throws ModelError, DeviceError
[[nodiscard]] std::unique_ptr<engine::Backend> open_model(const ModelChoice& choice,
                                                          engine::Mode mode = engine::Mode::kThroughput,
                                                          bool wait_for_tuning = false, int streams = 4);
/// One a device of `devices`: "cuda:0", "cuda:1"; the same card twice is two devices that share it.
[[nodiscard]] std::vector<std::unique_ptr<engine::Backend>> open_model_on(const ModelChoice& choice,
                                                                          const std::vector<std::string>& devices,
                                                                          bool wait_for_tuning, int streams);

/// What a configuration file asks for, one back end a device. @throws ModelError, DeviceError
[[nodiscard]] std::vector<std::unique_ptr<engine::Backend>> open_backends(const config::Config& config);

struct DetectChoice {
  engine::DetectOptions options;
  std::vector<std::string> classes;
};
/// --conf, --iou, --classes, --max-det, --agnostic
void add_detect_options(CLI::App& command, DetectChoice& choice);
/// Resolves the class names. @throws ConfigError
[[nodiscard]] engine::DetectOptions resolve(const DetectChoice& choice, const engine::ModelInfo& model);

}  // namespace gantry::cli
