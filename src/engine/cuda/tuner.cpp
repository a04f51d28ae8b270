#include "engine/cuda/tuner.hpp"

#include <algorithm>
#include <limits>

#include "gantry/core/errors.hpp"

namespace gantry::cuda {

namespace {

constexpr int kLaunches = 8, kReplays = 4;
constexpr double kHopeless = 1.25;  // times the best so far, at the second replay

std::string cache_key(const Step& step, int images) {
  return step.key + " b" + std::to_string(images);
}

/// Microseconds of one launch, the least of a few captured runs of several; infinite where the card refuses it. Gives
/// up early where it is far from `best_micros`.
double time_launch(const std::function<cudaError_t(cudaStream_t)>& launch, cudaStream_t stream, double best_micros) {
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
  double best = kRefused;
  for (int i = 0; i < kReplays; ++i) {
    check(cudaEventRecord(start.get(), stream), "event");
    check(cudaGraphLaunch(exec, stream), "graph launch");
    check(cudaEventRecord(stop.get(), stream), "event");
    check(cudaEventSynchronize(stop.get()), "a kernel being tuned");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()), "event");
    best = std::min(best, static_cast<double>(milliseconds) * 1e3 / kLaunches);
    if (i > 0 && best > best_micros * kHopeless) break;  // the first one uploads the graph
  }
  return best;
}

int images_of(const Group& group, const Recipe& recipe) {
  const auto& segments = recipe.plan->segments;
  return segments.empty() ? recipe.batch : segments[static_cast<std::size_t>(group.segment)].images(recipe.batch);
}

/// Takes the cache's choice. False where there is something to choose and the cache doesn't know.
bool take_known(Step& step, const Group& group, int images, const TuningCache& cache) {
  if (step.candidates.size() == 1 && group.ways.size() == 1) return true;
  const std::optional<TuningChoice> known = cache.find(cache_key(step, images));
  if (!known) return false;
  const auto named = std::find_if(step.candidates.begin(), step.candidates.end(),
                                  [&](const Candidate& c) { return c.name == known->name; });
  if (named == step.candidates.end()) return false;
  step.chosen = static_cast<std::size_t>(named - step.candidates.begin());
  step.micros = known->micros;
  return true;
}

void choose_way(Group& group) {
  const auto total = [](const Way& way) {
    double sum = 0;
    for (const Step& step : way.steps) sum += step.micros;
    return sum;
  };
  const auto best = std::min_element(group.ways.begin(), group.ways.end(),
                                     [&](const Way& a, const Way& b) { return total(a) < total(b); });
  group.chosen = static_cast<std::size_t>(best - group.ways.begin());
}

}  // namespace

TuneResult look_up(Recipe& recipe, const TuningCache& cache) {
  TuneResult result;
  for (Group& group : recipe.groups) {
    bool known = true;
    for (Way& way : group.ways)
      for (Step& step : way.steps)
        if (!take_known(step, group, images_of(group, recipe), cache)) ++result.unknown, known = false;
    if (known) choose_way(group);
  }
  return result;
}

TuneResult tune(Recipe& recipe, const Binding& binding, cudaStream_t stream, const DeviceInfo& device,
                TuningCache& cache, const TuneControl& control) {
  TuneResult result;
  LaunchShape shape;
  shape.multiprocessors = device.multiprocessors;
  shape.programmatic = device.major >= 9;
  constexpr double kRefused = std::numeric_limits<double>::infinity();
  for (Group& group : recipe.groups) {
    const int images = images_of(group, recipe);
    for (Way& way : group.ways)
      for (Step& step : way.steps) {
        if (take_known(step, group, images, cache)) continue;
        step.micros = kRefused;
        for (std::size_t c = 0; c < step.candidates.size(); ++c) {
          if (control.stop.stop_requested()) {
            result.stopped = true;
            return result;
          }
          double micros = kRefused;
          const auto measure = [&] {
            micros =
                time_launch([&](cudaStream_t s) { return step.candidates[c].launch(binding, 0, images, shape, s); },
                            stream, step.micros);
          };
          if (control.alone)
            control.alone(measure);
          else
            measure();
          ++result.timed;
          if (micros < step.micros) step.micros = micros, step.chosen = c;
          if (micros == kRefused) ++result.failed;
        }
        if (step.micros == kRefused)
          throw DeviceError("no variant of the kernel \"" + step.key + "\" runs on this GPU");
        cache.put(cache_key(step, images), {step.candidates[step.chosen].name, step.micros});
      }
    choose_way(group);
  }
  return result;
}

double time_replays(cudaGraphExec_t graph, cudaStream_t stream, int replays) {
  const Event start = make_event(true), stop = make_event(true);
  for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(graph, stream), "graph launch");
  std::vector<float> times;
  for (int i = 0; i < replays; ++i) {
    float milliseconds = 0;
    check(cudaEventRecord(start.get(), stream), "event");
    check(cudaGraphLaunch(graph, stream), "graph launch");
    check(cudaEventRecord(stop.get(), stream), "event");
    check(cudaEventSynchronize(stop.get()), "the network");
    check(cudaEventElapsedTime(&milliseconds, start.get(), stop.get()), "event");
    times.push_back(milliseconds);
  }
  std::nth_element(times.begin(), times.begin() + replays / 2, times.end());
  return times[static_cast<std::size_t>(replays / 2)];
}

}  // namespace gantry::cuda
