// gantry detect INPUT... : recordings, pictures and streams through the detector, every frame.
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/detect_inputs.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/summary.hpp"
#include "gantry/app/offline.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/media/annotated_video_writer.hpp"
#include "gantry/scene/source.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::cli {
namespace {

struct DetectCommand {
  std::vector<std::string> inputs;
  ModelChoice model;
  DetectChoice detect;
  std::string json_out;
  std::string save;
  std::string transport = "tcp";
  std::uint64_t max_frames = 0;
  bool json = false;
};

/// Results of all inputs into one file of JSON lines, and each input's pictures into an annotated video.
class DetectOutput final : public app::OfflineOutput {
 public:
  DetectOutput(const DetectCommand& command, const std::vector<app::OfflineInput>& inputs,
               const std::vector<std::string>& class_names)
      : class_names_(class_names), videos_(inputs.size()) {
    if (!command.json_out.empty()) lines_.emplace(command.json_out, sinks::LineFile::Mode::kReplace);
    if (!command.save.empty()) save_paths_ = save_paths(command.save, inputs);
  }

  void opened(std::size_t input, const media::StreamInfo& stream) override {
    if (save_paths_.empty()) return;
    media::ClipOptions options;
    if (stream.frame_rate > 0) options.frame_rate = stream.frame_rate;
    if (stream.time_base_num > 0) {
      options.time_base_num = stream.time_base_num;
      options.time_base_den = stream.time_base_den;
    }
    videos_[input] = std::make_unique<media::AnnotatedVideoWriter>(save_paths_[input], class_names_, options);
  }

  void frame(std::size_t input, const sinks::FrameResult& result, const Frame& frame) override {
    if (videos_[input]) require(videos_[input]->write(frame.image, frame.pts, result.detections));
    if (!lines_) return;
    const std::lock_guard lock{mutex_};
    line_.clear();
    sinks::append_jsonl(result, class_names_, line_);
    require(lines_->write(line_));
  }

  void closed(std::size_t input) override {
    if (videos_[input]) require(videos_[input]->finish());
  }

 private:
  static void require(const Result<void>& done) {
    if (!done) throw StartupError(done.error().message);
  }

  /// One input: the file itself. Several: NAME.mp4 of each in the folder that `save` names.
  static std::vector<std::string> save_paths(const std::string& save, const std::vector<app::OfflineInput>& inputs) {
    namespace fs = std::filesystem;
    for (const auto& input : inputs)
      if (input.pictures) throw StartupError(input.url + ": --save makes videos of videos; leave it out for pictures");
    std::error_code error;
    const bool folder = inputs.size() > 1 || fs::is_directory(save, error);
    if (folder && !fs::is_directory(save, error) && !fs::create_directories(save, error))
      throw StartupError(save + ": this folder can't be made, and several inputs need one: " + error.message());
    std::vector<std::string> paths;
    for (const auto& input : inputs) paths.push_back(folder ? (fs::path{save} / (input.name + ".mp4")).string() : save);
    return paths;
  }

  const std::vector<std::string>& class_names_;
  std::vector<std::string> save_paths_;
  std::vector<std::unique_ptr<media::AnnotatedVideoWriter>> videos_;  // each is its input's thread's
  std::mutex mutex_;                                                  // what follows: inputs write at the same time
  std::string line_;
  std::optional<sinks::LineFile> lines_;
};

void print_summary(std::FILE* out, const std::vector<app::InputReport>& reports, const app::OfflineProgress& progress,
                   const app::StageHistograms& latency) {
  std::vector<std::vector<std::string>> rows{{"input", "frames", "published", "drops"}};
  FrameCounts all;
  for (const auto& report : reports) {
    all += report.frames;
    rows.push_back({report.name, std::to_string(report.frames.received), std::to_string(report.frames.published()),
                    drops_text(report.frames)});
  }
  if (reports.size() > 1)
    rows.push_back({"all", std::to_string(all.received), std::to_string(all.published()), drops_text(all)});
  std::fputs(format_table(rows).c_str(), out);
  const double rate = progress.seconds > 0 ? static_cast<double>(all.published()) / progress.seconds : 0;
  std::fprintf(out, "\n%s frames/s over %s s\n\n", fixed(rate, 1).c_str(), fixed(progress.seconds, 1).c_str());
  rows = {{"latency, ms", "mean", "p50", "p90", "p99"}};
  const auto add = [&rows](const char* name, const scheduler::Histogram& seconds) {
    rows.push_back({name, fixed(seconds.mean() * 1e3, 2), fixed(seconds.quantile(.5) * 1e3, 2),
                    fixed(seconds.quantile(.9) * 1e3, 2), fixed(seconds.quantile(.99) * 1e3, 2)});
  };
  add("queue", latency.queue);
  add("preprocess", latency.preprocess);
  add("inference", latency.inference);
  add("postprocess", latency.postprocess);
  add("total", latency.total);
  std::fputs(format_table(rows).c_str(), out);
}

void print_json(const std::vector<app::InputReport>& reports, const app::OfflineProgress& progress,
                const app::StageHistograms& latency, const engine::Backend& backend) {
  nlohmann::json inputs = nlohmann::json::array();
  FrameCounts all;
  for (const auto& report : reports) {
    all += report.frames;
    nlohmann::json input{{"name", report.name}, {"input", report.url}, {"frames", counts_json(report.frames)}};
    if (report.error) input["error"] = report.error->message;
    inputs.push_back(std::move(input));
  }
  const double rate = progress.seconds > 0 ? static_cast<double>(all.published()) / progress.seconds : 0;
  const nlohmann::json summary{{"model", backend.model().name},
                               {"device", backend.capabilities().device},
                               {"inputs", std::move(inputs)},
                               {"frames", counts_json(all)},
                               {"seconds", progress.seconds},
                               {"frames_per_second", rate},
                               {"latency_ms",
                                {{"queue", latency_json(latency.queue)},
                                 {"preprocess", latency_json(latency.preprocess)},
                                 {"inference", latency_json(latency.inference)},
                                 {"postprocess", latency_json(latency.postprocess)},
                                 {"total", latency_json(latency.total)}}}};
  std::printf("%s\n", summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

/// Nothing usable is bad input; something lost on the way is a failure.
int judge(const std::vector<app::InputReport>& reports) {
  bool any_published = false;
  bool any_error = false;
  for (const auto& report : reports) {
    any_published = any_published || report.frames.published() > 0;
    any_error = any_error || report.error.has_value();
    if (report.error) {
      auto message = report.error->message;
      if (report.errors > 1) message += " (and " + std::to_string(report.errors - 1) + " more)";
      print_error(message.c_str());
    }
  }
  if (!any_error) return kOk;
  return any_published ? kFailed : kBadInput;
}

int run(const DetectCommand& command) {
  std::atomic<app::OfflineJob*> running{nullptr};
  std::atomic<bool> interrupted{false};
  const SignalWatch signals{{SIGINT, SIGTERM}, [&](int) {
                              interrupted = true;
                              if (auto* job = running.load()) job->stop();
                            }};
  scene::register_scene_sources();
  media::SourceConfig like;
  like.transport = command.transport == "udp" ? media::Transport::kUdp : media::Transport::kTcp;
  auto inputs = make_inputs(command.inputs, like);
  const auto backend = open_model(command.model);
  app::OfflineOptions options;
  options.detect = resolve(command.detect, backend->model());
  options.max_frames = command.max_frames;
  options.make_decoder = [] { return media::make_ffmpeg_decoder({.threads = 1}); };
  options.keep_pixels = !command.save.empty();
  DetectOutput output{command, inputs, backend->model().class_names};
  const SteadyClock clock;
  app::OfflineJob job{*backend, clock, std::move(options)};
  running = &job;
  if (interrupted) job.stop();
  std::vector<app::InputReport> reports;
  {
    const Progress progress{"frames", [&job] {
                              const auto now = job.progress();
                              return ProgressReading{now.frames, now.frames_total, now.seconds};
                            }};
    reports = job.run(std::move(inputs), output);
  }
  running = nullptr;
  if (command.json)
    print_json(reports, job.progress(), job.latency(), *backend);
  else
    print_summary(command.json_out == "-" ? stderr : stdout, reports, job.progress(), job.latency());
  const int verdict = judge(reports);
  return interrupted ? kInterrupted : verdict;
}

}  // namespace

void add_detect(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<DetectCommand>();
  auto* detect = app.add_subcommand("detect", "Run the detector over files, folders of pictures and streams");
  detect->add_option("INPUT", command->inputs, "Video files, pictures, folders, URLs")->required();
  add_model_options(*detect, command->model);
  detect->add_option("--json-out", command->json_out,
                     "Write one JSON object a frame to this file; - is standard output");
  detect->add_option("--save", command->save, "Write an annotated MP4; for several inputs, a folder of them");
  add_detect_options(*detect, command->detect);
  detect->add_option("--max-frames", command->max_frames, "Stop each input after this many frames; 0 takes all")
      ->capture_default_str();
  detect->add_option("--transport", command->transport, "How RTSP carries the video: tcp or udp")
      ->capture_default_str()
      ->check(CLI::IsMember({"tcp", "udp"}));
  detect->add_flag("--json", command->json, "Print the summary as JSON on standard output");
  detect->footer("Example:\n  gantry detect motorway.mp4 --model yolo11n.onnx --json-out motorway.jsonl");
  detect->callback([command, &exit_code] {
    if (command->json && command->json_out == "-")
      throw StartupError("--json and --json-out - both want standard output; give --json-out a file");
    exit_code = run(*command);
  });
}

}  // namespace gantry::cli
