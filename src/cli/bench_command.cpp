// gantry bench engine|pipeline|streams
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/detect_inputs.hpp"
#include "cli/duration.hpp"
#include "cli/summary.hpp"
#include "gantry/app/bench.hpp"
#include "gantry/config/input_size.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/scene/source.hpp"

namespace gantry::cli {
namespace {

struct BenchCommand {
  ModelChoice model;
  std::string picture = "1280x720";
  std::vector<int> batches{1};
  std::string duration = "3s";
  std::string input;
  std::uint64_t max_frames = 0;
  bool json = false;
};

void run_engine(const BenchCommand& command) {
  const auto picture = config::parse_input_size(command.picture).value();
  const auto backend = open_model(command.model, engine::Mode::kThroughput, true);
  const auto duration = parse_duration(command.duration).value();
  const int together = std::max(1, backend->capabilities().concurrent_batches) + 1;
  std::vector<std::vector<std::string>> rows{
      {"input", "batch", "latency p50, ms", "p90", "p99", "frames/s one at a time", "frames/s full"}};
  auto json = nlohmann::json::array();
  for (const int batch : command.batches) {
    const auto alone = app::time_engine(*backend, picture.width, picture.height, batch, 1, duration);
    const auto full = app::time_engine(*backend, picture.width, picture.height, batch, together, duration);
    const auto shape = std::to_string(alone.shape.width) + "x" + std::to_string(alone.shape.height);
    rows.push_back({shape, std::to_string(batch), fixed(alone.quantile_ms(0.5), 2), fixed(alone.quantile_ms(0.9), 2),
                    fixed(alone.quantile_ms(0.99), 2), fixed(alone.frames_per_second(), 1),
                    fixed(full.frames_per_second(), 1)});
    json.push_back(
        {{"input", shape},
         {"batch", batch},
         {"latency_ms",
          {{"p50", alone.quantile_ms(0.5)}, {"p90", alone.quantile_ms(0.9)}, {"p99", alone.quantile_ms(0.99)}}},
         {"frames_per_second_alone", alone.frames_per_second()},
         {"frames_per_second_full", full.frames_per_second()}});
  }
  if (command.json) {
    std::printf("%s\n", nlohmann::json{{"model", backend->model().name},
                                       {"precision", backend->model().precision},
                                       {"device", backend->capabilities().device},
                                       {"picture", command.picture},
                                       {"rows", json}}
                            .dump(2)
                            .c_str());
    return;
  }
  std::printf("%s (%s) on %s, pictures of %s\n\n%s", backend->model().name.c_str(), backend->model().precision.c_str(),
              backend->capabilities().device.c_str(), command.picture.c_str(), format_table(rows).c_str());
}

/// What each part costs alone, and what the whole costs: the difference is Gantry's.
void run_pipeline(const BenchCommand& command) {
  scene::register_scene_sources();
  const auto backend = open_model(command.model, engine::Mode::kThroughput, true);
  auto for_decode = make_inputs({command.input}, {});
  auto for_pipeline = make_inputs({command.input}, {});
  if (for_decode.size() != 1 || for_decode[0].pictures)
    throw MediaError(command.input + ": one video is measured at a time");
  const auto decode = app::time_decode(*for_decode[0].source, command.max_frames);
  if (decode.frames == 0) throw MediaError(command.input + ": no frame in it");
  const auto& stream = for_decode[0].source->stream();
  const int together = std::max(1, backend->capabilities().concurrent_batches) + 1;
  const auto network = app::time_engine(*backend, stream.width, stream.height, command.batches.front(), together,
                                        parse_duration(command.duration).value());

  class Nothing final : public app::OfflineOutput {
    void opened(std::size_t, const media::StreamInfo&) override {}
    void frame(std::size_t, const sinks::FrameResult&, const Frame&) override {}
    void closed(std::size_t) override {}
  } nothing;
  app::OfflineOptions options;
  options.max_frames = command.max_frames;
  options.make_decoder = [] { return media::make_ffmpeg_decoder({.threads = 1}); };
  const SteadyClock clock;
  app::OfflineJob job{*backend, clock, std::move(options)};
  const double cpu_before = app::process_cpu_seconds();
  const auto reports = job.run(std::move(for_pipeline), nothing);
  const double cpu = app::process_cpu_seconds() - cpu_before;
  const auto frames = static_cast<double>(reports.front().frames.published());

  const auto per_frame = [](double seconds, double count) { return seconds / count * 1e3; };
  const double decode_ms = per_frame(decode.cpu_seconds, static_cast<double>(decode.frames));
  const double network_ms =
      per_frame(network.cpu_seconds, static_cast<double>(network.batches) * command.batches.front());
  const double whole_ms = per_frame(cpu, frames);
  const double rate = frames / job.progress().seconds;
  if (command.json) {
    std::printf("%s\n",
                nlohmann::json{
                    {"model", backend->model().name},
                    {"device", backend->capabilities().device},
                    {"input", for_decode[0].url},
                    {"frames", reports.front().frames.published()},
                    {"decode",
                     {{"frames_per_second", static_cast<double>(decode.frames) / decode.seconds},
                      {"cpu_ms_per_frame", decode_ms}}},
                    {"network", {{"frames_per_second", network.frames_per_second()}, {"cpu_ms_per_frame", network_ms}}},
                    {"pipeline", {{"frames_per_second", rate}, {"cpu_ms_per_frame", whole_ms}}},
                    {"cpu_over_parts", whole_ms / (decode_ms + network_ms)}}
                    .dump(2)
                    .c_str());
    return;
  }
  const std::vector<std::vector<std::string>> rows{
      {"part", "frames/s alone", "CPU ms a frame"},
      {"decode", fixed(static_cast<double>(decode.frames) / decode.seconds, 1), fixed(decode_ms, 2)},
      {"letterbox, network, boxes", fixed(network.frames_per_second(), 1), fixed(network_ms, 2)},
      {"the whole pipeline", fixed(rate, 1), fixed(whole_ms, 2)}};
  std::printf("%s\nCPU of the whole over its parts: %s\n", format_table(rows).c_str(),
              fixed(whole_ms / (decode_ms + network_ms), 3).c_str());
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto command = std::make_shared<BenchCommand>();
  auto* bench =
      app.add_subcommand("bench", "Measure the network, the whole pipeline, or how many cameras this machine carries");
  bench->require_subcommand(1);
  bench->footer("Example:\n  gantry bench engine --model yolo11n.onnx --batch 1,2,4");
  const auto add_common = [&command](CLI::App& sub) {
    add_model_options(sub, command->model);
    sub.add_option("--batch", command->batches, "Batch sizes")
        ->delimiter(',')
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    sub.add_option("--for", command->duration, "How long each measurement takes")
        ->capture_default_str()
        ->check([](const std::string& text) {
          return parse_duration(text) ? std::string{} : "'" + text + "' is no duration; write it like 3s";
        });
    sub.add_flag("--json", command->json, "Print the result as JSON");
  };
  auto* engine = bench->add_subcommand("engine", "Latency and rate of the network, letterbox to boxes, by batch size");
  add_common(*engine);
  engine->add_option("--picture", command->picture, "Size of the pictures, WIDTHxHEIGHT")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto size = config::parse_input_size(text);
        return size && !size->automatic() ? std::string{} : "'" + text + "' is no size; write it like 1280x720";
      });
  engine->footer("Example:\n  gantry bench engine --model yolo11n.onnx --batch 1,2,4");
  engine->callback([command] { run_engine(*command); });

  auto* pipeline = bench->add_subcommand("pipeline", "A video end to end, beside its decoding and the network alone");
  pipeline->add_option("INPUT", command->input, "A video")->required();
  pipeline->add_option("--max-frames", command->max_frames, "Stop after this many frames; 0 takes all")
      ->capture_default_str();
  add_common(*pipeline);
  pipeline->footer("Example:\n  gantry bench pipeline motorway.mp4 --model yolo11n.onnx");
  pipeline->callback([command] { run_pipeline(*command); });
  add_bench_streams(*bench, exit_code);
}

}  // namespace gantry::cli
