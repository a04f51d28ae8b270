// gantry scene render|dataset: simulated intersections as clips, pictures and training data.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/media/clip_writer.hpp"
#include "gantry/media/jpeg.hpp"
#include "gantry/scene/dataset.hpp"
#include "gantry/scene/playback.hpp"
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

}  // namespace

void add_scene(CLI::App& app, int& exit_code) {
  CLI::App* group = app.add_subcommand("scene", "Simulated intersections with ground truth");
  group->require_subcommand(1);

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
}

}  // namespace gantry::cli
