#include "engine/cuda/profile.hpp"

#include <algorithm>

namespace gantry::cuda {

namespace {

/// Puts groups on streams while a capture runs. A group follows its newest dependency on that one's stream if nobody
/// else has yet; otherwise it takes the stream that has been left alone longest. Events join streams.
class Recorder {
 public:
  Recorder(const Recipe& recipe, const Binding& binding, const DeviceInfo& device, const RecordOptions& options)
      : recipe_(recipe), binding_(binding), options_(options) {
    shape_.multiprocessors = device.multiprocessors;
    programmatic_ = options.programmatic && device.major >= 9;
    for (int i = 0; i < std::max(1, options.branches); ++i) streams_.push_back(make_stream());
    last_.assign(streams_.size(), -1);
    for (std::size_t i = 0; i < recipe.groups.size(); ++i) done_.push_back(make_event());
    stream_of_.assign(recipe.groups.size(), -1);
  }

  GraphExec run() {
    const cudaStream_t origin = streams_[0].get();
    check(cudaStreamBeginCapture(origin, cudaStreamCaptureModeThreadLocal), "graph capture");
    cudaGraph_t graph = nullptr;
    try {
      fork_.push_back(make_event());
      check(cudaEventRecord(fork_.back().get(), origin), "graph capture");
      segments();
      join();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(origin, &graph));
      const Graph discarded(graph);
      throw;
    }
    check(cudaStreamEndCapture(origin, &graph), "graph capture");
    const Graph owned(graph);
    cudaGraphExec_t exec = nullptr;
    check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
    return GraphExec(exec);
  }

 private:
  void segments() {
    const auto& segments = recipe_.plan->segments;
    const int count = std::max<int>(1, static_cast<int>(segments.size()));
    for (int s = 0; s < count; ++s) {
      const int images = segments.empty() ? recipe_.batch : segments[static_cast<std::size_t>(s)].images(recipe_.batch);
      if (images == recipe_.batch) {
        for (std::size_t g = 0; g < recipe_.groups.size(); ++g)
          if (recipe_.groups[g].segment == s) branch(static_cast<int>(g));
        continue;
      }
      // Sub-batches follow each other on one stream: their local maps share memory.
      for (int first = 0; first < recipe_.batch; first += images)
        for (std::size_t g = 0; g < recipe_.groups.size(); ++g)
          if (recipe_.groups[g].segment == s) {
            launch(static_cast<int>(g), 0, first, std::min(images, recipe_.batch - first), last_[0] >= 0);
            note(static_cast<int>(g), 0);
          }
    }
  }

  void branch(int g) {
    const Group& group = recipe_.groups[static_cast<std::size_t>(g)];
    int on = -1;
    for (const int d : group.after) {
      const int s = stream_of_[static_cast<std::size_t>(d)];
      if (last_[static_cast<std::size_t>(s)] == d && (on < 0 || d > last_[static_cast<std::size_t>(on)])) on = s;
    }
    if (on < 0) on = static_cast<int>(std::min_element(last_.begin(), last_.end()) - last_.begin());
    bool waits = false;
    for (const int d : group.after)
      if (stream_of_[static_cast<std::size_t>(d)] != on) {
        check(cudaStreamWaitEvent(streams_[static_cast<std::size_t>(on)].get(),
                                  done_[static_cast<std::size_t>(d)].get(), 0),
              "graph capture");
        waits = true;
      }
    if (!waits && last_[static_cast<std::size_t>(on)] < 0 && on != 0) {
      check(cudaStreamWaitEvent(streams_[static_cast<std::size_t>(on)].get(), fork_[0].get(), 0), "graph capture");
      waits = true;
    }
    launch(g, on, 0, recipe_.batch, !waits && last_[static_cast<std::size_t>(on)] >= 0);
    note(g, on);
  }

  void launch(int g, int on, int first, int images, bool chained) {
    LaunchShape shape = shape_;
    shape.programmatic = programmatic_ && chained;
    for (const Step& step : recipe_.groups[static_cast<std::size_t>(g)].way().steps) {
      check(step.candidates[step.chosen].launch(binding_, first, images, shape,
                                                streams_[static_cast<std::size_t>(on)].get()),
            step.key.c_str());
      shape.programmatic = programmatic_;
    }
  }
  void note(int g, int on) {
    check(cudaEventRecord(done_[static_cast<std::size_t>(g)].get(), streams_[static_cast<std::size_t>(on)].get()),
          "graph capture");
    last_[static_cast<std::size_t>(on)] = g;
    stream_of_[static_cast<std::size_t>(g)] = on;
  }
  void join() {
    for (std::size_t s = 1; s < streams_.size(); ++s)
      if (last_[s] >= 0)
        check(cudaStreamWaitEvent(streams_[0].get(), done_[static_cast<std::size_t>(last_[s])].get(), 0),
              "graph capture");
  }

  const Recipe& recipe_;
  const Binding& binding_;
  RecordOptions options_;
  LaunchShape shape_;
  bool programmatic_ = false;
  std::vector<Stream> streams_;
  std::vector<Event> done_, fork_;
  std::vector<int> last_;       ///< newest group on each stream, -1 for none
  std::vector<int> stream_of_;  ///< of each group
};

}  // namespace

void warm_up(Recipe& recipe, const Binding& binding, const DeviceInfo& device, bool measured) {
  LaunchShape shape;
  shape.multiprocessors = device.multiprocessors;
  const Stream stream = make_stream();
  const auto& segments = recipe.plan->segments;
  for (Group& group : recipe.groups) {
    const int images =
        segments.empty() ? recipe.batch : segments[static_cast<std::size_t>(group.segment)].images(recipe.batch);
    for (Step& step : group.ways[group.chosen].steps) {
      cudaError_t refused = cudaSuccess;
      while ((refused = step.candidates[step.chosen].launch(binding, 0, images, shape, stream.get())) != cudaSuccess) {
        if (measured || step.chosen + 1 == step.candidates.size()) check(refused, step.key.c_str());
        static_cast<void>(cudaGetLastError());
        ++step.chosen;
      }
    }
  }
  check(cudaStreamSynchronize(stream.get()), "the network's first run");
}

GraphExec record(const Recipe& recipe, const Binding& binding, const DeviceInfo& device, const RecordOptions& options) {
  return Recorder(recipe, binding, device, options).run();
}

}  // namespace gantry::cuda
