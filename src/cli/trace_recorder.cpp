#include "cli/trace_recorder.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>

namespace gantry::cli {

TraceRecorder::TraceRecorder(const std::filesystem::path& file) : writer_(file) {
  waiting_.reserve(kMostWaiting);
  writing_.reserve(kMostWaiting);
  thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
}

TraceRecorder::~TraceRecorder() {
  thread_ = {};
  static_cast<void>(flush());
}

void TraceRecorder::arrived(const Frame& frame, engine::InputShape input, TimePoint at) noexcept {
  const std::lock_guard lock{mutex_};
  if (waiting_.size() == kMostWaiting)
    ++lost_;
  else
    waiting_.push_back({frame.camera, frame.priority, input, at, frame.deadline});
}

TraceRecorder::Stats TraceRecorder::flush() {
  const std::lock_guard file{file_mutex_};
  std::uint64_t lost = 0;
  {
    const std::lock_guard lock{mutex_};
    writing_.swap(waiting_);
    lost = lost_;
  }
  // Cameras are threads of their own, so that their arrivals may lie some microseconds out of order.
  std::stable_sort(writing_.begin(), writing_.end(), [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  for (const Arrival& arrival : writing_)
    writer_.write(arrival.camera, arrival.at, arrival.deadline, arrival.priority, arrival.input.width,
                  arrival.input.height);
  if (writer_.good()) written_ += writing_.size();
  writing_.clear();
  return {written_, lost, !writer_.good()};
}

void TraceRecorder::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock{mutex};
  while (!wake.wait_for(lock, stop, std::chrono::milliseconds{200}, [] { return false; }) && !stop.stop_requested())
    static_cast<void>(flush());
}

}  // namespace gantry::cli
