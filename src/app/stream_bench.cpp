#include "gantry/app/stream_bench.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>

#include "app/fine_histogram.hpp"
#include "app/soak_watch.hpp"
#include "gantry/app/bench.hpp"
#include "gantry/app/machine.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::app {
namespace {

constexpr const char* kScheme = "bench-clip";
constexpr Duration kSecond = std::chrono::seconds(1);

std::string percent(const char* what, double share) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s %.0f %%", what, share * 100);
  return text.data();
}

}  // namespace

double StreamBenchReport::frames_per_second() const noexcept {
  return seconds > 0 ? static_cast<double>(frames.published()) / seconds : 0;
}

int search_capacity(int start, int most, const std::function<bool(int)>& holds) {
  GANTRY_EXPECTS(start >= 1 && start <= most, "a search for capacity starts between 1 and its end");
  int good = 0, bad = most + 1;
  for (int next = start; next > good && next < bad;) {
    (holds(next) ? good : bad) = next;
    if (good == 0)
      next = bad * 3 / 4;
    else if (bad > most)
      next = std::min(most, good + std::max(1, good / 4));
    else
      next = bad - good > std::max(1, good / 50) ? (good + bad) / 2 : good;
  }
  return good;
}

class StreamBench::Impl {
 public:
  Impl(System& system, StreamBenchOptions options, std::function<void(const std::string&)> progress)
      : system_(system), options_(std::move(options)), progress_(std::move(progress)), meter_(options_.device) {
    GANTRY_EXPECTS(options_.clips.empty() != options_.sources.empty(), "a bench of streams needs clips or sources");
    media::register_scheme(kScheme, [clips = options_.clips, rate = options_.frame_rate](const auto& config) {
      const int number = std::stoi(config.url.substr(config.url.rfind('/') + 1));
      // Cameras are not in step: their phases spread evenly over a frame's time (golden ratio).
      const double phase = std::fmod(number * 0.6180339887, 1.0) / rate;
      const auto& clip = clips[static_cast<std::size_t>(number) % clips.size()];
      return clip->play(rate, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(phase)));
    });
    subscription_ = system_.subscribe([this](const sinks::FrameResult& result) {
      const auto& took = result.latency;
      total_.add(took.total);
      second_.add(took.total);
      decode_.add(took.decode);
      wait_.add(took.queue - took.decode);
      fetch_.add(took.fetch);
      preprocess_.add(took.preprocess - took.fetch);
      inference_.add(took.inference);
      postprocess_.add(took.postprocess);
    });
  }

  void set_cameras(int count, Duration patience) {
    const auto began = clock_.now();
    move_to(count, patience);
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "%d of %d cameras live after %.1f s", live(), count,
                  std::chrono::duration<double>(clock_.now() - began).count());
    say(text.data());
  }

  StreamBenchReport measure(Duration duration, Duration settle) {
    StreamBenchReport report;
    report.settled_after_s = wait_until_settled(settle);
    for (FineHistogram* histogram : histograms()) histogram->clear();
    (void)meter_.take();
    const auto before = system_.totals();
    const auto devices_before = system_.scheduler_metrics().devices;
    const auto decoders_before = decoders();
    const double cpu_before = process_cpu_seconds();
    const auto began = clock_.now();
    report.steady = watch(began, duration);

    report.seconds = seconds_since(began);
    const auto after = system_.totals();
    const auto devices_after = system_.scheduler_metrics().devices;
    report.cpu_cores = (process_cpu_seconds() - cpu_before) / report.seconds;
    report.gpu = meter_.take();
    report.plan = system_.scheduler_report();
    report.cameras = cameras_;
    report.live = live();
    report.on_cpu = decoded_on_cpu();
    report.frames = since(before, after);
    report.p50_ms = total_.quantile_ms(0.5);
    report.p99_ms = total_.quantile_ms(0.99);
    report.p999_ms = total_.quantile_ms(0.999);
    report.most_ms = total_.quantile_ms(1);
    report.decode = quantiles(decode_);
    report.wait = quantiles(wait_);
    report.fetch = quantiles(fetch_);
    report.preprocess = quantiles(preprocess_);
    report.inference = quantiles(inference_);
    report.postprocess = quantiles(postprocess_);
    std::uint64_t batches = 0, frames = 0;
    for (std::size_t i = 0; i < devices_after.size(); ++i) {
      batches += devices_after[i].batches - devices_before[i].batches;
      frames += devices_after[i].frames - devices_before[i].frames;
      report.engine_busy += (devices_after[i].busy_seconds - devices_before[i].busy_seconds) / report.seconds;
    }
    report.mean_batch = batches > 0 ? static_cast<double>(frames) / static_cast<double>(batches) : 0;
    report.cores = read_machine().cores;
    report.rss_bytes = resident_bytes();
    fill_in_decoders(decoders_before, report);
    // A window that no frame came through holds nothing.
    const double wanted = 0.98 * cameras_ * options_.frame_rate;
    report.holds = report.frames.dropped() == 0 && report.live == cameras_ && report.frames_per_second() >= wanted &&
                   report.p99_ms <= limit_ms();
    report.bottleneck = bottleneck(report);
    return report;
  }

  CycleReport cycle(int times) {
    GANTRY_EXPECTS(cameras_ > 0, "there is no camera to remove and add again");
    const int count = cameras_;
    const auto round = [&] {
      move_to(count - 1, kPatience);
      move_to(count, kPatience);
    };
    const auto settle = [&] { std::this_thread::sleep_for(std::chrono::seconds(1)); };  // the meter lags a little
    for (int i = 0; i < kWarmUpCycles; ++i) round();
    settle();
    CycleReport report;
    report.times = times;
    report.device_bytes_before = meter_.memory_now();
    report.resident_bytes_before = resident_bytes();
    report.files_before = open_files();
    const auto began = clock_.now();
    for (int i = 0; i < times; ++i) round();
    report.seconds = seconds_since(began);
    settle();
    report.device_bytes_after = meter_.memory_now();
    report.resident_bytes_after = resident_bytes();
    report.files_after = open_files();
    return report;
  }

  int find_capacity(int start, int most, Duration probe) {
    return search_capacity(start, most, [&](int cameras) {
      set_cameras(cameras, kPatience);
      const StreamBenchReport report = measure(probe, kProbeSettle);
      std::array<char, 160> text{};
      std::snprintf(text.data(), text.size(), "%d cameras: %s; p99 %.1f ms, %llu dropped, %s", cameras,
                    report.holds ? "holds" : "does not hold", report.p99_ms,
                    static_cast<unsigned long long>(report.frames.dropped()), report.bottleneck.c_str());
      say(text.data());
      return report.holds;
    });
  }

 private:
  static constexpr Duration kPatience = std::chrono::seconds(60);
  static constexpr Duration kProbeSettle = std::chrono::seconds(8);
  static constexpr int kWarmUpCycles = 2;

  void move_to(int count, Duration patience) {
    const auto began = clock_.now();
    while (cameras_ > count)
      if (const auto removed = system_.remove_camera(name(--cameras_)); !removed)
        throw MediaError(removed.error().message);
    for (; cameras_ < count; ++cameras_) {
      auto camera = options_.camera;
      const auto& sources = options_.sources;
      camera.source = sources.empty() ? std::string(kScheme) + "://camera/" + std::to_string(cameras_)
                                      : sources[static_cast<std::size_t>(cameras_) % sources.size()];
      if (const auto added = system_.add_camera(name(cameras_), camera); !added)
        throw MediaError(added.error().message);
    }
    while (live() < count && clock_.now() - began < patience)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }

  /// Returns after how long.
  double wait_until_settled(Duration most) {
    const auto began = clock_.now();
    do {
      const auto before = system_.totals();
      second_.clear();
      std::this_thread::sleep_for(std::min<Duration>(kSecond, most));
      const auto frames = since(before, system_.totals());
      if (frames.dropped() == 0 && frames.published() > 0 && second_.quantile_ms(0.99) <= limit_ms()) break;
    } while (clock_.now() - began < most);
    return seconds_since(began);
  }

  /// Looks once a second until the time is over.
  Steadiness watch(TimePoint began, Duration duration) {
    SoakWatch soak;
    second_.clear();
    for (TimePoint next = began + kSecond; next <= began + duration; next += kSecond) {
      std::this_thread::sleep_until(next);
      soak.read(seconds_since(began), meter_.memory_now(), second_.quantile_ms(0.99));
      second_.clear();
    }
    std::this_thread::sleep_until(began + duration);
    constexpr double kFirstMinute = 60;
    return soak.judge(std::min(kFirstMinute, std::chrono::duration<double>(duration).count() / 5));
  }

  std::array<FineHistogram*, 8> histograms() {
    return {&total_, &second_, &decode_, &wait_, &fetch_, &preprocess_, &inference_, &postprocess_};
  }
  static Quantiles quantiles(const FineHistogram& histogram) {
    return {histogram.quantile_ms(0.5), histogram.quantile_ms(0.99)};
  }
  static FrameCounts since(const FrameCounts& before, const FrameCounts& after) {
    FrameCounts frames;
    frames.received = after.received - before.received;
    frames.in_flight = after.in_flight;
    for (std::size_t i = 0; i < kOutcomeCount; ++i) frames.outcomes[i] = after.outcomes[i] - before.outcomes[i];
    return frames;
  }
  double seconds_since(TimePoint began) const { return std::chrono::duration<double>(clock_.now() - began).count(); }
  double limit_ms() const { return std::chrono::duration<double, std::milli>(options_.most_p99).count(); }

  /// Of all cards together.
  media::NvdecStats decoders() const {
    media::NvdecStats sum;
    for (const auto& nvdec : options_.nvdecs)
      if (nvdec) sum += nvdec->stats();
    return sum;
  }
  void fill_in_decoders(const media::NvdecStats& before, StreamBenchReport& report) const {
    media::NvdecStats now = decoders();
    const auto mean_ms = [](double seconds, std::uint64_t calls) {
      return calls > 0 ? seconds * 1000 / static_cast<double>(calls) : 0;
    };
    for (const auto counter :
         {&media::NvdecStats::decoded, &media::NvdecStats::refused, &media::NvdecStats::mapped,
          &media::NvdecStats::concealed, &media::NvdecStats::map_failed, &media::NvdecStats::given_up,
          &media::NvdecStats::no_output, &media::NvdecStats::unlisted, &media::NvdecStats::verified,
          &media::NvdecStats::mismatched})
      now.*counter -= before.*counter;
    report.map_call_ms = mean_ms(now.map_call_seconds - before.map_call_seconds, now.mapped);
    report.decode_call_ms = mean_ms(now.decode_call_seconds - before.decode_call_seconds, now.decoded);
    report.nvdec = now;
  }

  static std::string name(int camera) { return "bench-" + std::to_string(camera); }
  void say(const std::string& line) const {
    if (progress_) progress_(line);
  }
  int decoded_on_cpu() const {
    const auto all = system_.cameras();
    return static_cast<int>(std::count_if(all.begin(), all.end(), [](const CameraStatus& camera) {
      return camera.stream.decoded_on == media::DecodePlace::kCpu;
    }));
  }
  int live() const {
    const auto all = system_.cameras();
    return static_cast<int>(std::count_if(
        all.begin(), all.end(), [](const CameraStatus& camera) { return camera.state == media::CameraState::kLive; }));
  }

  /// The most used of what can be used up.
  static std::string bottleneck(const StreamBenchReport& report) {
    std::vector<std::pair<double, std::string>> shares;
    const double cpu = report.cores > 0 ? report.cpu_cores / report.cores : 0;
    shares.emplace_back(cpu, percent("CPU", cpu));
    if (report.gpu.samples > 0) {
      shares.emplace_back(report.gpu.decoder_percent / 100, percent("NVDEC", report.gpu.decoder_percent / 100));
      shares.emplace_back(report.gpu.compute_percent / 100, percent("GPU kernels", report.gpu.compute_percent / 100));
    }
    return std::max_element(shares.begin(), shares.end())->second;
  }

  System& system_;
  const StreamBenchOptions options_;
  const std::function<void(const std::string&)> progress_;
  SteadyClock clock_;
  GpuMeter meter_;
  int cameras_ = 0;
  FineHistogram total_, second_, decode_, wait_, fetch_, preprocess_, inference_, postprocess_;
  Subscription subscription_;  // last: its listener uses the above
};

StreamBench::StreamBench(System& system, StreamBenchOptions options, std::function<void(const std::string&)> progress)
    : impl_(std::make_unique<Impl>(system, std::move(options), std::move(progress))) {}
StreamBench::~StreamBench() = default;
void StreamBench::set_cameras(int count, Duration patience) {
  impl_->set_cameras(count, patience);
}
StreamBenchReport StreamBench::measure(Duration duration, Duration settle) {
  return impl_->measure(duration, settle);
}
CycleReport StreamBench::cycle(int times) {
  return impl_->cycle(times);
}
int StreamBench::find_capacity(int start, int most, Duration probe) {
  return impl_->find_capacity(start, most, probe);
}

}  // namespace gantry::app
