// gantry serve -c gantry.yaml : live cameras, for ever.
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "cli/card_decoders.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/duration.hpp"
#include "cli/file_watch.hpp"
#include "cli/http_service.hpp"
#include "cli/log.hpp"
#include "cli/reloader.hpp"
#include "cli/signals.hpp"
#include "cli/status_report.hpp"
#include "cli/trace_recorder.hpp"
#include "gantry/app/system.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/scene/source.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::cli {
namespace {

struct ServeCommand {
  std::string config;
  std::string duration;
  std::string trace;
  std::vector<std::string> verified;
  bool json = false;
};

/// What signals and the watch of the file ask of the main thread.
class Requests {
 public:
  enum class What { kNothing, kReload, kReloadAndReopen, kStop };
  void signal(int number) { number == SIGHUP ? ask(reopen_) : ask(stop_); }
  void file_changed() { ask(reload_); }
  [[nodiscard]] What wait_until(TimePoint deadline) {
    std::unique_lock lock{mutex_};
    wake_.wait_until(lock, deadline, [this] { return reload_ || reopen_ || stop_; });
    if (stop_) return What::kStop;
    const bool reload = std::exchange(reload_, false);
    if (std::exchange(reopen_, false)) return What::kReloadAndReopen;
    return reload ? What::kReload : What::kNothing;
  }

 private:
  void ask(bool& what) {
    {
      const std::lock_guard lock{mutex_};
      what = true;
    }
    wake_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool reload_ = false;
  bool reopen_ = false;
  bool stop_ = false;
};

int run(const ServeCommand& command) {
  Requests requests;
  const SignalWatch signals{{SIGINT, SIGTERM, SIGHUP}, [&](int number) { requests.signal(number); }};
  scene::register_scene_sources();
  auto config = config::load_file(command.config);
  std::optional<server::CameraState> changes_by_clients;
  if (config.server.enabled) {
    changes_by_clients.emplace(config.server.state_file);
    config = changes_by_clients->over(std::move(config));
  }
  if (command.json && config.results.jsonl == "-")
    throw ConfigError("--json and results.jsonl \"-\" both want standard output; give results.jsonl a file or \"\"");
  Log log{config.log.level};
  const SteadyClock clock;
  std::optional<TraceRecorder> trace;  // outlives the cameras
  if (!command.trace.empty()) trace.emplace(command.trace);
  const app::LogFn to_log = [&log](app::Severity severity, std::string_view text) { log.write(severity, text); };
  auto backends = open_backends(config);
  const CardDecoders decoders = open_card_decoders(backends, {.memory_fraction = config.engine.memory_fraction},
                                                   [&log](const std::string& text) { log.warning(text); });
  app::System system{config, std::move(backends), clock, to_log, decoders.maker(command.verified)};
  system.watch_decoders(decoders.reader());
  std::optional<sinks::JsonlSink> results;
  app::Subscription to_results;
  if (!config.results.jsonl.empty()) {
    results.emplace(config.results.jsonl, system.model().class_names);
    to_results = system.subscribe([&results](const sinks::FrameResult& result) { results->publish(result); });
  }
  if (trace)
    system.watch_arrivals(
        [&trace](const Frame& frame, engine::InputShape input, TimePoint at) { trace->arrived(frame, input, at); });
  if (config.cameras.empty()) log.warning(command.config + " has no cameras; add some to it");

  const auto started = clock.now();
  StatusReport status{started};
  const auto report = [&] {
    const auto reading = status.read(system, clock.now());
    for (const auto& line : reading.lines) log.info(line);
    if (command.json) {
      std::printf("%s\n", reading.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      std::fflush(stdout);
    }
  };
  Reloader reloader{command.config, system, log, changes_by_clients ? &*changes_by_clients : nullptr};
  std::optional<HttpService> http;
  if (config.server.enabled) http.emplace(config.server, system, *changes_by_clients, clock, to_log, &reloader);
  std::optional<FileWatch> watch;
  if (config.reload.watch) watch.emplace(command.config, [&requests] { requests.file_changed(); });
  system.start();
  if (http) http->running();
  log.info("serving " + std::to_string(config.cameras.size()) + " cameras with " + system.model().name);
  const auto end = command.duration.empty() ? TimePoint::max() : started + parse_duration(command.duration).value();
  auto next_report = started + config.log.status_interval;
  while (true) {
    const auto interval = system.config().log.status_interval;
    const auto until = std::min(end, interval > Duration{} ? next_report : TimePoint::max());
    const auto what = requests.wait_until(until);
    if (what == Requests::What::kStop || clock.now() >= end) break;
    if (what == Requests::What::kReloadAndReopen && results)
      results->reopen();  // whoever rotates files sends the same signal
    if (what != Requests::What::kNothing) static_cast<void>(reloader.reload());  // says itself what came of it
    if (interval > Duration{} && clock.now() >= next_report) {
      report();
      next_report = clock.now() + interval;
    }
  }
  watch.reset();
  log.info("stopping: what is on its way is finished");
  if (http) http->stopping();
  system.stop();
  http.reset();
  to_results.reset();
  report();
  if (results) {
    const auto stats = results->stats();
    if (stats.overflowed + stats.failed > 0)
      log.warning("results: " + std::to_string(stats.overflowed) + " did not fit into the outbox and " +
                  std::to_string(stats.failed) + " could not be written");
  }
  if (trace) {
    const auto stats = trace->flush();
    log.info("trace: " + std::to_string(stats.written) + " arrivals in " + command.trace);
    if (stats.lost > 0 || stats.failed)
      log.warning("trace: " + std::to_string(stats.lost) + " arrivals are missing" +
                  (stats.failed ? ", and the file could not be written to its end" : ""));
  }
  return kOk;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<ServeCommand>();
  auto* serve = app.add_subcommand("serve", "Watch the cameras of a configuration file");
  serve->add_option("-c,--config", command->config, "The configuration file")->required();
  serve->add_option("--for", command->duration, "Stop after this time: 500ms, 30s, 5m, 2h; without it, never")
      ->check([](const std::string& text) {
        return parse_duration(text) ? std::string{} : "'" + text + "' is no duration; write it like 30s, 5m or 2h";
      });
  serve->add_option("--record-trace", command->trace,
                    "Write when frames reached the scheduler into this CSV file, for a scenario of gantry simulate");
  serve->add_option("--verify-decoding", command->verified,
                    "Ids of cameras, or all: what they decode on a GPU in a shared session is decoded a second time in "
                    "one of their own and every picture compared; differences are logged and counted");
  serve->add_flag("--json", command->json, "Print the books as JSON on standard output, one object a status line");
  serve->footer("Example:\n  gantry serve -c gantry.yaml --for 30s");
  serve->callback([command, &exit_code] { exit_code = run(*command); });
}

}  // namespace gantry::cli
