#pragma once
#include "gantry/scheduler/histogram.hpp"
#include "gantry/sinks/frame_result.hpp"

namespace gantry::app {

/// Seconds of each part of a frame's time; see sinks::FrameLatency. Thread-safe.
struct StageHistograms {
  scheduler::Histogram queue, preprocess, inference, postprocess, total;

  void add(const sinks::FrameLatency& latency) noexcept {
    queue.add(latency.queue);
    preprocess.add(latency.preprocess);
    inference.add(latency.inference);
    postprocess.add(latency.postprocess);
    total.add(latency.total);
  }
};

}  // namespace gantry::app
