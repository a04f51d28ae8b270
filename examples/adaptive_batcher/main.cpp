// Batches calls of a plain function. The function has a fixed cost a call and a small one an item, like any network on
// any accelerator; twelve callers want an answer each 25 ms, and none of them knows of the others.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <span>
#include <thread>
#include <vector>

#include "gantry/scheduler/adaptive_batcher.hpp"

using namespace std::chrono_literals;

namespace {

/// Square roots, slowly: 4 ms a call and 0.5 ms a number.
std::vector<double> slow_roots(std::span<double> numbers) {
  std::this_thread::sleep_for(4ms + 500us * numbers.size());
  std::vector<double> roots;
  for (const double number : numbers) roots.push_back(std::sqrt(number));
  return roots;
}

}  // namespace

int main() {
  gantry::BatcherConfig config;
  config.max_batch = 16;
  config.default_deadline = 50ms;
  gantry::AdaptiveBatcher<double, double> batcher(config, slow_roots);
  batcher.start();

  constexpr int kCallers = 12;
  constexpr int kCalls = 40;
  std::vector<std::thread> callers;
  std::vector<int> answered(kCallers);
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < kCalls; ++i) {
        const double number = caller * 1000.0 + i;
        auto answer = batcher.submit(number, {.camera = static_cast<gantry::CameraId>(caller)}).get();
        if (answer && std::abs(*answer.value * *answer.value - number) < 1e-6) ++answered[caller];
        std::this_thread::sleep_for(25ms - std::min<gantry::Duration>(25ms, answer.queue_wait));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  batcher.stop();

  const auto metrics = batcher.metrics();
  const auto& normal = metrics.classes[static_cast<int>(gantry::Priority::kNormal)];
  int correct = 0;
  for (const int n : answered) correct += n;
  std::printf("%d of %d calls answered correctly, %.1f to a batch\n", correct, kCallers * kCalls,
              metrics.devices[0].batch_size->mean());
  std::printf("in time %llu, late %llu, dropped %llu; queue wait p50 %.1f ms, p99 %.1f ms\n",
              static_cast<unsigned long long>(normal.frames[gantry::Outcome::kPublished]),
              static_cast<unsigned long long>(normal.frames[gantry::Outcome::kPublishedLate]),
              static_cast<unsigned long long>(normal.frames.dropped()), 1e3 * normal.queue_wait->quantile(0.5),
              1e3 * normal.queue_wait->quantile(0.99));
  return correct > 0 ? 0 : 1;
}
