#include "cli/common_options.hpp"

#include <spdlog/spdlog.h>

#include <charconv>
#include <string_view>
#include <tuple>

#include "gantry/app/class_filter.hpp"
#include "gantry/app/model_finder.hpp"
#include "gantry/config/input_size.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/precision/int8.hpp"

namespace gantry::cli {

std::optional<std::pair<engine::Device, int>> parse_device(const std::string& text) {
  if (text == "auto") return std::pair{engine::Device::kAuto, 0};
  if (text == "cpu") return std::pair{engine::Device::kCpu, 0};
  if (text == "cuda") return std::pair{engine::Device::kCuda, 0};
  constexpr std::string_view kPrefix = "cuda:";
  int index = 0;
  const char* const end = text.data() + text.size();
  if (!text.starts_with(kPrefix)) return std::nullopt;
  const auto [stop, error] = std::from_chars(text.data() + kPrefix.size(), end, index);
  if (error != std::errc{} || stop != end || index < 0) return std::nullopt;
  return std::pair{engine::Device::kCuda, index};
}

void add_model_options(CLI::App& command, ModelChoice& choice) {
  command.add_option("-m,--model", choice.model, "Detector: .onnx file, OpenVINO .xml or folder, or a name")
      ->capture_default_str();
  command.add_option("--imgsz", choice.imgsz, "Network input: auto, one side (640), or WIDTHxHEIGHT")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return config::parse_input_size(text)
                   ? std::string{}
                   : "'" + text + "' is no input size; use auto, one side like 640, or WIDTHxHEIGHT, sides 32…4096";
      });
  command.add_option("--device", choice.device, "What runs the network: auto, cpu, cuda or cuda:N")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_device(text) ? std::string{} : "'" + text + "' is no device; use auto, cpu, cuda or cuda:1";
      });
  command.add_option("--threads", choice.threads, "CPU threads of the network; 0 takes every core")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
}

std::unique_ptr<engine::Backend> open_model(const ModelChoice& choice, engine::Mode mode, bool wait_for_tuning,
                                            int streams) {
  const auto size = config::parse_input_size(choice.imgsz).value_or(config::InputSize{});
  engine::ModelOptions options;
  options.path = app::find_model(choice.model);
  std::tie(options.device, options.device_index) = *parse_device(choice.device);
  options.input = {size.width, size.height};
  options.mode = mode;
  options.wait_for_tuning = wait_for_tuning;
  options.threads = choice.threads;
  options.streams = streams;
  return engine::make_backend(options);
}

std::vector<std::unique_ptr<engine::Backend>> open_model_on(const ModelChoice& choice,
                                                            const std::vector<std::string>& devices,
                                                            bool wait_for_tuning, int streams) {
  std::vector<std::unique_ptr<engine::Backend>> backends;
  for (const std::string& device : devices) {
    ModelChoice one = choice;
    one.device = device;
    backends.push_back(open_model(one, engine::Mode::kThroughput, wait_for_tuning, streams));
  }
  return backends;
}

namespace {

/// The model itself, or, where it was quantised and has not passed its gate, the float one that it was made from.
std::string servable(const std::string& model) {
  const precision::Readiness readiness = precision::check_ready(model);
  if (readiness.ready) return model;
  if (readiness.fallback.empty())
    throw ModelError(model + ": is not served: " + readiness.reason + ". Its float model is not beside it either");
  spdlog::warn("{} is not served: {}; {} runs instead", model, readiness.reason, readiness.fallback);
  return readiness.fallback;
}

}  // namespace

std::vector<std::unique_ptr<engine::Backend>> open_backends(const config::Config& config) {
  engine::ModelOptions options;
  options.path = servable(app::find_model(config.model.path));
  options.device = config.engine.device == config::EngineDevice::kCpu    ? engine::Device::kCpu
                   : config.engine.device == config::EngineDevice::kCuda ? engine::Device::kCuda
                                                                         : engine::Device::kAuto;
  options.input = {config.model.imgsz.width, config.model.imgsz.height};
  options.threads = config.engine.threads;
  options.streams = config.engine.streams;
  options.memory_fraction = config.engine.memory_fraction;
  std::vector<std::unique_ptr<engine::Backend>> backends;
  backends.push_back(engine::make_backend(options));
  // Where the first one runs on a card, each of the others gets one.
  const int cards = backends.front()->capabilities().device_index >= 0 ? engine::gpu_count() : 1;
  for (options.device_index = 1; options.device_index < cards; ++options.device_index)
    backends.push_back(engine::make_backend(options));
  return backends;
}

void add_detect_options(CLI::App& command, DetectChoice& choice) {
  command.add_option("--conf", choice.options.confidence, "Leave out detections at or below this confidence")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--iou", choice.options.iou, "Of two boxes that overlap by more than this, keep the stronger")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--max-det", choice.options.max_detections, "Most detections a frame")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  command.add_option("--classes", choice.classes, "Only these classes, names or numbers: car,bus")->delimiter(',');
  command.add_flag("--agnostic", choice.options.agnostic, "Let boxes of different classes suppress each other");
}

engine::DetectOptions resolve(const DetectChoice& choice, const engine::ModelInfo& model) {
  auto options = choice.options;
  options.classes = app::class_ids(choice.classes, model.class_names, "--classes");
  return options;
}

}  // namespace gantry::cli
