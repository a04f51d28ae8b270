// gantry demo: four simulated cameras of one junction through the whole server, its web page included, scored against
// the truth at the end.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/demo_report.hpp"
#include "cli/duration.hpp"
#include "cli/http_service.hpp"
#include "cli/log.hpp"
#include "cli/signals.hpp"
#include "cli/summary.hpp"
#include "gantry/app/system.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/scene/options.hpp"
#include "gantry/scene/source.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::cli {
namespace {

constexpr int kCameras = 4;
constexpr int kWidth = 640, kHeight = 360;
/// Share of what the back end can do that the demo asks for: drawing the scene and the rest of the machine want theirs.
constexpr double kPace = 0.5;
constexpr std::chrono::seconds kTableEvery{2};
constexpr int kUsualPort = 8080;

struct DemoCommand {
  std::string duration;
  std::string model = "gantry-traffic-n";
  std::string keep;
  std::string weather = "clear";
  double fps = 0;
  double hour = 14;
  unsigned long long seed = 7;
  std::optional<int> port;
  bool json = false;
};

/// Where results and truth are kept while the demo runs; gone at the end unless the user named it.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& keep) : kept_(!keep.empty()) {
    if (kept_) {
      path_ = keep;
      std::error_code error;
      std::filesystem::create_directories(path_, error);
      if (error) throw ConfigError("--keep: " + keep + " can't be made: " + error.message());
      return;
    }
    std::string name = (std::filesystem::temp_directory_path() / "gantry-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw StartupError(name + ": can't be made; set TMPDIR to a folder that can be written");
    path_ = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    if (!kept_) std::filesystem::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool kept_;
};

/// The web page of the demo, open to whoever has the link that login() prints; token and changes made through it go
/// with the folder.
class Page {
 public:
  /// @param port none: the usual one, or any free one where that is taken. @throws StartupError
  Page(std::optional<int> port, const std::filesystem::path& folder, app::System& system, const Clock& clock,
       const app::LogFn& log)
      : changes_(folder / "cameras.json") {
    config::ServerConfig config;
    config.tokens = folder / "tokens.json";
    config.port = port.value_or(kUsualPort);
    auto token = server::TokenStore{config.tokens}.create("demo", server::Role::kAdmin, std::nullopt);
    if (!token) throw StartupError(token.error().message);
    token_ = std::move(token).value();
    try {
      http_.emplace(config, system, changes_, clock, log);
    } catch (const StartupError&) {
      if (port) throw;
      config.port = 0;
      http_.emplace(config, system, changes_, clock, log);
    }
  }
  void running() noexcept { http_->running(); }
  void stopping() noexcept { http_->stopping(); }
  /// What follows # stays in the browser: it is in no request and no log.
  [[nodiscard]] std::string login() const { return http_->url() + "/#token=" + token_; }

 private:
  server::CameraState changes_;
  std::string token_;
  std::optional<HttpService> http_;
};

/// Frames a second and camera that this machine carries with room to spare, 1…15.
double choose_fps(engine::Backend& backend) {
  const auto shape = backend.shape_for(kWidth, kHeight);
  backend.prepare(shape, 1);
  const auto profiles = backend.profiles();
  const auto one = std::find_if(profiles.begin(), profiles.end(),
                                [&](const engine::Profile& p) { return p.shape == shape && p.batch == 1; });
  if (one == profiles.end() || one->mean <= Duration{}) return 1;
  const double rate = 1 / std::chrono::duration<double>(one->mean).count();
  return std::clamp(std::floor(kPace * rate / kCameras), 1.0, 15.0);
}

config::Config make_config(const DemoCommand& command, double fps, const std::vector<DemoCamera>& cameras) {
  config::Config config;
  config.model.path = command.model;
  config.results.jsonl.clear();
  for (std::size_t i = 0; i < cameras.size(); ++i) {
    char address[512];
    std::snprintf(
        address, sizeof address,
        "scene://junction?seed=%llu&camera=%zu&density=0.6&hour=%g&weather=%s&fps=%g&size=%dx%d&pace=live&truth=%s",
        command.seed, i, command.hour, command.weather.c_str(), fps, kWidth, kHeight, cameras[i].truth.c_str());
    config::CameraConfig camera = config.defaults;
    camera.source = address;
    camera.deadline = std::chrono::milliseconds{1000};
    if (i == 0) camera.priority = Priority::kUrgent;
    config.cameras[cameras[i].id] = camera;
  }
  return config;
}

std::vector<std::string> states_of(const app::System& system) {
  std::vector<std::string> states;
  for (const auto& camera : system.cameras()) states.emplace_back(media::to_string(camera.state));
  return states;
}

/// @param states of the cameras in the system's order; a stopped system's cameras have none worth telling
std::string live_table(const app::System& system, double seconds, const std::vector<std::string>& states) {
  std::vector<std::vector<std::string>> rows{
      {"camera", "state", "in", "published", "late", "dropped", "p50 ms", "p99 ms"}};
  const auto cameras = system.cameras();
  for (std::size_t i = 0; i < cameras.size(); ++i) {
    const auto& camera = cameras[i];
    const auto& total = camera.latency->total;
    rows.push_back({camera.id, i < states.size() ? states[i] : "", std::to_string(camera.frames.received),
                    std::to_string(camera.frames.published()), std::to_string(camera.frames[Outcome::kPublishedLate]),
                    std::to_string(camera.frames.dropped()), fixed(1000 * total.quantile(0.5), 0),
                    fixed(1000 * total.quantile(0.99), 0)});
  }
  return "after " + fixed(seconds, 0) + " s\n" + format_table(rows);
}

int run(const DemoCommand& command) {
  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;
  const SignalWatch signals{{SIGINT, SIGTERM}, [&](int) {
                              const std::lock_guard lock{mutex};
                              stop = true;
                              wake.notify_all();
                            }};
  scene::register_scene_sources();
  const WorkFolder folder(command.keep);
  const auto results_path = folder.path() / "results.jsonl";
  const auto& views = scene::camera_names("junction");
  std::vector<DemoCamera> cameras;
  for (int i = 0; i < kCameras; ++i)
    cameras.push_back(
        {views.at(static_cast<std::size_t>(i)), folder.path() / ("truth-" + std::to_string(i) + ".jsonl")});

  Log log{config::LogLevel::kWarning};
  const SteadyClock clock;
  auto backends = open_backends(make_config(command, 1, cameras));
  const double fps = command.fps > 0 ? command.fps : choose_fps(*backends.front());
  const auto config = make_config(command, fps, cameras);
  const std::string device = backends.front()->capabilities().device;
  const app::LogFn to_log = [&log](app::Severity severity, std::string_view text) { log.write(severity, text); };
  app::System system{config, std::move(backends), clock, to_log};
  std::optional<sinks::JsonlSink> results;
  results.emplace(results_path.string(), system.model().class_names);
  app::Subscription to_results =
      system.subscribe([&results](const sinks::FrameResult& result) { results->publish(result); });

  std::optional<Page> page{std::in_place, command.port, folder.path(), system, clock, to_log};

  std::FILE* const say = command.json ? stderr : stdout;
  std::fprintf(say, "One junction, %d cameras of %dx%d at %g frames/s, %s on %s%s\n", kCameras, kWidth, kHeight, fps,
               system.model().name.c_str(), device.c_str(), command.duration.empty() ? "; Ctrl-C ends it" : "");
  std::fprintf(say, "Watch it at %s\n", page->login().c_str());
  std::fflush(say);
  const bool terminal = ::isatty(::fileno(say)) == 1;
  const auto started = clock.now();
  const auto end = command.duration.empty() ? TimePoint::max() : started + parse_duration(command.duration).value();
  system.start();
  page->running();
  int drawn_lines = 0;
  for (auto next = started + kTableEvery;; next += kTableEvery) {
    std::unique_lock lock{mutex};
    wake.wait_until(lock, std::min(next, end), [&] { return stop; });
    const bool over = stop || clock.now() >= end;
    lock.unlock();
    if (over) break;
    const auto table =
        live_table(system, std::chrono::duration<double>(clock.now() - started).count(), states_of(system));
    if (terminal && drawn_lines > 0) std::fprintf(say, "\033[%dA\033[J", drawn_lines);
    std::fputs(table.c_str(), say);
    std::fflush(say);
    drawn_lines = static_cast<int>(std::count(table.begin(), table.end(), '\n'));
  }
  const double seconds = std::chrono::duration<double>(clock.now() - started).count();
  const std::vector<std::string> last_states = states_of(system);
  page->stopping();
  system.stop();
  page.reset();
  to_results.reset();
  results.reset();  // writes what is left

  const FrameCounts totals = system.totals();
  const auto score = score_demo(results_path, cameras);
  if (command.json) {
    auto document = nlohmann::json{
        {"seconds", seconds}, {"fps", fps}, {"device", device}, {"frames", counts_json(totals)}, {"score", score}};
    for (const auto& camera : system.cameras()) document["latency_ms"][camera.id] = latency_json(camera.latency->total);
    std::printf("%s\n", document.dump(2).c_str());
  } else {
    if (terminal && drawn_lines > 0) std::fprintf(say, "\033[%dA\033[J", drawn_lines);
    std::printf("%s\ndrops: %s\n\n%s", live_table(system, seconds, last_states).c_str(), drops_text(totals).c_str(),
                demo_score_text(score).c_str());
    if (!command.keep.empty()) std::printf("results and truth are in %s\n", folder.path().c_str());
  }
  return totals.in_flight == 0 ? kOk : kFailed;
}

}  // namespace

void add_demo(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<DemoCommand>();
  auto* demo = app.add_subcommand("demo", "Watch a simulated junction with four cameras and compare with the truth");
  demo->add_option("--for", command->duration, "Stop after this time: 30s, 5m; without it, at Ctrl-C")
      ->check([](const std::string& text) {
        return parse_duration(text) ? std::string{} : "'" + text + "' is no duration; write it like 30s or 5m";
      });
  demo->add_option("-m,--model", command->model, "Detector: a file, or the name of a bundled one")
      ->capture_default_str();
  demo->add_option("--fps", command->fps, "Frames a second and camera; 0: what this machine carries")
      ->check(CLI::Range(0.0, 60.0));
  demo->add_option("--hour", command->hour, "Time of day in the scene")
      ->check(CLI::Range(0.0, 24.0))
      ->capture_default_str();
  demo->add_option("--weather", command->weather, "clear, overcast, rain or fog")
      ->check(CLI::IsMember({"clear", "overcast", "rain", "fog"}))
      ->capture_default_str();
  demo->add_option("--seed", command->seed, "Same seed, same traffic")->capture_default_str();
  demo->add_option("--port", command->port, "Port of the web page; 0: any free one (default: 8080 or any free one)")
      ->check(CLI::Range(0, 65535));
  demo->add_option("--keep", command->keep, "Leave results and truth in this folder");
  demo->add_flag("--json", command->json, "Print the summary as JSON on standard output");
  demo->footer("Example:\n  gantry demo --for 30s");
  demo->callback([command, &exit_code] { exit_code = run(*command); });
}

}  // namespace gantry::cli
