#include "cli/optimize_int8.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "cli/commands.hpp"
#include "cli/summary.hpp"
#include "gantry/precision/int8.hpp"

namespace gantry::cli {
namespace {

/// One line a step on standard error, and a new figure every tenth of it.
class Steps {
 public:
  void operator()(const std::string& step, double share) {
    const int tenth = static_cast<int>(share * 10);
    if (step == step_ && tenth == tenth_) return;
    step_ = step;
    tenth_ = tenth;
    std::fprintf(stderr, tenth == 0 ? "%s\n" : "%s %d %%\n", step.c_str(), tenth * 10);
  }

 private:
  std::string step_;
  int tenth_ = -1;
};

void print_text(const precision::Int8Report& report) {
  std::vector<std::vector<std::string>> rows{{"layer left in float", "error alone", "GFLOP a picture"}};
  for (const auto& layer : report.layers)
    if (!layer.in_8_bits) rows.push_back({layer.node, fixed(layer.error, 6), fixed(layer.flops / 1e9, 3)});
  if (rows.size() > 1) std::printf("%s\n", format_table(rows).c_str());
  const auto in_8_bits =
      std::count_if(report.layers.begin(), report.layers.end(), [](const auto& layer) { return layer.in_8_bits; });
  std::printf("%td of %zu convolutions in 8 bits, ranges by \"%s\"%s, %zu calibration pictures\n", in_8_bits,
              report.layers.size(), report.tried.front().clipping.c_str(),
              report.tried.front().bias_corrected ? ", biases corrected" : "", report.samples);
  std::printf("%s: %.4f of %.4f, retention %.4f (at least %.4f)\n", report.exam.c_str(),
              report.measured.quantized_score, report.measured.float_score, report.measured.retention,
              report.min_retention);
  if (!report.ready) {
    std::printf(
        "refused: nothing was written but the report. Give more pictures of more cameras and hours (--samples), "
        "or accept less (--min-retention)\n");
    return;
  }
  std::printf("this machine's CPU: %.1f pictures/s in float32, %.1f in int8\nrun it: gantry serve with model.path %s\n",
              report.float_per_second, report.int8_per_second, report.model.c_str());
}

}  // namespace

void add_int8_options(CLI::App& command, Int8Choice& choice) {
  constexpr const char* kGroup = "int8";
  command
      .add_option("--calibration", choice.calibration,
                  "Folders of pictures, pictures and recordings of your own cameras, at all hours")
      ->group(kGroup);
  command.add_option("--samples", choice.samples, "Pictures to draw from them, evenly")
      ->capture_default_str()
      ->group(kGroup);
  command.add_option("--min-retention", choice.min_retention, "Share of the float model's score that must be kept")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0))
      ->group(kGroup);
  command
      .add_option("--val", choice.val,
                  "Labelled pictures to measure by (as for gantry val); default: agreement with the float model")
      ->group(kGroup);
  command.add_flag("--force", choice.force, "Allow a --min-retention below 0.95")->group(kGroup);
  command
      .add_flag("--symmetric", choice.symmetric,
                "Signed activations around 0, as TensorRT wants them, instead of unsigned ones with a zero point")
      ->group(kGroup);
}

int optimize_int8(const std::string& model, const std::string& out, const Int8Choice& choice, bool json) {
  precision::Int8Options options;
  options.model = model;
  options.out = out;
  options.calibration = choice.calibration;
  options.samples = choice.samples;
  options.labelled = choice.val;
  options.min_retention = choice.min_retention;
  options.force = choice.force;
  options.symmetric = choice.symmetric;
  options.progress = Steps{};
  const precision::Int8Report report = precision::optimize_int8(options);
  if (json) {
    std::ifstream file(report.report_file, std::ios::binary);
    std::fputs(std::string(std::istreambuf_iterator<char>(file), {}).c_str(), stdout);
  } else {
    print_text(report);
  }
  return report.ready ? kOk : kFailed;
}

}  // namespace gantry::cli
