#include "engine/cuda/tuner.hpp"

#include <algorithm>
#include <limits>

#include "gantry/core/errors.hpp"

namespace gantry::cuda {

namespace {

constexpr int kLaunches = 8, kReplays = 4;

}  // namespace

double time_launch(const std::function<cudaError_t(cudaStream_t)>& launch, cudaStream_t stream) {
  constexpr double kRefused = std::numeric_limits<double>::infinity();
  // Once outside a graph: a launch that the card refuses must not spoil a capture.
  if (launch(stream) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return kRefused;
  }
  check(cudaStreamSynchronize(stream), "a kernel being tuned");
  cudaGraph_t graph = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "graph capture");
  for (int i = 0; i < kLaunches; ++i) static_cast<void>(launch(stream));
  check(cudaStreamEndCapture(stream, &graph), "graph capture");
  const Graph owned(graph);
  cudaGraphExec_t exec = nullptr;
  check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
  const GraphExec executable(exec);
  const Event start = make_event(true), stop = make_event(true);
  check(cudaGraphLaunch(exec, stream), "graph launch");
  float best = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kReplays; ++i) {
    check(cudaEventRecord(start.get(), stream), "event");
    check(cudaGraphLaunch(exec, stream), "graph launch");
    check(cudaEventRecord(stop.get(), stream), "event");
    check(cudaEventSynchronize(stop.get()), "a kernel being tuned");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()), "event");
    best = std::min(best, milliseconds);
  }
  return static_cast<double>(best) * 1e3 / kLaunches;
}

TuneResult tune(std::vector<Group>& groups, const graph::Plan& plan, const Binding& binding, const DeviceInfo& device,
                TuningCache& cache, bool measure) {
  TuneResult result;
  LaunchShape shape;
  shape.multiprocessors = device.multiprocessors;
  shape.programmatic = device.major >= 9;
  const Stream stream = make_stream();
  for (Group& group : groups) {
    const int images = plan.segments.empty()
                           ? binding.batch
                           : plan.segments[static_cast<std::size_t>(group.segment)].images(binding.batch);
    std::vector<double> totals;
    for (Way& way : group.ways) {
      double total = 0;
      for (Step& step : way.steps) {
        if (step.candidates.size() == 1 && group.ways.size() == 1) continue;
        const std::string key = step.key + " b" + std::to_string(images);
        const std::optional<TuningChoice> known = cache.find(key);
        const auto named = std::find_if(step.candidates.begin(), step.candidates.end(),
                                        [&](const Candidate& c) { return known.has_value() && c.name == known->name; });
        if (named != step.candidates.end()) {
          step.chosen = static_cast<std::size_t>(named - step.candidates.begin());
          step.micros = known->micros;
          ++result.known;
        } else if (measure) {
          step.micros = std::numeric_limits<double>::infinity();
          for (std::size_t c = 0; c < step.candidates.size(); ++c) {
            const double micros = time_launch(
                [&](cudaStream_t s) { return step.candidates[c].launch(binding, 0, images, shape, s); }, stream.get());
            ++result.timed;
            if (micros < step.micros) step.micros = micros, step.chosen = c;
            if (micros == std::numeric_limits<double>::infinity()) ++result.failed;
          }
          if (step.micros == std::numeric_limits<double>::infinity())
            throw DeviceError("no variant of the kernel \"" + step.key + "\" runs on this GPU");
          cache.put(key, {step.candidates[step.chosen].name, step.micros});
        }
        total += step.micros;
      }
      totals.push_back(total);
    }
    group.chosen = static_cast<std::size_t>(std::min_element(totals.begin(), totals.end()) - totals.begin());
  }
  return result;
}

}  // namespace gantry::cuda
