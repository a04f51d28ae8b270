// gantry optimize: tunes a model for this machine's GPU ahead of time, or quantises it.
#include <cstdio>
#include <memory>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/optimize_int8.hpp"
#include "cli/summary.hpp"
#include "gantry/app/model_finder.hpp"
#include "gantry/config/input_size.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/optimize/optimize.hpp"

namespace gantry::cli {
namespace {

struct OptimizeCommand {
  std::string model;
  std::string out;
  std::string precision = "fp16";
  std::string device = "cuda";
  std::vector<std::string> shapes;
  int max_batch = 32;
  Int8Choice int8;
  bool json = false;
};

void print_table(const OptimizeReport& report) {
  const auto milliseconds = [](Duration d) { return fixed(std::chrono::duration<double, std::milli>(d).count(), 2); };
  std::vector<std::vector<std::string>> rows{{"input", "batch", "network ms", "images/s", "floor ms", "kernels",
                                              "pictures to boxes ms", "p99", "arena MB", "unshared MB"}};
  for (const OptimizedProfile& p : report.profiles)
    rows.push_back({std::to_string(p.shape.width) + "x" + std::to_string(p.shape.height), std::to_string(p.batch),
                    fixed(p.network_ms, 3), fixed(p.images_per_second, 0), fixed(p.floor_ms, 3),
                    std::to_string(p.kernels), milliseconds(p.latency_mean), milliseconds(p.latency_p99),
                    fixed(static_cast<double>(p.arena_bytes) / 1e6, 1),
                    fixed(static_cast<double>(p.unshared_bytes) / 1e6, 1)});
  std::fputs(format_table(rows).c_str(), stdout);
  std::printf("\n%s on %s, driver API %d.%d, %s, %.1f s\nrun it: gantry serve with model.path %s\n",
              report.plan_file.c_str(), report.device.c_str(), report.driver_version / 1000,
              report.driver_version % 1000 / 10, to_string(report.precision), report.seconds, report.model.c_str());
}

void run(const OptimizeCommand& command) {
  OptimizeOptions options;
  options.model = app::find_model(command.model);
  options.out = command.out;
  options.max_batch = command.max_batch;
  options.device = parse_device(command.device)->second;
  for (const std::string& shape : command.shapes) {
    const auto size = config::parse_input_size(shape);
    if (!size || size->automatic()) throw ConfigError("--shapes " + shape + ": expected sizes like 640x640,640x384");
    options.shapes.push_back({size->width, size->height});
  }
  options.progress = [](const std::string& sentence) { std::fprintf(stderr, "%s\n", sentence.c_str()); };
  const OptimizeReport report = optimize(options);
  if (command.json)
    std::fputs(to_json(report).c_str(), stdout);
  else
    print_table(report);
}

}  // namespace

void add_optimize(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<OptimizeCommand>();
  auto* optimize = app.add_subcommand("optimize",
                                      "Tune a model for this machine's GPU and write a folder that starts at once and "
                                      "runs tuned, or quantise it to int8");
  optimize->add_option("MODEL", command->model, "Detector: an .onnx file, or a name")->required();
  optimize->add_option("-o,--out", command->out, "Folder for the model and its report")->required();
  optimize->add_option("--precision", command->precision, "What the network computes in")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp16", "int8"}));
  optimize->add_option("--max-batch", command->max_batch, "Largest batch; each power of two up to it is tuned")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  optimize
      ->add_option("--shapes", command->shapes,
                   "Network inputs, WIDTHxHEIGHT; default: as exported, and the rectangle of a 16:9 camera")
      ->delimiter(',');
  optimize->add_option("--device", command->device, "Which GPU: cuda or cuda:N")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto device = parse_device(text);
        return device && device->first == engine::Device::kCuda ? std::string{}
                                                                : "'" + text + "' is no GPU; use cuda:0";
      });
  optimize->add_flag("--json", command->json, "Print the report as JSON");
  add_int8_options(*optimize, command->int8);
  optimize->footer(
      "Example:\n  gantry optimize yolo11n.onnx --out optimized --max-batch 32 --shapes 640x640,640x384\n"
      "  gantry optimize yolo11n.onnx --out int8 --precision int8 --calibration recordings/ --val labelled/");
  optimize->callback([command, &exit_code] {
    if (command->precision == "int8")
      exit_code = optimize_int8(app::find_model(command->model), command->out, command->int8, command->json);
    else
      run(*command);
  });
}

}  // namespace gantry::cli
