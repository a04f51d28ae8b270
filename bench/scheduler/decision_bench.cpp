// What one scheduling decision costs, and whether it allocates. A virtual server runs at 90 % and at 150 % of its
// capacity; every decide() is timed by itself, and the global allocator is counted inside on_arrival, on_completion and
// decide once the server is warm.
//   scheduler_bench                         counters: p50_us, p99_us of decide(), per_frame_us of all calls,
//   allocations
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <queue>
#include <random>
#include <vector>

#include "gantry/scheduler/gantry_policy.hpp"

namespace {

bool counting = false;
std::uint64_t allocations = 0;

}  // namespace

// Not inlined: GCC would see malloc and free through them and take a new/free pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace gantry::scheduler {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

const std::vector<LatencyPoint> kTable{{1, microseconds{500}, {}},
                                       {8, microseconds{1100}, {}},
                                       {16, microseconds{2000}, {}},
                                       {32, microseconds{3700}, {}}};

Duration table_time(int batch) {
  std::size_t right = 1;
  while (right + 1 < kTable.size() && kTable[right].batch < batch) ++right;
  const auto& a = kTable[right - 1];
  const auto& b = kTable[right];
  return a.mean + (b.mean - a.mean) * (batch - a.batch) / (b.batch - a.batch);
}

/// The smallest event loop that keeps a policy busy: cameras in order of their next frame, devices by their next end.
class Server {
 public:
  Server(int cameras, int devices, double load) : random_(1) {
    for (int d = 0; d < devices; ++d) {
      const auto id = static_cast<DeviceId>(d);
      policy_.add_device({id, 32, 1}, {});
      policy_.set_profile(id, 0, kTable, {});
    }
    const double fps = load * devices * 32 / 3.7e-3 / cameras;
    period_ = Duration{static_cast<Duration::rep>(1e9 / fps)};
    for (int c = 0; c < cameras; ++c) {
      CameraSpec spec;
      spec.id = static_cast<CameraId>(c);
      spec.priority = c % 20 == 0 ? Priority::kUrgent : c % 10 == 1 ? Priority::kBackground : Priority::kNormal;
      spec.period = period_;
      policy_.set_camera(spec, {});
      const auto phase = Duration{static_cast<Duration::rep>(random_() % static_cast<std::uint64_t>(period_.count()))};
      arrivals_.push({TimePoint{} + phase, static_cast<CameraId>(c), spec.priority});
    }
  }

  void run(Duration span, std::vector<double>* decide_us, std::vector<double>* launch_us) {
    const TimePoint end = now_ + span;
    while (now_ < end) {
      const TimePoint next = std::min({arrivals_.top().when, ends_.empty() ? kNever : ends_.top().when, timer_});
      now_ = std::max(now_, next);
      counting = decide_us != nullptr;
      if (!ends_.empty() && ends_.top().when <= now_) {
        const End done = ends_.top();
        counting = false;
        ends_.pop();
        counting = decide_us != nullptr;
        policy_.on_completion({done.batch, done.device, BatchStatus::kOk}, now_);
      } else if (arrivals_.top().when <= now_) {
        Next frame = arrivals_.top();
        ++frames;
        policy_.on_arrival({frames, frame.camera, 0, frame.priority, now_,
                            now_ + (frame.priority == Priority::kUrgent ? milliseconds{20} : milliseconds{100})},
                           now_);
        counting = false;
        arrivals_.pop();
        frame.when += period_;
        arrivals_.push(frame);
      }
      for (bool more = true; more;) {
        counting = decide_us != nullptr;
        const auto before = std::chrono::steady_clock::now();
        const Decision decision = policy_.decide(now_);
        const auto after = std::chrono::steady_clock::now();
        counting = false;
        if (decide_us != nullptr)
          decide_us->push_back(std::chrono::duration<double, std::micro>(after - before).count());
        more = decision.launch.has_value();
        if (more && launch_us != nullptr)
          launch_us->push_back(std::chrono::duration<double, std::micro>(after - before).count());
        if (more) {
          ends_.push({now_ + table_time(static_cast<int>(decision.launch->frames.size())), decision.launch->batch,
                      decision.launch->device});
        } else {
          timer_ = decision.wait_until;
        }
      }
    }
  }

  std::uint64_t frames = 0;

 private:
  struct Next {
    TimePoint when;
    CameraId camera;
    Priority priority;
    bool operator<(const Next& other) const { return when > other.when; }
  };
  struct End {
    TimePoint when;
    BatchId batch;
    DeviceId device;
    bool operator<(const End& other) const { return when > other.when; }
  };

  GantryPolicy policy_;
  std::mt19937_64 random_;
  Duration period_{};
  TimePoint now_{};
  TimePoint timer_ = kNever;
  std::priority_queue<Next> arrivals_;
  std::priority_queue<End> ends_;
};

void decisions(benchmark::State& state) {
  Server server(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)),
                static_cast<double>(state.range(2)) / 100);
  server.run(milliseconds{1000}, nullptr, nullptr);  // warm
  std::vector<double> decide_us;
  decide_us.reserve(4'000'000);
  std::vector<double> launch_us;
  launch_us.reserve(1'000'000);
  allocations = 0;
  const std::uint64_t before = server.frames;
  for (auto _ : state) server.run(milliseconds{100}, &decide_us, &launch_us);
  state.counters["frames"] = static_cast<double>(server.frames - before);
  const auto quantile = [](std::vector<double>& values, std::size_t percent) {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() * percent / 100];
  };
  state.counters["decisions"] = static_cast<double>(decide_us.size());
  state.counters["p50_us"] = quantile(decide_us, 50);
  state.counters["p99_us"] = quantile(decide_us, 99);
  state.counters["launches"] = static_cast<double>(launch_us.size());
  state.counters["launch_p50_us"] = quantile(launch_us, 50);
  state.counters["launch_p99_us"] = quantile(launch_us, 99);
  state.counters["allocations"] = static_cast<double>(allocations);
}
BENCHMARK(decisions)
    ->ArgNames({"cameras", "devices", "load"})
    ->Args({1000, 4, 90})
    ->Args({1000, 4, 150})
    ->Args({10000, 40, 90})
    ->Args({10000, 40, 150})
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gantry::scheduler

BENCHMARK_MAIN();
