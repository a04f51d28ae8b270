#include "engine/measure.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "gantry/core/errors.hpp"

namespace gantry::engine {
namespace {

constexpr int kWarmUps = 1;
constexpr int kMinRounds = 3;
constexpr int kMaxRounds = 20;
constexpr Duration kEnough = std::chrono::milliseconds(150);

/// Enqueues and waits.
Batch run_one(Backend& backend, Batch&& batch) {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<Batch> result;
  Result<void> outcome;
  backend.enqueue(std::move(batch), [&](Batch&& back, Result<void> status) {
    const std::lock_guard lock(mutex);
    result = std::move(back);
    outcome = std::move(status);
    answered.notify_one();
  });
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return result.has_value(); });
  if (!outcome) throw ModelError("measuring " + backend.model().path + " failed: " + outcome.error().message);
  return std::move(*result);
}

}  // namespace

std::vector<Profile> measure_latency(Backend& backend, InputShape shape, int max_batch) {
  Image image;
  image.width = 2 * shape.width;
  image.height = 2 * shape.height;
  image.format = PixelFormat::kNv12;
  const std::vector<std::uint8_t> grey(
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3 / 2, 128);
  image.planes[0] = {grey.data(), image.width};
  image.planes[1] = {grey.data() + static_cast<std::ptrdiff_t>(image.width) * image.height, image.width};

  std::vector<int> sizes;
  for (int size = 1; size < max_batch; size *= 2) sizes.push_back(size);
  sizes.push_back(max_batch);

  const SteadyClock clock;
  const DetectOptions options;
  std::vector<Profile> profiles;
  for (const int size : sizes) {
    Batch batch;
    batch.shape = shape;
    batch.entries.resize(static_cast<std::size_t>(size));
    for (BatchEntry& entry : batch.entries) {
      entry.frame.image = image;
      entry.options = &options;
    }
    for (int i = 0; i < kWarmUps; ++i) batch = run_one(backend, std::move(batch));
    std::vector<Duration> times;
    Duration total{};
    while (static_cast<int>(times.size()) < kMinRounds ||
           (total < kEnough && static_cast<int>(times.size()) < kMaxRounds)) {
      const TimePoint start = clock.now();
      batch = run_one(backend, std::move(batch));
      times.push_back(clock.now() - start);
      total += times.back();
    }
    std::sort(times.begin(), times.end());
    const std::size_t rank = (times.size() * 99 + 99) / 100 - 1;
    profiles.push_back({shape, size, total / static_cast<Duration::rep>(times.size()), times[rank]});
  }
  return profiles;
}

}  // namespace gantry::engine
