#include "gantry/engine/cuda/inference_engine.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/cuda/engine_state.hpp"
#include "engine/cuda/kernels/conv.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/graph/cost.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "gantry/memory/gpu.hpp"

namespace gantry::cuda {

using engine::InputShape;

int profile_batch(int images) noexcept {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(images)));
}

InferenceEngine::State::State(EngineOptions o, graph::Model m, DeviceInfo d)
    : settings(std::move(o)),
      model(std::move(m)),
      device(std::move(d)),
      cache({device.name, device.driver_version, tuning_engine_version(), model.hash()}) {}

const std::shared_ptr<const graph::Plan>& InferenceEngine::State::plan(InputShape shape, std::size_t l2_bytes) {
  std::shared_ptr<const graph::Plan>& made = plans[{shape, l2_bytes}];
  if (made == nullptr) {
    graph::PlanOptions options;
    options.order = graph::PlanOptions::Order::kDependencies;
    options.max_views = kMaxConvSources;
    options.l2_bytes = l2_bytes;
    graph::Plan plan = graph::make_plan(model, shape, options);
    separate_fused(plan, device);
    made = std::make_shared<const graph::Plan>(std::move(plan));
  }
  return made;
}

Recipe InferenceEngine::State::make_recipe(const ProfileKey& key, const NetworkWay& way) {
  Recipe recipe;
  recipe.plan = plan(key.shape, way.l2_bytes);
  recipe.batch = key.batch;
  recipe.groups = make_groups(recipe.plan, weights, device);
  return recipe;
}

LaneSize InferenceEngine::State::lane_size(const ProfileKey& key, std::size_t arena_bytes) const {
  LaneSize size;
  size.arena_bytes = arena_bytes;
  size.input_bytes = static_cast<std::size_t>(key.batch) * key.shape.width * key.shape.height * 4 * sizeof(__half);
  size.images = key.batch;
  for (const auto& level : model.head().levels)
    size.anchors += key.shape.width / level.stride * (key.shape.height / level.stride);
  size.classes = model.head().classes;
  return size;
}

void InferenceEngine::State::expect_room(const LaneSize& size) const {
  std::size_t wanted = 0;
  for (const Lane& lane : lanes) wanted += lane.growth(size);
  if (wanted == 0) return;
  memory::GpuMemory card;
  check(cudaMemGetInfo(&card.free_bytes, &card.total_bytes), "cudaMemGetInfo");
  if (wanted <= card.left_within(settings.memory_fraction)) return;
  const double kept_free = static_cast<double>(card.total_bytes) * (1 - settings.memory_fraction);
  throw DeviceError("the GPU has no " + std::to_string(wanted >> 20) + " MB left for the network (" +
                    std::to_string(card.free_bytes >> 20) + " of " + std::to_string(card.total_bytes >> 20) +
                    " MB are free, and " + std::to_string(static_cast<std::size_t>(kept_free) >> 20) +
                    " stay so): use a smaller model, input size or batch, or raise the memory fraction");
}

std::vector<GraphExec> InferenceEngine::State::record_lanes(const PreparedProfile& profile, int batch) const {
  std::vector<GraphExec> graphs;
  for (const Lane& lane : lanes) graphs.push_back(record(profile.recipe, lane.binding(batch), device, profile.record));
  return graphs;
}

const PreparedProfile& InferenceEngine::State::prepared(InputShape shape, int images) const {
  const auto found = profiles.find({shape, profile_batch(images)});
  GANTRY_EXPECTS(found != profiles.end(), "the shape and batch must be prepared");
  return found->second;
}

InferenceEngine::InferenceEngine() = default;
InferenceEngine::~InferenceEngine() {
  if (state_ == nullptr) return;
  static_cast<void>(cudaSetDevice(state_->device.index));
  for (const Lane& lane : state_->lanes) static_cast<void>(cudaStreamSynchronize(lane.stream()));
}

std::unique_ptr<InferenceEngine> InferenceEngine::load(const EngineOptions& options) {
  GANTRY_EXPECTS(options.lanes >= 1, "an engine needs a lane");
  GANTRY_EXPECTS(options.memory_fraction > 0 && options.memory_fraction <= 1,
                 "the memory fraction lies above 0 and up to 1");
  auto engine = std::unique_ptr<InferenceEngine>(new InferenceEngine);
  graph::Model model = graph::Model::load(options.model);  // first: a bad file is told of on any machine
  engine->state_ = std::make_unique<State>(options, std::move(model), describe_device(options.device));
  State& state = *engine->state_;
  state.read_plan_file();
  // Every op must have a kernel: said now, not when the first camera comes.
  static_cast<void>(state.make_recipe({state.model.info().native_shape, 1}, NetworkWay()));
  state.lanes.resize(static_cast<std::size_t>(options.lanes));
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
std::string InferenceEngine::plan_file() const {
  return state_->plan_file;
}

void InferenceEngine::prepare(InputShape shape, int max_batch) {
  GANTRY_EXPECTS(max_batch >= 1 && max_batch <= 256, "batches are of 1 to 256 pictures");
  State& state = *state_;
  check(cudaSetDevice(state.device.index), "cudaSetDevice");
  std::vector<ProfileKey> fresh;
  // The largest first: memory then grows once.
  for (int batch = profile_batch(max_batch); batch >= 1; batch /= 2)
    if (const ProfileKey key{shape, batch}; !state.profiles.contains(key)) fresh.push_back(key);
  std::map<ProfileKey, PreparedProfile> added;
  for (const ProfileKey& key : fresh) {
    added[key] = state.known_profile(key);
    const std::size_t arena =
        added[key].tuned ? added[key].recipe.plan->arena_bytes(key.batch) : state.largest_arena(key);
    const LaneSize size = state.lane_size(key, arena);
    state.expect_room(size);
    for (Lane& lane : state.lanes) lane.reserve(size);
  }
  for (auto& [key, profile] : added)
    warm_up(profile.recipe, state.lanes[0].binding(key.batch), state.device, profile.tuned);
  state.profiles.merge(added);
  for (Lane& lane : state.lanes) {
    lane.reset_counters();
    for (const auto& [key, profile] : state.profiles)
      if (!lane.graphs.contains(key))
        lane.graphs.emplace(key, record(profile.recipe, lane.binding(key.batch), state.device, profile.record));
  }
  check(cudaDeviceSynchronize(), "preparing the network");
  if (state.settings.tune) static_cast<void>(tune(shape, max_batch));
}

bool InferenceEngine::prepared(InputShape shape, int batch) const noexcept {
  return batch >= 1 && state_->profiles.contains({shape, profile_batch(batch)});
}

std::size_t InferenceEngine::lane_bytes() const noexcept {
  const Lane& lane = state_->lanes.front();
  return lane.arena().bytes() + lane.input().bytes();
}

void* InferenceEngine::input(int lane) const {
  return state_->lanes[static_cast<std::size_t>(lane)].input().data();
}
void* InferenceEngine::stream(int lane) const {
  return state_->lanes[static_cast<std::size_t>(lane)].stream();
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
    lane.set_limits(images, options);
    check(cudaGraphLaunch(graph->second.get(), lane.stream()), "the network");
  } catch (const DeviceError& error) {
    return fail(ErrorCode::kDevice, error.what());
  }
  return {};
}

void InferenceEngine::enqueue(int lane, InputShape shape, int images,
                              std::span<const engine::DetectOptions* const> options,
                              std::function<void(Result<void>)> done) {
  Result<void> started = run(lane, shape, images, options);
  if (!started) return done(std::move(started));
  Lane& under_way = state_->lanes[static_cast<std::size_t>(lane)];
  under_way.done = std::move(done);
  const auto answer = [](cudaStream_t /*stream*/, cudaError_t status, void* data) {
    const auto finished = std::exchange(static_cast<Lane*>(data)->done, nullptr);
    finished(status == cudaSuccess
                 ? Result<void>()
                 : fail(ErrorCode::kDevice, std::string("the GPU failed: ") + cudaGetErrorString(status)));
  };
  // A stream callback and not a host function: only this kind is called after an error too.
  const cudaError_t added = cudaStreamAddCallback(under_way.stream(), answer, &under_way, 0);
  if (added != cudaSuccess) answer(under_way.stream(), added, &under_way);
}

void InferenceEngine::results(int lane, int image, Detections& into) const {
  state_->lanes[static_cast<std::size_t>(lane)].results(image, into);
}

Result<void> InferenceEngine::wait(int lane) {
  static_cast<void>(cudaSetDevice(state_->device.index));
  const cudaError_t error = cudaStreamSynchronize(state_->lanes[static_cast<std::size_t>(lane)].stream());
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
  state_->lanes[0].upload_planar(pictures, pixels);
  const engine::DetectOptions* const one = &options;
  if (const Result<void> started = run(0, shape, images, {&one, 1}); !started)
    throw DeviceError(started.error().message);
  if (const Result<void> finished = wait(0); !finished) throw DeviceError(finished.error().message);
  std::vector<Detections> out(static_cast<std::size_t>(images));
  for (int i = 0; i < images; ++i) {
    Detections& found = out[static_cast<std::size_t>(i)];
    if (options.every_class)
      every_class_results(0, shape, images, i, options, found);
    else
      results(0, i, found);
  }
  return out;
}

ProfileReport InferenceEngine::benchmark(InputShape shape, int batch, int replays) {
  State& state = *state_;
  const ProfileKey key{shape, profile_batch(batch)};
  const Recipe& recipe = state.prepared(shape, batch).recipe;
  const Lane& lane = state.lanes.front();
  ProfileReport report;
  report.shape = shape, report.batch = key.batch;
  report.milliseconds = time_replays(lane.graphs.at(key).get(), lane.stream(), replays);
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
