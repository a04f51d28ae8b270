// gantry bench streams: how many cameras this machine carries.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/card_decoders.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/duration.hpp"
#include "cli/summary.hpp"
#include "gantry/app/stream_bench.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

struct StreamsCommand {
  ModelChoice model;
  std::vector<std::string> clips;
  int cameras = 8;
  int most = 2000;
  double frame_rate = 30;
  double minutes = 1;
  std::string probe = "10s";
  std::string deadline = "200ms";
  int max_batch = 32;
  bool find_capacity = false;
  bool decode_on_cpu = false;
  bool verify = false;
  bool json = false;
};

std::string mib(std::uint64_t bytes) {
  return fixed(static_cast<double>(bytes) / (1 << 20), 0);
}

nlohmann::json as_json(const app::StreamBenchReport& r) {
  auto choices = nlohmann::json::object();
  for (int i = 0; i < media::kDecodeReasonCount; ++i)
    if (const auto n = r.nvdec.choices[static_cast<std::size_t>(i)]; n > 0)
      choices[media::to_string(static_cast<media::DecodeReason>(i))] = n;
  return {{"cameras", r.cameras},
          {"live", r.live},
          {"seconds", r.seconds},
          {"frames_per_second", r.frames_per_second()},
          {"frames", counts_json(r.frames)},
          {"latency_ms", {{"p50", r.p50_ms}, {"p99", r.p99_ms}, {"p99.9", r.p999_ms}, {"max", r.most_ms}}},
          {"stage_p50_ms",
           {{"queue", r.queue_p50_ms},
            {"preprocess", r.preprocess_p50_ms},
            {"inference", r.inference_p50_ms},
            {"postprocess", r.postprocess_p50_ms}}},
          {"mean_batch", r.mean_batch},
          {"batches_running", r.engine_busy},
          {"cpu_cores", r.cpu_cores},
          {"cores", r.cores},
          {"rss_bytes", r.rss_bytes},
          {"gpu",
           {{"samples", r.gpu.samples},
            {"kernels_percent", r.gpu.compute_percent},
            {"nvdec_percent", r.gpu.decoder_percent},
            {"watts", r.gpu.watts},
            {"memory_bytes", r.gpu.memory_bytes}}},
          {"nvdec",
           {{"sessions", r.nvdec.sessions},
            {"cameras_shared", r.nvdec.cameras_shared},
            {"cameras_alone", r.nvdec.cameras_alone},
            {"reckoned_load", r.nvdec.load},
            {"decoded", r.nvdec.decoded},
            {"mapped", r.nvdec.mapped},
            {"refused", r.nvdec.refused},
            {"concealed", r.nvdec.concealed},
            {"map_failed", r.nvdec.map_failed},
            {"given_up", r.nvdec.given_up},
            {"no_output", r.nvdec.no_output},
            {"unlisted", r.nvdec.unlisted},
            {"verified", r.nvdec.verified},
            {"mismatched", r.nvdec.mismatched},
            {"choices", choices}}},
          {"holds", r.holds},
          {"bottleneck", r.bottleneck}};
}

void print(const app::StreamBenchReport& r, const StreamsCommand& command) {
  std::vector<std::vector<std::string>> rows{{"", ""}};
  const auto row = [&rows](const std::string& what, const std::string& value) { rows.push_back({what, value}); };
  row("cameras, live", std::to_string(r.cameras) + ", " + std::to_string(r.live));
  row("frames/s answered", fixed(r.frames_per_second(), 0));
  row("capture to result, ms: p50", fixed(r.p50_ms, 1));
  row("p99", fixed(r.p99_ms, 1));
  row("p99.9", fixed(r.p999_ms, 1));
  row("p50 of wait / preprocess / network / boxes, ms",
      fixed(r.queue_p50_ms, 1) + " / " + fixed(r.preprocess_p50_ms, 1) + " / " + fixed(r.inference_p50_ms, 1) + " / " +
          fixed(r.postprocess_p50_ms, 2));
  row("mean batch, batches running", fixed(r.mean_batch, 1) + ", " + fixed(r.engine_busy, 2));
  row("CPU cores used", fixed(r.cpu_cores, 1) + " of " + std::to_string(r.cores));
  row("RSS, MiB", mib(r.rss_bytes));
  if (r.gpu.samples > 0) {
    row("GPU kernels / NVDEC, % of time", fixed(r.gpu.compute_percent, 0) + " / " + fixed(r.gpu.decoder_percent, 0));
    row("GPU memory, MiB; watts", mib(r.gpu.memory_bytes) + "; " + fixed(r.gpu.watts, 0));
  }
  if (r.nvdec.decoded > 0)
    row("decoder sessions; cameras shared / alone", std::to_string(r.nvdec.sessions) + "; " +
                                                        std::to_string(r.nvdec.cameras_shared) + " / " +
                                                        std::to_string(r.nvdec.cameras_alone));
  for (int i = 0; i < media::kDecodeReasonCount; ++i)
    if (const auto n = r.nvdec.choices[static_cast<std::size_t>(i)]; n > 0)
      row(std::string("decoder chosen: ") + media::to_string(static_cast<media::DecodeReason>(i)), std::to_string(n));
  row("dropped", drops_text(r.frames));
  row("most used", r.bottleneck);
  std::printf("%s\n%d cameras at %s frames/s %s\n", format_table(rows).c_str(), r.cameras,
              fixed(command.frame_rate, 0).c_str(),
              r.holds ? "hold: every frame answered, p99 under 100 ms" : "do not hold");
}

int run_streams(const StreamsCommand& command) {
  app::StreamBenchOptions options;
  for (const auto& path : command.clips) options.clips.push_back(media::MemoryClip::load(path));
  options.frame_rate = command.frame_rate;
  options.camera.deadline = parse_duration(command.deadline).value();
  const auto say = [&command](const std::string& line) {
    if (command.json) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };

  std::vector<std::unique_ptr<engine::Backend>> backends;
  backends.push_back(open_model(command.model));
  const auto device = backends.front()->capabilities();
  options.device = std::max(0, device.device_index);
  CardDecoders decoders;
  if (!command.decode_on_cpu) decoders = open_card_decoders(backends, {.verify = command.verify}, say);
  options.nvdec = decoders.nvdec;
  // Ready before the first camera, so that none waits for it.
  for (const auto& clip : options.clips)
    backends.front()->prepare(backends.front()->shape_for(clip->width(), clip->height()),
                              device.device == "cpu" ? 1 : std::min(command.max_batch, device.max_batch));

  config::Config config;
  config.engine.max_batch = command.max_batch;
  const SteadyClock clock;
  app::System system{config, std::move(backends), clock,
                     [&](app::Severity severity, std::string_view text) {
                       if (severity >= app::Severity::kError) std::fprintf(stderr, "%s\n", std::string(text).c_str());
                     },
                     decoders.maker()};
  system.start();
  app::StreamBenchReport report;
  {
    app::StreamBench bench{system, options, say};
    int cameras = command.cameras;
    if (command.find_capacity)
      cameras = bench.find_capacity(command.cameras, command.most, parse_duration(command.probe).value());
    if (cameras > 0) {
      bench.set_cameras(cameras);
      report = bench.measure(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(command.minutes * 60)));
    }
    bench.set_cameras(0);
  }
  system.stop();
  if (command.json)
    std::printf("%s\n", as_json(report).dump(2).c_str());
  else
    print(report, command);
  return report.holds || !command.find_capacity ? kOk : kFailed;
}

}  // namespace

void add_bench_streams(CLI::App& bench, int& exit_code) {
  auto command = std::make_shared<StreamsCommand>();
  auto* streams = bench.add_subcommand("streams", "Paced cameras of real clips: how many this machine carries");
  const auto is_duration = [](const std::string& text) {
    return parse_duration(text) ? std::string{} : "'" + text + "' is no duration; write it like 10s";
  };
  add_model_options(*streams, command->model);
  streams->add_option("--clip", command->clips, "Videos that the cameras play from memory, in turn")->required();
  streams->add_option("--cameras", command->cameras, "How many; with --find-capacity where the search starts")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  streams->add_option("--fps", command->frame_rate, "Frames a second of each camera")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 240.0));
  streams->add_option("--minutes", command->minutes, "How long the result is measured")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1440.0));
  streams->add_flag("--find-capacity", command->find_capacity,
                    "Search the most cameras with every frame answered and p99 under 100 ms, then measure that");
  streams->add_option("--probe", command->probe, "How long each step of the search takes")
      ->capture_default_str()
      ->check(is_duration);
  streams->add_option("--most", command->most, "Never try more cameras than this")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  streams->add_option("--max-batch", command->max_batch, "Frames a batch at most, on a GPU")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  streams->add_option("--deadline", command->deadline, "After which a frame is late")
      ->capture_default_str()
      ->check(is_duration);
  streams->add_flag("--decode-on-cpu", command->decode_on_cpu, "Leave the card's decoders alone");
  streams->add_flag("--verify", command->verify,
                    "Decode every camera a second time in a session of its own and compare every picture");
  streams->add_flag("--json", command->json, "Print the result as JSON");
  streams->footer("Example:\n  gantry bench streams --clip street.mp4 --cameras 100 --minutes 1");
  streams->callback([command, &exit_code] { exit_code = run_streams(*command); });
}

}  // namespace gantry::cli
