#pragma once
// A back end and a source that do what a test says, without a network or a video.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/media/source.hpp"

namespace gantry::app::test {

/// Answers each frame with one box whose x1 is the frame's first luma byte. Batches run on `threads` threads and take
/// `delay(batch)` each, so that answers can overtake each other.
class FakeBackend final : public engine::Backend {
 public:
  using Delay = std::function<std::chrono::milliseconds(const engine::Batch&)>;
  using Verdict = std::function<Result<void>(const engine::Batch&)>;

  explicit FakeBackend(int threads = 1, int max_batch = 1, Delay delay = {}, Verdict verdict = {})
      : max_batch_(max_batch), delay_(std::move(delay)), verdict_(std::move(verdict)) {
    model_.name = "fake";
    model_.class_names = {"person", "car"};
    model_.native_shape = {640, 640};
    model_.max_batch = max_batch;
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~FakeBackend() override {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  const engine::ModelInfo& model() const noexcept override { return model_; }
  /// From now on it takes frames that lie on the card `index` and nothing else. @pre nobody uses it yet
  void become_card(int index) { card_ = index; }
  /// Lost for good: every batch from now on is answered with kDevice.
  void lose() { lost_ = true; }
  [[nodiscard]] bool failed() const noexcept override { return lost_; }
  /// Frames that came to the wrong card.
  [[nodiscard]] int strangers() const { return strangers_; }
  /// Frames that wanted to know how usable they are; a card says that they show nearly nothing.
  [[nodiscard]] int measured() const { return measured_; }

  engine::Capabilities capabilities() const override {
    if (card_ >= 0)
      return {.device = "cuda:" + std::to_string(card_),
              .concurrent_batches = static_cast<int>(threads_.size()),
              .max_batch = max_batch_,
              .device_frames = true,
              .device_index = card_};
    return {.device = max_batch_ > 1 ? "fake" : "cpu",
            .concurrent_batches = static_cast<int>(threads_.size()),
            .max_batch = max_batch_};
  }
  std::vector<engine::Profile> profiles() const override {
    const std::lock_guard lock{mutex_};
    return profiles_;
  }
  void prepare(engine::InputShape shape, int max_batch) override {
    using std::chrono::milliseconds;
    const std::lock_guard lock{mutex_};
    for (int batch = 1; batch <= max_batch; batch *= 2)
      profiles_.push_back({shape, batch, milliseconds{10}, milliseconds{12}});
  }
  engine::InputShape shape_for(int width, int height) const override {
    return width >= height ? engine::InputShape{640, 384} : engine::InputShape{384, 640};
  }
  void enqueue(engine::Batch&& batch, engine::BatchDone done) override {
    largest_batch_ = std::max(largest_batch_.load(), batch.entries.size());
    const std::lock_guard lock{mutex_};
    queue_.emplace_back(std::move(batch), std::move(done));
    wake_.notify_one();
  }

  [[nodiscard]] std::size_t largest_batch() const { return largest_batch_; }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto [batch, done] = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      if (delay_) std::this_thread::sleep_for(delay_(batch));
      Result<void> verdict;
      if (verdict_) verdict = verdict_(batch);
      if (lost_) verdict = fail(ErrorCode::kDevice, "lost");
      for (const auto& entry : batch.entries)
        if (card_ >= 0 && entry.frame.image.space == MemorySpace::kDevice && entry.frame.image.device != card_)
          ++strangers_;
      for (auto& entry : batch.entries) {
        const auto* luma = entry.frame.image.planes[0].data;
        const float x1 = luma != nullptr ? static_cast<float>(*luma) : 0;
        entry.detections.assign(1, {{x1, 0, x1 + 1, 1}, 0.5F, 1});
        if (card_ >= 0 && entry.frame.wants_quality) {
          ++measured_;
          entry.quality = vision::LetterboxQuality{.brightness = 0.25F, .contrast = 0.01F};
        }
      }
      batch.times.inference = std::chrono::microseconds{100};
      done(std::move(batch), std::move(verdict));
      lock.lock();
    }
  }

  engine::ModelInfo model_;
  const int max_batch_;
  const Delay delay_;
  const Verdict verdict_;
  int card_ = -1;
  std::atomic<bool> lost_{false};
  std::atomic<int> strangers_{0}, measured_{0};
  std::atomic<std::size_t> largest_batch_{0};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<engine::Profile> profiles_;
  std::deque<std::pair<engine::Batch, engine::BatchDone>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// Pixels that count how many of them there are.
class CountedPixels final : public Storage {
 public:
  explicit CountedPixels(std::atomic<int>& alive, std::uint8_t value) : alive_(alive), luma_(16 * 16 * 3 / 2, value) {
    ++alive_;
  }
  [[nodiscard]] const std::uint8_t* data() const { return luma_.data(); }

 protected:
  void recycle() noexcept override {
    --alive_;
    delete this;
  }

 private:
  ~CountedPixels() override = default;
  std::atomic<int>& alive_;
  std::vector<std::uint8_t> luma_;
};

/// A raw picture of `width` (at most 16) by 16 pixels that is filled with `value` and counted by `alive`.
inline media::Packet raw_packet(std::atomic<int>& alive, std::uint8_t value, int width, Duration pts,
                                bool stream_changed) {
  auto* pixels = new CountedPixels{alive, value};
  media::RawPayload raw;
  raw.pixels = StorageRef{pixels};
  raw.image.width = width;
  raw.image.height = 16;
  raw.image.planes[0] = {pixels->data(), 16};
  raw.image.planes[1] = {pixels->data() + 256, 16};
  media::Packet packet;
  packet.payload = std::move(raw);
  packet.pts = pts;
  packet.arrived_at = SteadyClock{}.now();
  packet.keyframe = true;
  packet.stream_changed = stream_changed;
  return packet;
}

/// A file of `frames` raw pictures; picture n is filled with n. `script(n)` may fail instead.
class FakeSource final : public media::Source {
 public:
  using Script = std::function<std::optional<Error>(std::uint64_t n)>;
  FakeSource(std::uint64_t frames, std::atomic<int>& alive, Script script = {}, bool live = false)
      : frames_(frames), alive_(alive), script_(std::move(script)) {
    stream_.codec = "raw";
    stream_.width = stream_.height = 16;
    stream_.frames = static_cast<std::int64_t>(live ? 0 : frames);
    stream_.live = live;
  }
  Result<void> open() override {
    if (script_)
      if (auto error = script_(kOpening)) return Unexpected<Error>{*error};
    return {};
  }
  Result<media::Packet> next() override {
    if (cancelled_) return fail(ErrorCode::kCancelled, "cancelled");
    if (next_ == frames_) return fail(ErrorCode::kEndOfStream, "the end");
    const auto n = next_++;
    if (script_)
      if (auto error = script_(n)) return Unexpected<Error>{*error};
    media::Packet packet = raw_packet(alive_, static_cast<std::uint8_t>(n), 16, std::chrono::milliseconds{40 * n},
                                      n == 0 || !pictures_.empty());
    if (!pictures_.empty()) packet.name = pictures_[n];
    return packet;
  }
  const media::StreamInfo& stream() const noexcept override { return stream_; }
  void cancel() noexcept override { cancelled_ = true; }

  void name_pictures(std::vector<std::string> names) { pictures_ = std::move(names); }
  static constexpr std::uint64_t kOpening = ~std::uint64_t{0};

 private:
  const std::uint64_t frames_;
  std::atomic<int>& alive_;
  const Script script_;
  std::uint64_t next_ = 0;
  std::atomic<bool> cancelled_{false};
  media::StreamInfo stream_;
  std::vector<std::string> pictures_;
};

/// paced://FPS is an endless camera of 16x16 pictures; paced://FPS/upright one whose pictures stand upright.
class PacedSource final : public media::Source {
 public:
  explicit PacedSource(const std::string& url) {
    const double fps = std::stod(url.substr(url.find("://") + 3));
    period_ = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / fps));
    stream_.codec = "raw";
    stream_.live = true;
    upright_ = url.ends_with("/upright");
  }
  Result<void> open() override { return {}; }
  Result<media::Packet> next() override {
    std::unique_lock lock{mutex_};
    if (wake_.wait_for(lock, period_, [this] { return cancelled_; })) return fail(ErrorCode::kCancelled, "cancelled");
    const auto n = next_++;
    return raw_packet(alive, static_cast<std::uint8_t>(n), upright_ ? 8 : 16, period_ * n, n == 0);
  }
  const media::StreamInfo& stream() const noexcept override { return stream_; }
  void cancel() noexcept override {
    {
      const std::lock_guard lock{mutex_};
      cancelled_ = true;
    }
    wake_.notify_all();
  }
  static inline std::atomic<int> alive{0};

 private:
  Duration period_{};
  bool upright_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
  std::uint64_t next_ = 0;
  media::StreamInfo stream_;
};

}  // namespace gantry::app::test
