#include "engine/cuda/lane_timeline.hpp"

namespace gantry::cuda {

void LaneTimeline::begin(void* stream, std::size_t frames) {
  trace_ = Trace::active();
  if (trace_ == nullptr) return;
  stream_ = static_cast<cudaStream_t>(stream);
  frames_ = static_cast<std::uint32_t>(frames);
  marks_ = 0;
  if (!base_) {
    base_ = make_event(true);
    for (Event& event : events_) event = make_event(true);
    check(cudaEventRecord(base_.get(), stream_), "an event");
    check(cudaStreamSynchronize(stream_), "an event");
    base_at_ = SteadyClock{}.now();
  }
  check(cudaEventRecord(events_[0].get(), stream_), "an event");
}

void LaneTimeline::mark(const char* name) {
  if (trace_ == nullptr || marks_ == kSteps) return;
  names_[++marks_] = name;
  check(cudaEventRecord(events_[marks_].get(), stream_), "an event");
}

void LaneTimeline::finish() {
  if (trace_ == nullptr) return;
  const auto since_base = [this](std::size_t i) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, base_.get(), events_[i].get()), "an event");
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(milliseconds));
  };
  for (std::size_t i = 1; i <= marks_; ++i) {
    const Duration from = since_base(i - 1);
    trace_->add({.name = names_[i],
                 .track = TraceSpan::Track::kStream,
                 .number = number_,
                 .begin = base_at_ + from,
                 .took = since_base(i) - from,
                 .frames = frames_});
  }
}

void LaneTimeline::host(const char* name, TimePoint begin, TimePoint end) const {
  if (trace_ != nullptr)
    trace_->add({.name = name,
                 .track = TraceSpan::Track::kLane,
                 .number = number_,
                 .begin = begin,
                 .took = end - begin,
                 .frames = frames_});
}

}  // namespace gantry::cuda
