// gantry scene render|dataset|score|diagram: simulated intersections as clips, training data and a measure of
// detectors.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/summary.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/media/clip_writer.hpp"
#include "gantry/media/jpeg.hpp"
#include "gantry/scene/dataset.hpp"
#include "gantry/scene/diagram.hpp"
#include "gantry/scene/playback.hpp"
#include "gantry/scene/score.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::cli {
namespace {

struct RenderCommand {
  std::string scene;
  std::string out;
  std::string truth;
  std::string length = "10s";
};

/// "junction", "junction?seed=7" and a whole scene:// address all name a scene.
scene::SceneOptions scene_options(const RenderCommand& command) {
  std::string uri = command.scene;
  if (!uri.starts_with("scene://")) uri = "scene://" + uri;
  if (uri.find("for=") == std::string::npos)
    uri += (uri.find('?') == std::string::npos ? "?for=" : "&for=") + command.length;
  return scene::parse_scene_uri(uri);
}

/// Where rendered frames go: a clip, or a folder of JPEGs.
class FrameOutput {
 public:
  FrameOutput(const std::string& path, double fps) : path_(path) {
    const std::string ending = std::filesystem::path(path).extension().string();
    if (!ending.empty()) {
      media::ClipOptions options;
      options.frame_rate = fps;
      clip_.emplace(path, options);
    } else {
      std::error_code error;
      std::filesystem::create_directories(path, error);
      if (error) throw MediaError("The folder " + path + " can't be made: " + error.message());
    }
  }
  void write(const Image& image, std::uint64_t seq, Duration pts) {
    if (clip_) {
      if (const auto done = clip_->write(image, pts); !done) throw MediaError(done.error().message);
      return;
    }
    if (const auto done = jpeg_.encode(image, 92, bytes_); !done) throw MediaError(done.error().message);
    char name[32];
    std::snprintf(name, sizeof name, "%06llu.jpg", static_cast<unsigned long long>(seq));
    const std::string file = (std::filesystem::path(path_) / name).string();
    std::FILE* out = std::fopen(file.c_str(), "wb");
    const bool written = out != nullptr && std::fwrite(bytes_.data(), 1, bytes_.size(), out) == bytes_.size();
    if (out == nullptr || std::fclose(out) != 0 || !written)
      throw MediaError("The picture " + file + " can't be written.");
  }
  void finish() {
    if (!clip_) return;
    if (const auto done = clip_->finish(); !done) throw MediaError(done.error().message);
  }

 private:
  std::string path_;
  std::optional<media::ClipWriter> clip_;
  media::JpegEncoder jpeg_;
  std::vector<std::uint8_t> bytes_;
};

void render(const RenderCommand& command) {
  const scene::SceneOptions options = scene_options(command);
  scene::Playback playback(options);
  std::optional<FrameOutput> output;
  if (!command.out.empty()) output.emplace(command.out, options.view.fps);
  std::optional<sinks::LineFile> truth;
  const std::string truth_path = command.truth.empty() ? options.truth_path : command.truth;
  const auto put = [&](const std::string& text) {
    if (const auto done = truth->write(text); !done) throw MediaError(done.error().message);
  };
  if (!truth_path.empty()) {
    truth.emplace(truth_path, sinks::LineFile::Mode::kReplace);
    put(playback.camera_json());
  }
  const double seconds = std::chrono::duration<double>(options.length).count();
  const auto frames = static_cast<std::uint64_t>(seconds * options.view.fps + 0.999999);
  std::atomic<std::uint64_t> done{0};
  const auto start = SteadyClock{}.now();
  std::vector<std::uint8_t> pixels(playback.frame_bytes());
  std::string line;
  {
    const Progress progress("frames", [&] {
      return ProgressReading{done, frames, std::chrono::duration<double>(SteadyClock{}.now() - start).count()};
    });
    for (std::uint64_t seq = 0; seq < frames; ++seq) {
      const double ms = static_cast<double>(seq) * 1000 / options.view.fps;
      playback.draw(ms, ms, seq, pixels.data());
      if (output) output->write(playback.view(pixels.data()), seq, Duration(static_cast<std::int64_t>(ms * 1e6)));
      if (truth) {
        line.clear();
        scene::append_truth_jsonl(playback.truth(), line);
        put(line);
      }
      ++done;
    }
  }
  if (output) output->finish();
  const double took = std::chrono::duration<double>(SteadyClock{}.now() - start).count();
  std::printf("%llu frames of %s in %.2f s: %.1f frames/s\n", static_cast<unsigned long long>(frames),
              playback.truth().camera.c_str(), took, static_cast<double>(frames) / took);
}

struct DatasetCommand {
  std::string out;
  scene::DatasetOptions options;
};

void dataset(const DatasetCommand& command) {
  std::atomic<int> written{0};
  const auto start = SteadyClock{}.now();
  const Progress progress("pictures", [&] {
    return ProgressReading{static_cast<std::uint64_t>(written.load()),
                           static_cast<std::uint64_t>(command.options.count),
                           std::chrono::duration<double>(SteadyClock{}.now() - start).count()};
  });
  scene::write_dataset(command.out, command.options, [&](int n) { written = n; });
}

struct ScoreCommand {
  std::string truth;
  std::string results;
  scene::ScoreOptions options;
  double min_precision = 0;
  double min_recall = 0;
  double min_map50 = 0;
  bool json = false;
};

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw MediaError("The file " + path + " can't be read.");
  return {std::istreambuf_iterator<char>(file), {}};
}

void print_score(const scene::ScoreReport& report) {
  const auto number = [](double v) { return v < 0 ? std::string("-") : fixed(v, 3); };
  std::vector<std::vector<std::string>> rows{
      {"class", "objects", "found", "wrong", "precision", "recall", "AP50", "AP50-95"}};
  std::uint64_t objects = 0;
  std::uint64_t found = 0;
  std::uint64_t wrong = 0;
  for (const scene::ClassReport& c : report.classes) {
    rows.push_back({c.name, std::to_string(c.objects), std::to_string(c.found), std::to_string(c.wrong),
                    number(c.precision), number(c.recall), number(c.ap50), number(c.ap50_95)});
    objects += c.objects;
    found += c.found;
    wrong += c.wrong;
  }
  rows.push_back({"all", std::to_string(objects), std::to_string(found), std::to_string(wrong),
                  number(report.precision), number(report.recall), number(report.map50), number(report.map50_95)});
  std::fputs(format_table(rows).c_str(), stdout);
  std::printf("\n%llu frames, %llu without a result\n", static_cast<unsigned long long>(report.frames),
              static_cast<unsigned long long>(report.without_result));
  std::printf("first detection: median %s ms, p90 %s ms after it was there to see; %llu of %llu objects never found\n",
              report.first_median_ms < 0 ? "-" : fixed(report.first_median_ms, 0).c_str(),
              report.first_p90_ms < 0 ? "-" : fixed(report.first_p90_ms, 0).c_str(),
              static_cast<unsigned long long>(report.never_found), static_cast<unsigned long long>(report.tracks));
}

void print_score_json(const scene::ScoreReport& report) {
  // -1 means that there is nothing to say: null.
  const auto number = [](double v) { return v < 0 ? nlohmann::json() : nlohmann::json(v); };
  nlohmann::json classes = nlohmann::json::array();
  for (const scene::ClassReport& c : report.classes) {
    classes.push_back({{"class", c.name},
                       {"objects", c.objects},
                       {"found", c.found},
                       {"wrong", c.wrong},
                       {"precision", number(c.precision)},
                       {"recall", number(c.recall)},
                       {"ap50", number(c.ap50)},
                       {"ap50_95", number(c.ap50_95)}});
  }
  const nlohmann::json all{
      {"frames", report.frames},
      {"without_result", report.without_result},
      {"precision", number(report.precision)},
      {"recall", number(report.recall)},
      {"map50", number(report.map50)},
      {"map50_95", number(report.map50_95)},
      {"first_detection_ms", {{"median", number(report.first_median_ms)}, {"p90", number(report.first_p90_ms)}}},
      {"tracks", report.tracks},
      {"never_found", report.never_found},
      {"classes", classes}};
  std::printf("%s\n", all.dump().c_str());
}

/// False where a floor is not reached.
bool score(const ScoreCommand& command) {
  const auto report = scene::score(read_text(command.truth), read_text(command.results), command.options);
  if (!report) throw MediaError(report.error().message);
  command.json ? print_score_json(*report) : print_score(*report);
  bool good = true;
  const auto floor = [&](const char* what, double value, double least) {
    if (value >= least || least <= 0) return;
    print_error((std::string(what) + " is " + (value < 0 ? "not defined" : fixed(value, 4)) + ", below the floor of " +
                 fixed(least, 4))
                    .c_str());
    good = false;
  };
  floor("precision", report->precision, command.min_precision);
  floor("recall", report->recall, command.min_recall);
  floor("mAP50", report->map50, command.min_map50);
  return good;
}

struct DiagramCommand {
  std::string out;
  std::uint64_t seed = 1;
  double minutes = 4;
};

void diagram(const DiagramCommand& command) {
  const std::vector<scene::DiagramPoint> points = scene::measure_diagram(command.seed, command.minutes);
  std::ofstream file(command.out, std::ios::binary);
  file << scene::diagram_svg(points);
  if (!file.flush()) throw MediaError("The file " + command.out + " can't be written.");
  double most = 0;
  double at = 0;
  for (const scene::DiagramPoint& p : points) {
    if (p.flow > most) {
      most = p.flow;
      at = p.density;
    }
  }
  std::printf("%zu intervals of 30 s; largest flow %.0f vehicles/h and lane at %.1f vehicles/km, headway %.2f s\n",
              points.size(), most, at, most > 0 ? 3600 / most : 0.0);
}

}  // namespace

void add_scene(CLI::App& app, int& exit_code) {
  CLI::App* group = app.add_subcommand("scene", "Simulated intersections with ground truth");
  group->require_subcommand(1);
  group->footer("Example:\n  gantry scene dataset --count 100 --seed 1 --out data/scene");

  auto render_command = std::make_shared<RenderCommand>();
  CLI::App* render_app =
      group->add_subcommand("render", "Draw a scene into a clip or a folder of JPEGs, with its truth");
  render_app->add_option("scene", render_command->scene, "junction, motorway, suburb, or a scene:// address")
      ->required();
  render_app->add_option("--out", render_command->out, "CLIP.mp4, or a folder for JPEGs");
  render_app->add_option("--truth", render_command->truth, "JSON lines: the camera, then one line a frame");
  render_app->add_option("--for", render_command->length, "length where the address has none")->capture_default_str();
  render_app->footer(
      "Example:\n  gantry scene render 'scene://junction?seed=7&camera=2&hour=18&weather=rain&fps=15&for=30s' --out "
      "clip.mp4 --truth truth.jsonl");
  render_app->callback([render_command, &exit_code] {
    render(*render_command);
    exit_code = kOk;
  });

  auto dataset_command = std::make_shared<DatasetCommand>();
  CLI::App* dataset_app = group->add_subcommand("dataset", "Write labelled pictures of varied scenes for training");
  dataset_app->add_option("--out", dataset_command->out, "folder to write into")->required();
  dataset_app->add_option("--count", dataset_command->options.count, "pictures")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  dataset_app->add_option("--seed", dataset_command->options.seed, "same seed, same pictures")->capture_default_str();
  dataset_app
      ->add_option("--per-sitting", dataset_command->options.per_sitting, "pictures of one camera before another one")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  dataset_app->add_option("--val", dataset_command->options.val_share, "share of the cameras kept for validation")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  dataset_app->add_option("--quality", dataset_command->options.quality, "JPEG quality")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  dataset_app->add_option("--threads", dataset_command->options.threads, "threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  dataset_app->footer("Example:\n  gantry scene dataset --count 4000 --seed 1 --threads 2 --out data/scene");
  dataset_app->callback([dataset_command, &exit_code] {
    dataset(*dataset_command);
    exit_code = kOk;
  });

  auto score_command = std::make_shared<ScoreCommand>();
  CLI::App* score_app = group->add_subcommand("score", "Compare a detector's results with a scene's truth");
  score_app->add_option("truth", score_command->truth, "JSON lines of `scene render --truth`")->required();
  score_app->add_option("results", score_command->results, "JSON lines of `detect --json-out`")->required();
  score_app->add_option("--camera", score_command->options.camera, "only this camera's lines of the results");
  score_app->add_option("--conf", score_command->options.confidence, "least confidence for precision and recall")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  score_app->add_option("--iou", score_command->options.iou, "overlap at which a box is right")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  score_app
      ->add_option("--max-occlusion", score_command->options.max_occlusion, "objects hidden more need not be found")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  score_app->add_option("--min-side", score_command->options.min_side_px, "pixels; smaller objects need not be found")
      ->capture_default_str();
  score_app->add_option("--min-precision", score_command->min_precision, "exit 1 below it");
  score_app->add_option("--min-recall", score_command->min_recall, "exit 1 below it");
  score_app->add_option("--min-map50", score_command->min_map50, "exit 1 below it");
  score_app->add_flag("--json", score_command->json, "machine-readable");
  score_app->footer("Example:\n  gantry scene score truth.jsonl results.jsonl --min-recall 0.8");
  score_app->callback([score_command, &exit_code] { exit_code = score(*score_command) ? kOk : kFailed; });

  auto diagram_command = std::make_shared<DiagramCommand>();
  CLI::App* diagram_app =
      group->add_subcommand("diagram", "Measure the traffic's fundamental diagram and draw it as SVG");
  diagram_app->add_option("--out", diagram_command->out, "FILE.svg")->required();
  diagram_app->add_option("--seed", diagram_command->seed)->capture_default_str();
  diagram_app->add_option("--minutes", diagram_command->minutes, "simulated minutes for each of ten demands")
      ->check(CLI::Range(1.0, 600.0))
      ->capture_default_str();
  diagram_app->footer("Example:\n  gantry scene diagram --out diagram.svg");
  diagram_app->callback([diagram_command, &exit_code] {
    diagram(*diagram_command);
    exit_code = kOk;
  });
}

}  // namespace gantry::cli
