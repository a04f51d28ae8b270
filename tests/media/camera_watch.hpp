#pragma once
// A CameraStream with somebody who takes its frames and writes down its states.
#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gantry/media/camera_stream.hpp"

namespace gantry::media::testing {

/// For tests: everything ten times faster than the defaults.
inline CameraOptions quick_camera(const std::string& url) {
  CameraOptions options;
  options.id = 7;
  options.name = "gate";
  options.source.url = url;
  options.source.connect_timeout = std::chrono::seconds(5);
  options.source.read_timeout = std::chrono::milliseconds(1500);
  options.source.stall_after = std::chrono::milliseconds(500);
  options.backoff = {std::chrono::milliseconds(100), std::chrono::milliseconds(400)};
  return options;
}

class Watch {
 public:
  explicit Watch(CameraOptions options)
      : camera_(std::make_unique<CameraStream>(
            std::move(options), ledger_, [this](Frame&& frame) { on_frame(std::move(frame)); },
            [this](const StateChange& change) { on_state(change); })) {
    camera_->start();
  }
  ~Watch() { camera_->stop(); }

  CameraStream& camera() { return *camera_; }
  FrameCounts counts() const { return ledger_.read(); }

  /// True where the camera was in that state within the time, counted from the change number `from` on.
  bool wait_for(CameraState state, std::chrono::milliseconds limit = std::chrono::seconds(20), std::size_t from = 0) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] {
      return std::any_of(changes_.begin() + static_cast<std::ptrdiff_t>(std::min(from, changes_.size())),
                         changes_.end(), [&](const StateChange& c) { return c.to == state; });
    });
  }
  bool wait_for_frames(std::uint64_t count, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return frames_ >= count; });
  }
  std::vector<StateChange> changes() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }
  std::uint64_t frames() {
    const std::lock_guard lock(mutex_);
    return frames_;
  }
  /// "connecting>live", one a change.
  std::vector<std::string> path() {
    std::vector<std::string> out;
    for (const StateChange& c : changes()) out.push_back(std::string(to_string(c.from)) + ">" + to_string(c.to));
    return out;
  }
  std::vector<std::pair<int, int>> sizes() {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }
  /// What was wrong with the order of frames; empty where nothing was.
  std::string disorder() {
    const std::lock_guard lock(mutex_);
    return disorder_;
  }

 private:
  void on_frame(Frame&& frame) {
    const std::lock_guard lock(mutex_);
    if (frame.camera != 7 || frame.seq != frames_ || (frames_ > 0 && frame.pts <= last_pts_) ||
        frame.deadline <= frame.captured_at)
      disorder_ += "frame " + std::to_string(frames_) + ": seq " + std::to_string(frame.seq) + ", pts " +
                   std::to_string(frame.pts.count()) + " ns after " + std::to_string(last_pts_.count()) + " ns\n";
    last_pts_ = frame.pts;
    ++frames_;
    const std::pair size(frame.image.width, frame.image.height);
    if (sizes_.empty() || sizes_.back() != size) sizes_.push_back(size);
    ledger_.ended(Outcome::kPublished);
    changed_.notify_all();
  }
  void on_state(const StateChange& change) {
    const std::lock_guard lock(mutex_);
    changes_.push_back(change);
    changed_.notify_all();
  }

  FrameLedger ledger_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t frames_ = 0;
  std::string disorder_;
  Duration last_pts_{};
  std::vector<std::pair<int, int>> sizes_;
  std::vector<StateChange> changes_;
  std::unique_ptr<CameraStream> camera_;
};

}  // namespace gantry::media::testing
