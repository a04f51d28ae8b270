#include "gantry/precision/int8.hpp"

#include <fmt/format.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "gantry/core/errors.hpp"
#include "precision/colour_order.hpp"
#include "precision/evaluation.hpp"
#include "precision/qdq.hpp"
#include "precision/report.hpp"

namespace gantry::precision {
namespace {

namespace fs = std::filesystem;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ModelError(path + ": can't be opened; check that the file exists and may be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Under another name first, so that nobody ever reads half a file.
void write_file(const std::string& path, const std::string& bytes) {
  const std::string unfinished = path + ".part";
  std::ofstream file(unfinished, std::ios::binary);
  file << bytes;
  file.close();
  std::error_code error;
  if (file) fs::rename(unfinished, path, error);
  if (!file || error) throw StartupError(path + ": can't be written");
}

std::unique_ptr<engine::Backend> open_cpu(const std::string& path) {
  engine::ModelOptions options;
  options.path = path;
  options.device = engine::Device::kCpu;
  auto backend = engine::make_backend(options);
  backend->prepare(backend->model().native_shape, 1);
  return backend;
}

void check(const Int8Options& options) {
  if (options.min_retention < kLeastRetention && !options.force)
    throw StartupError(
        fmt::format("--min-retention {}: below {} a model has lost what users notice; add --force if you "
                    "want it all the same",
                    options.min_retention, kLeastRetention));
  if (options.samples < kLeastSamples)
    throw StartupError(fmt::format("--samples {}: at least {} are needed", options.samples, kLeastSamples));
  if (options.calibration.empty())
    throw StartupError("--calibration: give folders of pictures or recordings of your own cameras");
}

class Job {
 public:
  explicit Job(const Int8Options& options) : options_(options) {
    const std::string stem = fs::path(options.model).stem().string();
    fs::create_directories(options.out);
    target_ = (fs::path(options.out) / (stem + "-int8.onnx")).string();
    float_copy_ = (fs::path(options.out) / (stem + ".onnx")).string();
  }

  Int8Report run() {
    const std::string bytes = read_file(options_.model);
    refuse_quantized(bytes, options_.model);
    const graph::Model model = graph::Model::parse(bytes, options_.model);
    say("calibration pictures", 0);
    samples_ = read_samples(options_.calibration, options_.samples, model.info().native_shape);
    refuse_useless(samples_);
    const auto float_backend = open_cpu(options_.model);
    if (looks_swapped(*float_backend, samples_))
      throw StartupError(
          "the calibration pictures seem to have red and blue exchanged: the float model finds more on "
          "them with the channels the other way round. Give pictures in their right colours");
    exam_ = options_.labelled.empty() ? agreement_exam(samples_, held_out(samples_)) : labelled_exam(options_.labelled);
    float_answers_ = exam_->sit(*float_backend);
    float_score_ = exam_->score(*float_answers_, *float_answers_);
    if (float_score_ <= 0)
      throw StartupError(exam_->name() + ": the float model finds nothing there, so nothing can be compared");

    QuantizeOptions options{options_.symmetric, options_.min_retention, options_.progress};
    QuantizeResult result =
        quantize(model, bytes, samples_, options, [this](const std::string& onnx) { return measure(onnx); });
    return publish(model, bytes, std::move(result));
  }

 private:
  void say(const std::string& step, double share) const {
    if (options_.progress) options_.progress(step, share);
  }

  Measured measure(const std::string& onnx) {
    const std::string candidate = fs::path(target_).replace_extension(".candidate.onnx").string();
    write_file(candidate, onnx);
    const auto backend = open_cpu(candidate);
    const Answers answers = exam_->sit(*backend);
    fs::remove(candidate);
    Measured measured;
    measured.float_score = float_score_;
    measured.quantized_score = exam_->score(answers, *float_answers_);
    measured.retention = measured.quantized_score / measured.float_score;
    return measured;
  }

  /// Float and 8-bit in turn on the same pictures, so that whatever else the machine does meets both.
  void measure_speed(const std::string& int8_model, Int8Report& report) {
    const auto float_backend = open_cpu(options_.model);
    const auto int8_backend = open_cpu(int8_model);
    const auto exam = agreement_exam(samples_, held_out(samples_));
    constexpr int kRounds = 3;
    for (int round = 0; round < kRounds; ++round) {
      report.float_per_second = std::max(report.float_per_second, exam->sit(*float_backend).pictures_per_second);
      report.int8_per_second = std::max(report.int8_per_second, exam->sit(*int8_backend).pictures_per_second);
    }
  }

  Int8Report publish(const graph::Model& model, const std::string& bytes, QuantizeResult result) {
    Int8Report report;
    report.exam = exam_->name();
    report.measured = result.measured;
    report.min_retention = options_.min_retention;
    report.ready = result.passed;
    report.report_file = report_path(target_);
    report.samples = samples_.pictures.size();
    report.digest = samples_.digest;
    report.layers = std::move(result.layers);
    report.tried = std::move(result.tried);
    // What an earlier run has left must not stand beside this run's report.
    fs::remove(target_);
    fs::remove(report.report_file);
    ReportSubject subject{fs::path(float_copy_).filename().string(), model.hash(), "", options_.symmetric};
    if (report.ready) {
      if (!fs::exists(float_copy_) || !fs::equivalent(float_copy_, options_.model)) write_file(float_copy_, bytes);
      write_file(target_, result.onnx);
      report.model = target_;
      subject.int8_hash = graph::hash_of(result.onnx);
      say("speed", 0);
      measure_speed(target_, report);
    }
    write_file(plot_path(target_),
               plot_layers(report, fs::path(target_).filename().string() + ": layers by the error that they cause"));
    write_file(report.report_file, to_json(report, subject));
    return report;
  }

  const Int8Options& options_;
  std::string target_, float_copy_;
  Samples samples_;
  std::unique_ptr<Exam> exam_;
  std::optional<Answers> float_answers_;
  double float_score_ = 0;
};

}  // namespace

Int8Report optimize_int8(const Int8Options& options) {
  check(options);
  return Job(options).run();
}

Readiness check_ready(const std::string& model) {
  if (fs::path(model).extension() != ".onnx") return {};
  const auto metadata = read_metadata(model);
  if (!metadata.contains("gantry.precision")) return {};
  const std::string path = report_path(model);
  Readiness refused;
  refused.ready = false;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    refused.reason = path + " is missing: nobody knows what this 8-bit model has lost";
    return refused;
  }
  const auto report = nlohmann::json::parse(file, nullptr, false);
  const auto text = [&](const char* key) {
    return report.is_object() && report.contains(key) && report[key].is_string() ? report[key].get<std::string>() : "";
  };
  const fs::path beside = fs::path(model).parent_path() / text("float_model");
  if (!text("float_model").empty() && fs::exists(beside)) refused.fallback = beside.string();
  if (report.is_discarded())
    refused.reason = path + " is damaged";
  else if (text("model_hash") != graph::hash_of(read_file(model)) ||
           text("float_hash") != metadata.at("gantry.float_hash"))
    refused.reason = path + " belongs to another model; make it anew with gantry optimize";
  else if (text("status") != "ready")
    refused.reason = path + ": the model did not pass its gate";
  else
    return {};
  return refused;
}

}  // namespace gantry::precision
