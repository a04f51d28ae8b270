// gantry bench streams: how many cameras this machine carries.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/card_decoders.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/duration.hpp"
#include "cli/summary.hpp"
#include "gantry/app/stream_bench.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/trace.hpp"

namespace gantry::cli {
namespace {

struct StreamsCommand {
  ModelChoice model;
  std::vector<std::string> clips, sources;
  std::vector<int> cameras{8};
  std::vector<std::string> devices;
  int most = 2000;
  double frame_rate = 30;
  double minutes = 1;
  std::string probe = "10s";
  std::string deadline = "200ms";
  int max_batch = 32;
  int streams = 4;
  int cycles = 0;
  std::string trace;
  bool find_capacity = false;
  bool decode_on_cpu = false;
  bool verify = false;
  media::NvdecOptions decoders;
  bool json = false;
};

std::string mib(std::uint64_t bytes) {
  return fixed(static_cast<double>(bytes) / (1 << 20), 0);
}

nlohmann::json quantiles_json(const app::Quantiles& q) {
  return {{"p50", q.p50_ms}, {"p99", q.p99_ms}};
}

nlohmann::json plan_json(const scheduler::PolicyReport& plan) {
  auto devices = nlohmann::json::array();
  for (const auto& device : plan.devices)
    devices.push_back({{"breaker", device.breaker},
                       {"breaker_reason", device.breaker_reason},
                       {"slowdown", device.slowdown},
                       {"load", device.load},
                       {"batch_now", device.batch_now}});
  return {{"demand_fps", plan.demand_now_fps},     {"capacity_fps", plan.capacity_fps},
          {"early_shed", plan.early_shed},         {"degrade_step", plan.degrade_step},
          {"degrade_reason", plan.degrade_reason}, {"devices", std::move(devices)}};
}

nlohmann::json steadiness_json(const app::Steadiness& s) {
  return {{"readings", s.readings},
          {"rss_mib_a_minute", s.resident_mib_a_minute},
          {"device_mib_a_minute", s.device_mib_a_minute},
          {"files", {s.files_first, s.files_last}},
          {"p99_ms_of_a_second", {s.least_p99_ms, s.most_p99_ms}}};
}

nlohmann::json cycles_json(const app::CycleReport& c) {
  return {{"times", c.times},
          {"seconds", c.seconds},
          {"device_bytes", {c.device_bytes_before, c.device_bytes_after}},
          {"rss_bytes", {c.resident_bytes_before, c.resident_bytes_after}},
          {"files", {c.files_before, c.files_after}}};
}

nlohmann::json as_json(const app::StreamBenchReport& r) {
  auto choices = nlohmann::json::object();
  for (int i = 0; i < media::kDecodeReasonCount; ++i)
    if (const auto n = r.nvdec.choices[static_cast<std::size_t>(i)]; n > 0)
      choices[media::to_string(static_cast<media::DecodeReason>(i))] = n;
  return {{"cameras", r.cameras},
          {"live", r.live},
          {"decoded_on_cpu", r.on_cpu},
          {"seconds", r.seconds},
          {"frames_per_second", r.frames_per_second()},
          {"frames", counts_json(r.frames)},
          {"latency_ms", {{"p50", r.p50_ms}, {"p99", r.p99_ms}, {"p99.9", r.p999_ms}, {"max", r.most_ms}}},
          {"stages_ms",
           {{"decode", quantiles_json(r.decode)},
            {"wait", quantiles_json(r.wait)},
            {"fetch", quantiles_json(r.fetch)},
            {"preprocess", quantiles_json(r.preprocess)},
            {"inference", quantiles_json(r.inference)},
            {"postprocess", quantiles_json(r.postprocess)}}},
          {"settled_after_s", r.settled_after_s},
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
            {"decode_call_ms", r.decode_call_ms},
            {"map_call_ms", r.map_call_ms},
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
          {"scheduler", plan_json(r.plan)},
          {"steady", steadiness_json(r.steady)},
          {"holds", r.holds},
          {"bottleneck", r.bottleneck}};
}

/// One column a number of cameras.
class Table {
 public:
  explicit Table(std::size_t columns) : columns_(columns) {}
  /// In its column; the row is made where it is new, so that all tables have their rows in one order.
  void put(std::size_t column, const std::string& what, const std::string& value) {
    auto row = std::find_if(rows_.begin(), rows_.end(), [&](const auto& r) { return r.front() == what; });
    if (row == rows_.end()) {
      rows_.emplace_back(columns_ + 1);
      row = rows_.end() - 1;
      row->front() = what;
    }
    (*row)[column + 1] = value;
  }
  [[nodiscard]] std::string text() const { return format_table(rows_); }

 private:
  std::size_t columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string both(const app::Quantiles& q) {
  return fixed(q.p50_ms, 2) + " / " + fixed(q.p99_ms, 2);
}

void fill(Table& table, std::size_t column, const app::StreamBenchReport& r) {
  const auto row = [&](const std::string& what, const std::string& value) { table.put(column, what, value); };
  row("cameras", std::to_string(r.cameras));
  row("hold", r.holds ? "yes" : "no");
  row("measured for, s", fixed(r.seconds, 0));
  row("live, decoded on the CPU", std::to_string(r.live) + ", " + std::to_string(r.on_cpu));
  row("frames/s answered", fixed(r.frames_per_second(), 0));
  row("dropped", drops_text(r.frames));
  row("capture to result, ms: p50", fixed(r.p50_ms, 1));
  row("p99", fixed(r.p99_ms, 1));
  row("p99.9", fixed(r.p999_ms, 1));
  row("ms, p50 / p99: packet to scheduler", both(r.decode));
  row("wait for a batch", both(r.wait));
  row("fetch from decoders", both(r.fetch));
  row("preprocess", both(r.preprocess));
  row("network", both(r.inference));
  row("boxes", both(r.postprocess));
  row("mean batch", fixed(r.mean_batch, 1));
  row("batches running", fixed(r.engine_busy, 2));
  row("CPU cores used", fixed(r.cpu_cores, 1) + " of " + std::to_string(r.cores));
  row("RSS, MiB", mib(r.rss_bytes));
  if (r.gpu.samples > 0) {
    row("GPU kernels, % of time", fixed(r.gpu.compute_percent, 0));
    row("NVDEC, % of time", fixed(r.gpu.decoder_percent, 0));
    row("GPU memory, MiB", mib(r.gpu.memory_bytes));
    row("watts", fixed(r.gpu.watts, 0));
  }
  if (r.nvdec.decoded > 0) {
    row("decoder sessions", std::to_string(r.nvdec.sessions));
    row("cameras shared / alone",
        std::to_string(r.nvdec.cameras_shared) + " / " + std::to_string(r.nvdec.cameras_alone));
    row("decode / map call, mean ms", fixed(r.decode_call_ms, 3) + " / " + fixed(r.map_call_ms, 3));
  }
  for (int i = 0; i < media::kDecodeReasonCount; ++i)
    if (const auto n = r.nvdec.choices[static_cast<std::size_t>(i)]; n > 0)
      row(std::string("since start: ") + media::to_string(static_cast<media::DecodeReason>(i)), std::to_string(n));
  row("slopes, MiB a minute: RSS / GPU",
      fixed(r.steady.resident_mib_a_minute, 2) + " / " + fixed(r.steady.device_mib_a_minute, 2));
  row("p99 of each second, ms: from / to", fixed(r.steady.least_p99_ms, 1) + " / " + fixed(r.steady.most_p99_ms, 1));
  row("open files, first / last", std::to_string(r.steady.files_first) + " / " + std::to_string(r.steady.files_last));
  row("most used", r.bottleneck);
}

void print(const app::CycleReport& c) {
  std::printf(
      "%d cameras removed and added again in %.1f s: GPU memory %s -> %s MiB, RSS %s -> %s MiB, files %d -> %d\n",
      c.times, c.seconds, mib(c.device_bytes_before).c_str(), mib(c.device_bytes_after).c_str(),
      mib(c.resident_bytes_before).c_str(), mib(c.resident_bytes_after).c_str(), c.files_before, c.files_after);
}

int run_streams(const StreamsCommand& command) {
  if (command.clips.empty() && command.sources.empty())
    throw ConfigError("bench streams needs videos (--clip street.mp4) or cameras (--source rtsp://…)");
  app::StreamBenchOptions options;
  for (const auto& path : command.clips) options.clips.push_back(media::MemoryClip::load(path));
  options.sources = command.sources;
  options.frame_rate = command.frame_rate;
  options.camera.deadline = parse_duration(command.deadline).value();
  const auto say = [&command](const std::string& line) {
    if (command.json) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };

  auto backends =
      open_model_on(command.model, command.devices.empty() ? std::vector{command.model.device} : command.devices, true,
                    command.streams);
  const auto device = backends.front()->capabilities();
  options.device = std::max(0, device.device_index);
  CardDecoders decoders;
  if (!command.decode_on_cpu) decoders = open_card_decoders(backends, command.decoders, say);
  options.nvdecs = decoders.all();
  // Ready before the first camera, so that none waits for it.
  for (const auto& backend : backends)
    for (const auto& clip : options.clips)
      backend->prepare(backend->shape_for(clip->width(), clip->height()),
                       device.device == "cpu" ? 1 : std::min(command.max_batch, device.max_batch));

  config::Config config;
  config.engine.max_batch = command.max_batch;
  std::optional<Trace> trace;  // outlives all that records
  if (!command.trace.empty()) trace.emplace();
  const SteadyClock clock;
  app::System system{config, std::move(backends), clock,
                     [&](app::Severity severity, std::string_view text) {
                       if (severity >= app::Severity::kError) std::fprintf(stderr, "%s\n", std::string(text).c_str());
                     },
                     decoders.maker(command.verify ? std::vector<std::string>{CardDecoders::kEveryCamera}
                                                   : std::vector<std::string>{})};
  system.start();
  std::vector<app::StreamBenchReport> reports;
  std::optional<app::CycleReport> cycles;
  {
    app::StreamBench bench{system, options, say};
    auto counts = command.cameras;
    if (command.find_capacity)
      counts = {bench.find_capacity(counts.front(), command.most, parse_duration(command.probe).value())};
    for (const int& cameras : counts) {
      if (cameras == 0) continue;  // not even one held
      bench.set_cameras(cameras);
      // The last number's, until the memory is full.
      if (trace && &cameras == &counts.back()) trace->start();
      reports.push_back(
          bench.measure(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(command.minutes * 60))));
    }
    if (trace) trace->stop();
    if (command.cycles > 0) cycles = bench.cycle(command.cycles);
    bench.set_cameras(0);
  }
  system.stop();
  if (trace) {
    const auto written = trace->write(command.trace);
    say("trace: " + std::to_string(written.spans) + " spans in " + command.trace + ", " + std::to_string(written.lost) +
        " did not fit");
  }
  if (command.json) {
    nlohmann::json out;
    out["reports"] = nlohmann::json::array();
    for (const auto& report : reports) out["reports"].push_back(as_json(report));
    if (cycles) out["cycles"] = cycles_json(*cycles);
    std::printf("%s\n", out.dump(2).c_str());
  } else {
    Table table{reports.size()};
    for (std::size_t i = 0; i < reports.size(); ++i) fill(table, i, reports[i]);
    std::printf("%s", table.text().c_str());
    if (cycles) print(*cycles);
  }
  const bool all_hold =
      !reports.empty() && std::all_of(reports.begin(), reports.end(), [](const auto& r) { return r.holds; });
  return all_hold || !command.find_capacity ? kOk : kFailed;
}

}  // namespace

void add_bench_streams(CLI::App& bench, int& exit_code) {
  auto command = std::make_shared<StreamsCommand>();
  auto* streams = bench.add_subcommand("streams", "Paced cameras of real clips: how many this machine carries");
  const auto is_duration = [](const std::string& text) {
    return parse_duration(text) ? std::string{} : "'" + text + "' is no duration; write it like 10s";
  };
  add_model_options(*streams, command->model);
  auto* clips = streams->add_option("--clip", command->clips, "Videos that the cameras play from memory, in turn");
  auto* sources =
      streams->add_option("--source", command->sources,
                          "Instead: URLs that the cameras connect to, in turn, rtsp://127.0.0.1:8554/street for one; "
                          "--fps says what they send");
  clips->excludes(sources);
  streams
      ->add_option(
          "--cameras", command->cameras,
          "How many; several numbers (100,345) are measured in turn; with --find-capacity where the search starts")
      ->delimiter(',')
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
  streams
      ->add_option("--devices", command->devices,
                   "Several devices instead of --device: cuda:0,cuda:1; a card named twice is shared by two")
      ->delimiter(',')
      ->check([](const std::string& text) {
        return parse_device(text) ? std::string{} : "'" + text + "' is no device; use cpu, cuda or cuda:1";
      });
  streams->add_option("--streams", command->streams, "Batches that a GPU works on side by side")
      ->capture_default_str()
      ->check(CLI::Range(1, 8));
  streams->add_option("--cycles", command->cycles, "At the end remove and add the last camera so many times")
      ->check(CLI::Range(1, 100'000));
  streams->add_option("--trace", command->trace,
                      "Write a timeline of decoding, batches and the card's streams for chrome://tracing or Perfetto");
  streams->add_option("--deadline", command->deadline, "After which a frame is late")
      ->capture_default_str()
      ->check(is_duration);
  streams->add_flag("--decode-on-cpu", command->decode_on_cpu, "Leave the card's decoders alone");
  streams
      ->add_option("--spare-surfaces", command->decoders.spare_surfaces,
                   "Frames of a camera that may wait in a card's decoder to be run")
      ->capture_default_str()
      ->check(CLI::Range(1, 8));
  streams
      ->add_option("--output-surfaces", command->decoders.output_surfaces,
                   "Frames of a camera that may be run at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 8));
  streams->add_flag("--share-sessions,!--own-sessions", command->decoders.share_sessions,
                    "Let several cameras decode in one session of the card, or give each one of its own");
  streams
      ->add_option("--memory-fraction", command->decoders.memory_fraction,
                   "Share of a card's memory beyond which cameras are decoded on the CPU")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1.0));
  streams->add_flag("--verify", command->verify,
                    "Decode every camera a second time in a session of its own and compare every picture");
  streams->add_flag("--json", command->json, "Print the result as JSON");
  streams->footer("Example:\n  gantry bench streams --clip street.mp4 --cameras 100 --minutes 1");
  streams->callback([command, &exit_code] { exit_code = run_streams(*command); });
}

}  // namespace gantry::cli
