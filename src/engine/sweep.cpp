#include "gantry/engine/sweep.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>

#include "gantry/core/errors.hpp"

namespace gantry::engine {
namespace {

class Sweep {
 public:
  Sweep(Backend& backend, std::size_t count, const SweepOptions& options)
      : backend_(backend), options_(options), results_(count) {}

  std::vector<PictureResult> run(const std::function<Frame(std::size_t)>& read) {
    const int most = 2 * backend_.capabilities().concurrent_batches;
    try {
      for (std::size_t i = 0; i < results_.size(); ++i) start(i, read(i), most);
    } catch (...) {
      wait_until(0);
      throw;
    }
    wait_until(0);
    if (error_) throw StartupError(error_->message);
    return std::move(results_);
  }

 private:
  void start(std::size_t index, Frame frame, int most) {
    Batch batch;
    batch.id = index;
    batch.entries.resize(1);
    BatchEntry& entry = batch.entries.front();
    entry.frame = std::move(frame);
    entry.options = &options_.detect;
    const Image& image = entry.frame.image;
    results_[index].width = image.width;
    results_[index].height = image.height;
    batch.shape = options_.any_shape ? backend_.shape_for(image.width, image.height) : backend_.model().native_shape;
    if (prepared_.insert(batch.shape).second) backend_.prepare(batch.shape, 1);
    wait_until(most - 1);
    {
      const std::lock_guard lock(mutex_);
      ++in_flight_;
    }
    backend_.enqueue(std::move(batch), [this](Batch&& back, Result<void> status) {
      const std::lock_guard lock(mutex_);
      if (!status && !error_) error_ = status.error();
      results_[back.id].detections = std::move(back.entries.front().detections);
      ++done_;
      if (options_.progress) options_.progress(done_);
      --in_flight_;
      answered_.notify_one();
    });
  }

  void wait_until(int in_flight) {
    std::unique_lock lock(mutex_);
    answered_.wait(lock, [&] { return in_flight_ <= in_flight; });
  }

  Backend& backend_;
  const SweepOptions& options_;
  std::set<InputShape> prepared_;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::vector<PictureResult> results_;
  std::size_t done_ = 0;
  int in_flight_ = 0;
  std::optional<Error> error_;
};

}  // namespace

std::vector<PictureResult> sweep(Backend& backend, std::size_t count, const std::function<Frame(std::size_t)>& read,
                                 const SweepOptions& options) {
  return Sweep(backend, count, options).run(read);
}

}  // namespace gantry::engine
