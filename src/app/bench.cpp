#include "gantry/app/bench.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>

#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/media/decoder.hpp"

namespace gantry::app {
namespace {

/// An NV12 picture of noise with a fixed seed, owned by whoever times.
struct NoisePicture {
  NoisePicture(int width, int height) {
    const int uv_stride = (width + 1) / 2 * 2;
    const auto luma = static_cast<std::size_t>(width) * height;
    bytes.resize(luma + static_cast<std::size_t>(uv_stride) * ((height + 1) / 2));
    std::mt19937 random{1};
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    image.width = width;
    image.height = height;
    image.planes[0] = {bytes.data(), width};
    image.planes[1] = {bytes.data() + luma, uv_stride};
  }
  std::vector<std::uint8_t> bytes;
  Image image;
};

}  // namespace

double process_cpu_seconds() noexcept {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double EngineTiming::frames_per_second() const noexcept {
  return seconds > 0 ? static_cast<double>(batches) * batch / seconds : 0;
}

double EngineTiming::quantile_ms(double q) const noexcept {
  if (latencies_ms.empty()) return 0;
  const auto at = std::ceil(q * static_cast<double>(latencies_ms.size())) - 1;
  return latencies_ms[static_cast<std::size_t>(std::clamp(at, 0.0, static_cast<double>(latencies_ms.size() - 1)))];
}

EngineTiming time_engine(engine::Backend& backend, int picture_width, int picture_height, int batch, int in_flight,
                         Duration duration) {
  GANTRY_EXPECTS(batch >= 1 && in_flight >= 1, "a batch and a number of batches in flight are at least 1");
  EngineTiming timing;
  timing.shape = backend.shape_for(picture_width, picture_height);
  timing.batch = batch;
  backend.prepare(timing.shape, batch);
  const NoisePicture picture{picture_width, picture_height};
  const engine::DetectOptions options;
  const SteadyClock clock;

  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  std::optional<Error> error;
  const double cpu_before = process_cpu_seconds();
  const auto began = clock.now();
  std::unique_lock lock{mutex};
  while (clock.now() - began < duration && !error) {
    ++running;
    lock.unlock();
    engine::Batch work;
    work.shape = timing.shape;
    work.entries.resize(static_cast<std::size_t>(batch));
    for (auto& entry : work.entries) {
      entry.frame.image = picture.image;
      entry.options = &options;
    }
    const auto sent = clock.now();
    backend.enqueue(std::move(work), [&, sent](engine::Batch&&, Result<void> status) {
      const std::chrono::duration<double, std::milli> took = clock.now() - sent;
      const std::lock_guard answering{mutex};
      if (!status && !error) error = status.error();
      timing.latencies_ms.push_back(took.count());
      --running;
      changed.notify_one();
    });
    lock.lock();
    changed.wait(lock, [&] { return running < in_flight; });
  }
  changed.wait(lock, [&] { return running == 0; });
  timing.seconds = std::chrono::duration<double>(clock.now() - began).count();
  timing.cpu_seconds = process_cpu_seconds() - cpu_before;
  if (error) throw ModelError(backend.model().name + ": " + error->message);
  timing.batches = timing.latencies_ms.size();
  std::sort(timing.latencies_ms.begin(), timing.latencies_ms.end());
  return timing;
}

DecodeTiming time_decode(media::Source& source, std::uint64_t max_frames) {
  if (const auto opened = source.open(); !opened) throw MediaError(opened.error().message);
  const auto decoder = media::make_ffmpeg_decoder({.threads = 1});
  const SteadyClock clock;
  const auto began = clock.now();
  const double cpu_before = process_cpu_seconds();
  DecodeTiming timing;
  Frame frame;
  const auto drain = [&] {
    for (media::DecodeEvent event{}; (event = decoder->receive(frame)) != media::DecodeEvent::kNeedPacket;)
      if (event == media::DecodeEvent::kFrame) ++timing.frames;
    frame = Frame{};
  };
  bool open = false;
  while (max_frames == 0 || timing.frames < max_frames) {
    const auto packet = source.next();
    if (!packet) {
      if (packet.error().code == ErrorCode::kEndOfStream) break;
      throw MediaError(packet.error().message);
    }
    if (packet->stream_changed) {
      if (open) {
        decoder->finish();
        drain();
      }
      if (const auto opened = decoder->open(source.stream()); !opened) throw MediaError(opened.error().message);
      open = true;
    }
    decoder->send(*packet);
    drain();
  }
  if (open) decoder->finish();
  if (open) drain();
  timing.seconds = std::chrono::duration<double>(clock.now() - began).count();
  timing.cpu_seconds = process_cpu_seconds() - cpu_before;
  return timing;
}

}  // namespace gantry::app
