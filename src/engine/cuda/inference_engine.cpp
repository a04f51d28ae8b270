#include "gantry/engine/cuda/inference_engine.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <map>
#include <random>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/profile.hpp"
#include "engine/cuda/tuner.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cuda {

namespace {

using engine::InputShape;

struct ProfileKey {
  InputShape shape;
  int batch = 1;
  friend auto operator<=>(const ProfileKey&, const ProfileKey&) = default;
};

int profile_batch(int images) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(images)));
}

int anchors_of(const graph::Model& model, InputShape shape) {
  int anchors = 0;
  for (const auto& level : model.head().levels) anchors += shape.width / level.stride * (shape.height / level.stride);
  return anchors;
}

/// Milliseconds of one replay: the median of `replays`.
double time_graph(cudaGraphExec_t graph, cudaStream_t stream, int replays) {
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

/// A lane's memory: grows while profiles are prepared, then stays where the graphs know it.
struct Lane {
  Stream stream;
  DeviceBuffer arena, input, keys, boxes, ids, counts, limits, masks;
  PinnedBuffer limits_host, masks_host, detections, detection_counts;
  int images = 0;       ///< most pictures of a batch
  int anchors = 0;      ///< most of a picture
  int last_images = 0;  ///< whose limits are on the card
  std::map<ProfileKey, GraphExec> graphs;
};

}  // namespace

struct InferenceEngine::State {
  State(EngineOptions o, graph::Model m) : settings(std::move(o)), model(std::move(m)) {}

  EngineOptions settings;
  graph::Model model;
  DeviceInfo device;
  WeightStore weights;
  std::map<ProfileKey, Recipe> recipes;
  std::map<ProfileKey, RecordOptions> records;
  std::vector<Lane> lanes;
  std::vector<engine::DetectOptions> defaults{1};

  [[nodiscard]] int mask_words() const { return (model.head().classes + 31) / 32; }
  [[nodiscard]] Binding binding(const Lane& lane, int batch) const {
    Binding b;
    b.arena = lane.arena.data(), b.input = lane.input.as<__half>(), b.batch = batch;
    b.detect.limits = lane.limits.as<DetectLimits>(), b.detect.class_masks = lane.masks.as<std::uint32_t>();
    b.detect.keys = lane.keys.as<std::uint64_t>(), b.detect.boxes = lane.boxes.as<float4>();
    b.detect.ids = lane.ids.as<std::int32_t>(), b.detect.counts = lane.counts.as<std::int32_t>();
    b.detect.detections = lane.detections.as<RawDetection>();
    b.detect.detection_counts = lane.detection_counts.as<std::int32_t>();
    return b;
  }

  void grow(Lane& lane, std::size_t arena_bytes, InputShape shape, int batch) {
    const int anchors = std::max(lane.anchors, anchors_of(model, shape)), images = std::max(lane.images, batch);
    const auto n = static_cast<std::size_t>(images), cells = n * static_cast<std::size_t>(anchors);
    const std::size_t input_bytes = static_cast<std::size_t>(batch) * shape.width * shape.height * 4 * sizeof(__half);
    if (arena_bytes <= lane.arena.bytes() && input_bytes <= lane.input.bytes() && images == lane.images &&
        anchors == lane.anchors)
      return;
    lane.graphs.clear();
    if (arena_bytes > lane.arena.bytes()) lane.arena = DeviceBuffer(), lane.arena = DeviceBuffer(arena_bytes);
    if (input_bytes > lane.input.bytes()) lane.input = DeviceBuffer(), lane.input = DeviceBuffer(input_bytes);
    lane.keys = DeviceBuffer(cells * sizeof(std::uint64_t)), lane.boxes = DeviceBuffer(cells * sizeof(float4));
    lane.ids = DeviceBuffer(cells * sizeof(std::int32_t)), lane.counts = DeviceBuffer(n * sizeof(std::int32_t));
    lane.limits = DeviceBuffer(n * sizeof(DetectLimits));
    lane.masks = DeviceBuffer(n * static_cast<std::size_t>(mask_words()) * sizeof(std::uint32_t));
    lane.limits_host = PinnedBuffer(lane.limits.bytes()), lane.masks_host = PinnedBuffer(lane.masks.bytes());
    lane.detections = PinnedBuffer(n * kMaxDetections * sizeof(RawDetection));
    lane.detection_counts = PinnedBuffer(n * sizeof(std::int32_t));
    check(cudaMemset(lane.counts.data(), 0, lane.counts.bytes()), "memset");
    lane.images = images, lane.anchors = anchors, lane.last_images = 0;
  }

  /// Values like a network's own, so that tuning times real arithmetic.
  void fill(const Lane& lane) const {
    std::mt19937 engine(1);
    std::vector<__half> block(std::size_t{1} << 20);
    for (__half& v : block) v = __float2half(static_cast<float>(engine() % 2048) / 2048.0F);
    const std::size_t bytes = block.size() * sizeof(__half);
    for (const DeviceBuffer* buffer : {&lane.arena, &lane.input})
      for (std::size_t at = 0; at < buffer->bytes(); at += bytes)
        check(cudaMemcpy(buffer->data() + at, block.data(), std::min(bytes, buffer->bytes() - at),
                         cudaMemcpyHostToDevice),
              "upload");
  }

  /// Puts each picture's thresholds on the card, unless they are there already.
  void set_limits(Lane& lane, int images, std::span<const engine::DetectOptions* const> options) {
    const auto words = static_cast<std::size_t>(mask_words());
    bool changed = images > lane.last_images;
    for (int i = 0; i < images; ++i) {
      const engine::DetectOptions& o = *options[options.size() == 1 ? 0 : static_cast<std::size_t>(i)];
      const DetectLimits wanted{o.confidence, o.iou, std::clamp(o.max_detections, 1, kMaxDetections),
                                o.agnostic ? 1 : 0};
      DetectLimits& limits = lane.limits_host.as<DetectLimits>()[i];
      std::uint32_t* const mask = lane.masks_host.as<std::uint32_t>() + static_cast<std::size_t>(i) * words;
      const auto bits = [&](std::size_t word) {
        std::uint32_t value = o.classes.empty() ? 0xffffffffU : 0U;
        for (const int id : o.classes)
          if (id >= 0 && static_cast<std::size_t>(id) / 32 == word) value |= 1U << (id % 32);
        return value;
      };
      changed = changed || limits.confidence != wanted.confidence || limits.iou != wanted.iou ||
                limits.max_detections != wanted.max_detections || limits.agnostic != wanted.agnostic;
      for (std::size_t w = 0; w < words; ++w) changed = changed || mask[w] != bits(w);
      if (!changed) continue;
      limits = wanted;
      for (std::size_t w = 0; w < words; ++w) mask[w] = bits(w);
    }
    if (!changed) return;
    lane.last_images = std::max(lane.last_images, images);
    const auto n = static_cast<std::size_t>(images);
    check(cudaMemcpyAsync(lane.limits.data(), lane.limits_host.as<void>(), n * sizeof(DetectLimits),
                          cudaMemcpyHostToDevice, lane.stream.get()),
          "upload");
    check(cudaMemcpyAsync(lane.masks.data(), lane.masks_host.as<void>(), n * words * sizeof(std::uint32_t),
                          cudaMemcpyHostToDevice, lane.stream.get()),
          "upload");
  }

  cudaGraphExec_t graph(Lane& lane, const ProfileKey& key) {
    auto found = lane.graphs.find(key);
    if (found == lane.graphs.end())
      found =
          lane.graphs.emplace(key, record(recipes.at(key), binding(lane, key.batch), device, records.at(key))).first;
    return found->second.get();
  }

  [[nodiscard]] std::string cache_path() const {
    return settings.cache_folder.empty() ? std::string()
                                         : (std::filesystem::path(settings.cache_folder) /
                                            (model.hash() + "-gpu" + std::to_string(device.index) + ".tuning"))
                                               .string();
  }

  /// Tries the ways to cut a batch and to spread branches; keeps the fastest whole network.
  void choose(const ProfileKey& key, TuningCache& cache, TuneResult& sum);
};

void InferenceEngine::State::choose(const ProfileKey& key, TuningCache& cache, TuneResult& sum) {
  const std::string name = "network " + std::to_string(key.shape.width) + "x" + std::to_string(key.shape.height) +
                           " b" + std::to_string(key.batch);
  const std::optional<TuningChoice> known = cache.find(name);
  struct Try {
    std::size_t l2_bytes;
    RecordOptions record;
  };
  std::vector<Try> tries{{0, {true, 8}}, {0, {true, 1}}, {0, {false, 8}}};
  if (key.batch > 8) tries.push_back({device.l2_bytes * 2, {true, 8}});
  if (!settings.tune) tries.resize(1);
  double best = 0;
  for (const Try& t : tries) {
    const std::string label = std::to_string(t.l2_bytes >> 20) + "MB/" + std::to_string(t.record.branches) +
                              (t.record.programmatic ? "p" : "");
    if (known && known->name != label) continue;
    graph::PlanOptions plan_options;
    plan_options.order = graph::PlanOptions::Order::kDependencies;
    plan_options.max_views = kMaxConvSources;
    plan_options.l2_bytes = t.l2_bytes;
    Recipe recipe;
    graph::Plan plan = graph::make_plan(model, key.shape, plan_options);
    separate_fused(plan, device);
    recipe.plan = std::make_shared<const graph::Plan>(std::move(plan));
    if (t.l2_bytes != 0 && recipe.plan->segments.size() < 2) continue;
    recipe.batch = key.batch;
    recipe.groups = make_groups(recipe.plan, weights, device);
    Lane& lane = lanes.front();
    grow(lane, recipe.plan->arena_bytes(key.batch), key.shape, key.batch);
    fill(lane);
    const engine::DetectOptions* const defaults_of = defaults.data();
    set_limits(lane, key.batch, {&defaults_of, 1});
    check(cudaStreamSynchronize(lane.stream.get()), "upload");
    const TuneResult result = tune(recipe.groups, *recipe.plan, binding(lane, key.batch), device, cache, settings.tune);
    sum.timed += result.timed, sum.known += result.known, sum.failed += result.failed;
    if (!known && settings.tune) {
      // The tuned kernels left rubbish in the counters of candidates.
      check(cudaMemset(lane.counts.data(), 0, lane.counts.bytes()), "memset");
      const GraphExec graph = record(recipe, binding(lane, key.batch), device, t.record);
      const double milliseconds = time_graph(graph.get(), lane.stream.get(), 15);
      ++sum.timed;
      if (best != 0 && milliseconds >= best) continue;
      best = milliseconds;
      cache.put(name, {label, milliseconds * 1e3});
    }
    records[key] = t.record;
    recipes[key] = std::move(recipe);
  }
  GANTRY_EXPECTS(recipes.contains(key), "a profile must come out of tuning");
}

InferenceEngine::InferenceEngine() = default;
InferenceEngine::~InferenceEngine() {
  if (state_ == nullptr) return;
  static_cast<void>(cudaSetDevice(state_->device.index));
  for (const Lane& lane : state_->lanes) static_cast<void>(cudaStreamSynchronize(lane.stream.get()));
}

std::unique_ptr<InferenceEngine> InferenceEngine::load(const EngineOptions& options) {
  GANTRY_EXPECTS(options.lanes >= 1, "an engine needs a lane");
  auto engine = std::unique_ptr<InferenceEngine>(new InferenceEngine);
  const DeviceInfo device = describe_device(options.device);
  engine->state_ = std::make_unique<State>(options, graph::Model::load(options.model));
  State& state = *engine->state_;
  state.device = device;
  state.lanes.resize(static_cast<std::size_t>(options.lanes));
  for (Lane& lane : state.lanes) lane.stream = make_stream();
  return engine;
}

const engine::ModelInfo& InferenceEngine::model() const noexcept {
  return state_->model.info();
}
const std::string& InferenceEngine::device_name() const noexcept {
  return state_->device.name;
}
int InferenceEngine::driver_version() const noexcept {
  return state_->device.driver_version;
}
int InferenceEngine::lanes() const noexcept {
  return static_cast<int>(state_->lanes.size());
}

void InferenceEngine::prepare(InputShape shape, int max_batch) {
  GANTRY_EXPECTS(max_batch >= 1 && max_batch <= 256, "batches are of 1 to 256 pictures");
  State& state = *state_;
  check(cudaSetDevice(state.device.index), "cudaSetDevice");
  TuningCache cache({state.device.name, state.device.driver_version, kTuningEngineVersion, state.model.hash()});
  const std::string path = state.cache_path();
  if (!path.empty() && cache.load(path) == TuningCache::Loaded::kCorrupt)
    spdlog::warn("tuning cache {} is damaged: tuning anew and replacing it", path);
  TuneResult sum;
  // The largest first: memory then grows once.
  for (int batch = profile_batch(max_batch); batch >= 1; batch /= 2) {
    const ProfileKey key{shape, batch};
    if (!state.recipes.contains(key)) state.choose(key, cache, sum);
  }
  if (sum.timed > 0 && !path.empty() && !cache.save(path))
    spdlog::warn("tuning cache {} can't be written: the next start tunes again", path);
  for (Lane& lane : state.lanes)
    for (const auto& [key, recipe] : state.recipes)
      state.grow(lane, recipe.plan->arena_bytes(key.batch), key.shape, key.batch);
  for (Lane& lane : state.lanes) {
    check(cudaMemset(lane.counts.data(), 0, lane.counts.bytes()), "memset");
    for (const auto& [key, recipe] : state.recipes) static_cast<void>(state.graph(lane, key));
  }
  check(cudaDeviceSynchronize(), "preparing the network");
}

bool InferenceEngine::prepared(InputShape shape, int batch) const noexcept {
  return batch >= 1 && state_->recipes.contains({shape, profile_batch(batch)});
}

void* InferenceEngine::input(int lane) const {
  return state_->lanes[static_cast<std::size_t>(lane)].input.data();
}
void* InferenceEngine::stream(int lane) const {
  return state_->lanes[static_cast<std::size_t>(lane)].stream.get();
}

Result<void> InferenceEngine::run(int lane_index, InputShape shape, int images,
                                  std::span<const engine::DetectOptions* const> options) {
  State& state = *state_;
  Lane& lane = state.lanes[static_cast<std::size_t>(lane_index)];
  const auto graph = prepared(shape, images) ? lane.graphs.find({shape, profile_batch(images)}) : lane.graphs.end();
  if (graph == lane.graphs.end())
    return fail(ErrorCode::kInvalid, "batches of " + std::to_string(images) + " at " + std::to_string(shape.width) +
                                         "x" + std::to_string(shape.height) + " are not prepared");
  try {
    check(cudaSetDevice(state.device.index), "cudaSetDevice");  // of the calling thread
    state.set_limits(lane, images, options);
    check(cudaGraphLaunch(graph->second.get(), lane.stream.get()), "the network");
  } catch (const DeviceError& error) {
    return fail(ErrorCode::kDevice, error.what());
  }
  return {};
}

void InferenceEngine::results(int lane_index, int image, Detections& into) const {
  const Lane& lane = state_->lanes[static_cast<std::size_t>(lane_index)];
  const int count = lane.detection_counts.as<std::int32_t>()[image];
  const RawDetection* const raw =
      lane.detections.as<RawDetection>() + static_cast<std::ptrdiff_t>(image) * kMaxDetections;
  into.clear();
  for (int i = 0; i < count; ++i)
    into.push_back({{raw[i].x1, raw[i].y1, raw[i].x2, raw[i].y2}, raw[i].confidence, raw[i].class_id});
}

Result<void> InferenceEngine::wait(int lane) {
  static_cast<void>(cudaSetDevice(state_->device.index));
  const cudaError_t error = cudaStreamSynchronize(state_->lanes[static_cast<std::size_t>(lane)].stream.get());
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());
  return fail(ErrorCode::kDevice, std::string("the GPU failed: ") + cudaGetErrorString(error));
}

std::vector<Detections> InferenceEngine::infer_batch(InputShape shape, std::span<const float> pictures,
                                                     const engine::DetectOptions& options) {
  const std::size_t pixels = static_cast<std::size_t>(shape.width) * shape.height;
  GANTRY_EXPECTS(pixels > 0 && !pictures.empty() && pictures.size() % (pixels * 3) == 0,
                 "pictures are floats [batch][3][height][width]");
  const int images = static_cast<int>(pictures.size() / (pixels * 3));
  if (!prepared(shape, images)) prepare(shape, images);
  std::vector<__half> packed(static_cast<std::size_t>(images) * pixels * 4, __half(0.0F));
  for (std::size_t i = 0; i < static_cast<std::size_t>(images); ++i)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < pixels; ++p)
        packed[(i * pixels + p) * 4 + c] = __float2half(pictures[(i * 3 + c) * pixels + p]);
  check(cudaMemcpy(input(0), packed.data(), packed.size() * sizeof(__half), cudaMemcpyHostToDevice), "upload");
  const engine::DetectOptions* const one = &options;
  if (const Result<void> started = run(0, shape, images, {&one, 1}); !started)
    throw DeviceError(started.error().message);
  if (const Result<void> finished = wait(0); !finished) throw DeviceError(finished.error().message);
  std::vector<Detections> out(static_cast<std::size_t>(images));
  for (int i = 0; i < images; ++i) results(0, i, out[static_cast<std::size_t>(i)]);
  return out;
}

std::vector<float> InferenceEngine::raw_map(InputShape shape, int batch, const std::string& tensor) const {
  const State& state = *state_;
  const Recipe& recipe = state.recipes.at({shape, profile_batch(batch)});
  const Lane& lane = state.lanes.front();
  for (const graph::Op& op : recipe.plan->ops)
    for (std::size_t o = 0; o < op.outputs.size(); ++o) {
      if (o >= op.tensors.size() || op.tensors[o] != tensor) continue;
      const graph::View& view = op.outputs[o];
      const graph::Buffer& buffer = recipe.plan->buffers[static_cast<std::size_t>(view.buffer)];
      std::vector<__half> raw(buffer.bytes() / sizeof(__half) * static_cast<std::size_t>(batch));
      check(cudaMemcpy(raw.data(), lane.arena.data() + recipe.plan->offset_of(view.buffer, recipe.batch),
                       raw.size() * sizeof(__half), cudaMemcpyDeviceToHost),
            "download");
      std::vector<float> out;
      for (std::size_t pixel = 0; pixel < raw.size() / static_cast<std::size_t>(buffer.pitch); ++pixel)
        for (int c = 0; c < view.channels; ++c)
          out.push_back(__half2float(
              raw[pixel * static_cast<std::size_t>(buffer.pitch) + static_cast<std::size_t>(view.channel + c)]));
      return out;
    }
  return {};
}

ProfileReport InferenceEngine::benchmark(InputShape shape, int batch, int replays) {
  State& state = *state_;
  const ProfileKey key{shape, profile_batch(batch)};
  GANTRY_EXPECTS(state.recipes.contains(key), "benchmark() needs a prepared profile");
  const Recipe& recipe = state.recipes.at(key);
  Lane& lane = state.lanes.front();
  ProfileReport report;
  report.shape = shape, report.batch = key.batch;
  report.milliseconds = time_graph(state.graph(lane, key), lane.stream.get(), replays);
  report.arena_bytes = recipe.plan->arena_bytes(key.batch);
  report.unshared_bytes = recipe.plan->sum_of_buffers() * static_cast<std::size_t>(key.batch);
  for (const Group& group : recipe.groups) {
    OpReport op;
    op.name = recipe.plan->ops[static_cast<std::size_t>(group.ops.front())].name;
    graph::Cost cost;
    for (const int i : group.ops) cost += graph::cost_of(*recipe.plan, recipe.plan->ops[static_cast<std::size_t>(i)]);
    const int sub =
        recipe.plan->segments.empty() ? 0 : recipe.plan->segments[static_cast<std::size_t>(group.segment)].sub_batch;
    if (sub != 0 && sub < key.batch) report.sub_batch = sub;
    const int images = sub == 0 ? key.batch : std::min(sub, key.batch), rounds = (key.batch + images - 1) / images;
    op.kernel = group.way().name;
    for (const Step& step : group.way().steps) {
      op.kernel += (op.kernel.empty() ? "" : " ") + step.key + " " + step.candidates[step.chosen].name;
      op.micros += step.micros * rounds;
      report.kernels += rounds;
    }
    op.bytes = cost.map_bytes * key.batch + cost.weight_bytes * rounds;
    op.flops = cost.flops * key.batch;
    op.floor_micros = graph::floor_seconds(cost, {}, key.batch) * 1e6;
    report.ops.push_back(std::move(op));
  }
  return report;
}

}  // namespace gantry::cuda
