// What InferenceEngine reads back beyond boxes: raw maps, every class of an anchor, and layer by layer for checking.
#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "engine/cuda/engine_state.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/graph/check.hpp"
#include "gantry/engine/graph/reference.hpp"
#include "gantry/vision/nms.hpp"

namespace gantry::cuda {

using engine::InputShape;

namespace {

/// Where a view's first element of an image lies, with its rows: pixels of `pitch` elements.
struct Place {
  std::byte* first = nullptr;
  int height = 0, width = 0, channels = 0;
  std::size_t pitch_bytes = 0;
  [[nodiscard]] std::size_t pixels() const { return static_cast<std::size_t>(height) * width; }
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(channels) * sizeof(__half); }
};

Place place_of(const graph::Plan& plan, const graph::View& view, const Binding& binding, int image) {
  const graph::Buffer& buffer = plan.buffers[static_cast<std::size_t>(view.buffer)];
  return {binding.arena + plan.offset_of(view.buffer, binding.batch) +
              static_cast<std::size_t>(image) * buffer.bytes() +
              static_cast<std::size_t>(view.channel) * sizeof(__half),
          buffer.height, buffer.width, view.channels, static_cast<std::size_t>(buffer.pitch) * sizeof(__half)};
}

std::vector<float> download(const Place& place, cudaStream_t stream) {
  std::vector<__half> raw(place.pixels() * static_cast<std::size_t>(place.channels));
  check(cudaMemcpy2DAsync(raw.data(), place.row_bytes(), place.first, place.pitch_bytes, place.row_bytes(),
                          place.pixels(), cudaMemcpyDeviceToHost, stream),
        "download");
  check(cudaStreamSynchronize(stream), "download");
  std::vector<float> values(raw.size());
  std::transform(raw.begin(), raw.end(), values.begin(), [](__half v) { return __half2float(v); });
  return values;
}

void upload(const Place& place, const graph::ConstMap& values, cudaStream_t stream) {
  std::vector<__half> raw;
  raw.reserve(place.pixels() * static_cast<std::size_t>(place.channels));
  for (int y = 0; y < place.height; ++y)
    for (int x = 0; x < place.width; ++x)
      for (int c = 0; c < place.channels; ++c) raw.push_back(__float2half(values.at(y, x)[c]));
  check(cudaMemcpy2DAsync(place.first, place.pitch_bytes, raw.data(), place.row_bytes(), place.row_bytes(),
                          place.pixels(), cudaMemcpyHostToDevice, stream),
        "upload");
  check(cudaStreamSynchronize(stream), "upload");
}

graph::ConstMap map_of(const std::vector<float>& values, const Place& place) {
  return {values.data(), place.height, place.width, place.channels, place.channels, 1};
}

}  // namespace

std::vector<float> InferenceEngine::raw_map(InputShape shape, int batch, const std::string& tensor) const {
  const Recipe& recipe = state_->prepared(shape, batch).recipe;
  const Lane& lane = state_->lanes.front();
  for (const graph::Op& op : recipe.plan->ops)
    for (std::size_t o = 0; o < op.outputs.size(); ++o) {
      if (o >= op.tensors.size() || op.tensors[o] != tensor) continue;
      std::vector<float> all;
      for (int image = 0; image < batch; ++image) {
        const auto one =
            download(place_of(*recipe.plan, op.outputs[o], lane.binding(recipe.batch), image), lane.stream());
        all.insert(all.end(), one.begin(), one.end());
      }
      return all;
    }
  return {};
}

void InferenceEngine::every_class_results(int lane_index, InputShape shape, int images, int image,
                                          const engine::DetectOptions& options, Detections& into) const {
  const Recipe& recipe = state_->prepared(shape, images).recipe;
  const Lane& lane = state_->lanes[static_cast<std::size_t>(lane_index)];
  const graph::Op& head = recipe.plan->ops.back();
  const auto* detect = head.as<graph::DetectOp>();
  GANTRY_EXPECTS(detect != nullptr, "a detector's plan ends with its head");
  std::vector<std::vector<float>> values;
  std::vector<graph::ConstMap> maps;
  for (const graph::View& view : head.inputs) {
    const Place place = place_of(*recipe.plan, view, lane.binding(recipe.batch), image);
    values.push_back(download(place, lane.stream()));
    maps.push_back(map_of(values.back(), place));
  }
  into = graph::detect_reference(*detect, maps, {options.confidence, true},
                                 {options.iou, options.max_detections, options.agnostic, options.classes});
}

std::vector<graph::LayerError> InferenceEngine::check_layers(const graph::LayerCheck& reference, InputShape shape,
                                                             std::span<const float> pictures, graph::CheckMode mode) {
  const std::size_t pixels = static_cast<std::size_t>(shape.width) * shape.height;
  const int images = static_cast<int>(pictures.size() / (pixels * 3));
  State& state = *state_;
  const Recipe& recipe = state.prepared(shape, images).recipe;
  const graph::Plan& plan = *recipe.plan;
  GANTRY_EXPECTS(plan.segments.size() < 2, "layers are compared where the whole batch runs at once");
  Lane& lane = state.lanes.front();
  check(cudaSetDevice(state.device.index), "cudaSetDevice");
  lane.upload_planar(pictures, pixels);
  const Binding binding = lane.binding(recipe.batch);
  LaunchShape launch;
  launch.multiprocessors = state.device.multiprocessors;
  std::map<std::pair<int, std::size_t>, graph::LayerError> worst;
  for (const Group& group : recipe.groups) {
    const auto each_output = [&](const auto& act) {
      for (const int i : group.ops) {
        const graph::Op& op = plan.ops[static_cast<std::size_t>(i)];
        for (std::size_t o = 0; o < op.tensors.size(); ++o)
          for (int image = 0; image < images; ++image)
            act(i, op, o, image, place_of(plan, op.outputs[o], binding, image));
      }
    };
    // NaN everywhere first: a map that stays inside a fused kernel is then known by being left alone.
    each_output([&](int, const graph::Op&, std::size_t, int, const Place& place) {
      check(cudaMemset2DAsync(place.first, place.pitch_bytes, 0xFF, place.row_bytes(), place.pixels(), lane.stream()),
            "memset");
    });
    for (const Step& step : group.way().steps)
      check(step.candidates[step.chosen].launch(binding, 0, recipe.batch, launch, lane.stream()), step.key.c_str());
    check(cudaStreamSynchronize(lane.stream()), group.way().steps.front().key.c_str());
    each_output([&](int i, const graph::Op& op, std::size_t o, int image, const Place& place) {
      const std::vector<float> values = download(place, lane.stream());
      const bool untouched = std::all_of(values.begin(), values.end(), [](float v) { return std::isnan(v); });
      if (untouched && i != group.ops.back()) return;
      graph::LayerError error = reference.compare(plan, i, o, image, map_of(values, place));
      if (mode == graph::CheckMode::kIsolated) upload(place, reference.expected(op, o, image), lane.stream());
      auto [entry, fresh] = worst.try_emplace({i, o}, error);
      if (!fresh && !error.within(entry->second.relative())) entry->second = std::move(error);
    });
  }
  std::vector<graph::LayerError> errors;
  for (auto& [key, error] : worst) errors.push_back(std::move(error));
  return errors;
}

}  // namespace gantry::cuda
