#include "gantry/app/stream_bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <thread>

#include "gantry/app/bench.hpp"
#include "gantry/app/machine.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::app {
namespace {

constexpr const char* kScheme = "bench-clip";

/// Times of one kind in steps of a twentieth of a millisecond, up to two seconds. Lock-free.
class FineHistogram {
 public:
  void add(Duration time) noexcept {
    const auto step = std::clamp<Duration::rep>(time / kStep, 0, static_cast<Duration::rep>(kSteps) - 1);
    counts_[static_cast<std::size_t>(step)].fetch_add(1, std::memory_order_relaxed);
  }
  void clear() noexcept {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  }
  /// Upper edge of the step in which the quantile lies, milliseconds; 0 where nothing was added.
  [[nodiscard]] double quantile_ms(double q) const noexcept {
    std::uint64_t total = 0;
    for (const auto& count : counts_) total += count.load(std::memory_order_relaxed);
    if (total == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kSteps; ++i) {
      seen += counts_[i].load(std::memory_order_relaxed);
      if (seen >= std::max<std::uint64_t>(1, wanted)) return static_cast<double>(i + 1) * kStepMs;
    }
    return static_cast<double>(kSteps) * kStepMs;
  }

 private:
  static constexpr Duration kStep = std::chrono::microseconds(50);
  static constexpr double kStepMs = 0.05;
  static constexpr std::size_t kSteps = 40'000;
  std::vector<std::atomic<std::uint32_t>> counts_ = std::vector<std::atomic<std::uint32_t>>(kSteps);
};

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

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
    GANTRY_EXPECTS(!options_.clips.empty(), "a bench of streams needs a clip");
    media::register_scheme(kScheme, [clips = options_.clips, rate = options_.frame_rate](const auto& config) {
      const int number = std::stoi(config.url.substr(config.url.rfind('/') + 1));
      // Cameras are not in step: their phases spread evenly over a frame's time (golden ratio).
      const double phase = std::fmod(number * 0.6180339887, 1.0) / rate;
      const auto& clip = clips[static_cast<std::size_t>(number) % clips.size()];
      return clip->play(rate, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(phase)));
    });
    subscription_ = system_.subscribe([this](const sinks::FrameResult& result) {
      total_.add(result.latency.total);
      queue_.add(result.latency.queue);
      preprocess_.add(result.latency.preprocess);
      inference_.add(result.latency.inference);
      postprocess_.add(result.latency.postprocess);
    });
  }

  void set_cameras(int count, Duration patience) {
    const auto began = clock_.now();
    while (cameras_ > count)
      if (const auto removed = system_.remove_camera(name(--cameras_)); !removed)
        throw MediaError(removed.error().message);
    for (; cameras_ < count; ++cameras_) {
      auto camera = options_.camera;
      camera.source = std::string(kScheme) + "://camera/" + std::to_string(cameras_);
      if (const auto added = system_.add_camera(name(cameras_), camera); !added)
        throw MediaError(added.error().message);
    }
    while (live() < count && clock_.now() - began < patience)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "%d of %d cameras live after %.1f s", live(), count,
                  std::chrono::duration<double>(clock_.now() - began).count());
    say(text.data());
  }

  StreamBenchReport measure(Duration duration, Duration warm_up) {
    std::this_thread::sleep_for(warm_up);
    for (FineHistogram* histogram : {&total_, &queue_, &preprocess_, &inference_, &postprocess_}) histogram->clear();
    (void)meter_.take();
    const auto before = system_.totals();
    const auto devices_before = system_.scheduler_metrics().devices;
    const double cpu_before = process_cpu_seconds();
    const auto began = clock_.now();
    std::this_thread::sleep_for(duration);

    StreamBenchReport report;
    report.seconds = std::chrono::duration<double>(clock_.now() - began).count();
    const auto after = system_.totals();
    const auto devices_after = system_.scheduler_metrics().devices;
    report.cpu_cores = (process_cpu_seconds() - cpu_before) / report.seconds;
    report.gpu = meter_.take();
    report.cameras = cameras_;
    report.live = live();
    report.frames.received = after.received - before.received;
    report.frames.in_flight = after.in_flight;
    for (std::size_t i = 0; i < kOutcomeCount; ++i) report.frames.outcomes[i] = after.outcomes[i] - before.outcomes[i];
    report.p50_ms = total_.quantile_ms(0.5);
    report.p99_ms = total_.quantile_ms(0.99);
    report.p999_ms = total_.quantile_ms(0.999);
    report.most_ms = total_.quantile_ms(1);
    report.queue_p50_ms = queue_.quantile_ms(0.5);
    report.preprocess_p50_ms = preprocess_.quantile_ms(0.5);
    report.inference_p50_ms = inference_.quantile_ms(0.5);
    report.postprocess_p50_ms = postprocess_.quantile_ms(0.5);
    std::uint64_t batches = 0, frames = 0;
    for (std::size_t i = 0; i < devices_after.size(); ++i) {
      batches += devices_after[i].batches - devices_before[i].batches;
      frames += devices_after[i].frames - devices_before[i].frames;
      report.engine_busy += (devices_after[i].busy_seconds - devices_before[i].busy_seconds) / report.seconds;
    }
    report.mean_batch = batches > 0 ? static_cast<double>(frames) / static_cast<double>(batches) : 0;
    report.cores = read_machine().cores;
    report.rss_bytes = resident_bytes();
    if (options_.nvdec) report.nvdec = options_.nvdec->stats();
    // A window that no frame came through holds nothing.
    const double wanted = 0.98 * cameras_ * options_.frame_rate;
    report.holds = report.frames.dropped() == 0 && report.live == cameras_ && report.frames_per_second() >= wanted &&
                   report.p99_ms <= std::chrono::duration<double, std::milli>(options_.most_p99).count();
    report.bottleneck = bottleneck(report);
    return report;
  }

  int find_capacity(int start, int most, Duration probe) {
    return search_capacity(start, most, [&](int cameras) {
      set_cameras(cameras, std::chrono::seconds(60));
      const StreamBenchReport report = measure(probe, std::chrono::seconds(1));
      std::array<char, 160> text{};
      std::snprintf(text.data(), text.size(), "%d cameras: %s; p99 %.1f ms, %llu dropped, %s", cameras,
                    report.holds ? "holds" : "does not hold", report.p99_ms,
                    static_cast<unsigned long long>(report.frames.dropped()), report.bottleneck.c_str());
      say(text.data());
      return report.holds;
    });
  }

 private:
  static std::string name(int camera) { return "bench-" + std::to_string(camera); }
  void say(const std::string& line) const {
    if (progress_) progress_(line);
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
  FineHistogram total_, queue_, preprocess_, inference_, postprocess_;
  Subscription subscription_;  // last: its listener uses the above
};

StreamBench::StreamBench(System& system, StreamBenchOptions options, std::function<void(const std::string&)> progress)
    : impl_(std::make_unique<Impl>(system, std::move(options), std::move(progress))) {}
StreamBench::~StreamBench() = default;
void StreamBench::set_cameras(int count, Duration patience) {
  impl_->set_cameras(count, patience);
}
StreamBenchReport StreamBench::measure(Duration duration, Duration warm_up) {
  return impl_->measure(duration, warm_up);
}
int StreamBench::find_capacity(int start, int most, Duration probe) {
  return impl_->find_capacity(start, most, probe);
}

}  // namespace gantry::app
