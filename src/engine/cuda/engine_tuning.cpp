// The tuning half of InferenceEngine: plan files, what is known without measuring, and measuring beside running lanes.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "engine/cuda/engine_state.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cuda {

namespace fs = std::filesystem;
using engine::InputShape;

namespace {

std::string network_name(const ProfileKey& key) {
  return std::to_string(key.shape.width) + "x" + std::to_string(key.shape.height) + " b" + std::to_string(key.batch);
}

void run_alone(const TuneControl& control, const std::function<void()>& act) {
  if (control.alone)
    control.alone(act);
  else
    act();
}

/// "0123456789abcdef-fp16-NVIDIA_H100_80GB_HBM3.plan": cards of one kind share it.
std::string file_name(const graph::Model& model, const DeviceInfo& device) {
  std::string card = device.name;
  std::replace_if(
      card.begin(), card.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return model.hash() + "-fp16-" + card + ".plan";
}

}  // namespace

std::string default_cache_folder() {
  if (const char* base = std::getenv("XDG_CACHE_HOME"); base != nullptr && *base != '\0')
    return (fs::path(base) / "gantry").string();
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return (fs::path(home) / ".cache" / "gantry").string();
  return {};
}

std::string NetworkWay::label() const {
  return std::to_string(l2_bytes >> 20) + "MB/" + std::to_string(record.branches) + (record.programmatic ? "p" : "");
}

std::vector<NetworkWay> network_ways(const DeviceInfo& device, int batch) {
  std::vector<NetworkWay> ways{{0, {true, 8}}, {0, {true, 1}}, {0, {false, 8}}};
  if (batch > 8) ways.push_back({device.l2_bytes * 2, {true, 8}});
  return ways;
}

void fill_with_noise(const Lane& lane) {
  std::mt19937 engine(1);
  std::vector<__half> block(std::size_t{1} << 20);
  for (__half& v : block) v = __float2half(static_cast<float>(engine() % 2048) / 2048.0F);
  for (const DeviceBuffer* buffer : {&lane.arena(), &lane.input()}) {
    std::size_t filled = std::min(buffer->bytes(), block.size() * sizeof(__half));
    check(cudaMemcpyAsync(buffer->data(), block.data(), filled, cudaMemcpyHostToDevice, lane.stream()), "upload");
    while (filled < buffer->bytes()) {
      const std::size_t more = std::min(filled, buffer->bytes() - filled);
      check(cudaMemcpyAsync(buffer->data() + filled, buffer->data(), more, cudaMemcpyDeviceToDevice, lane.stream()),
            "copy");
      filled += more;
    }
  }
  check(cudaStreamSynchronize(lane.stream()), "upload");
}

void InferenceEngine::State::read_plan_file() {
  const std::string name = file_name(model, device);
  const std::string beside = (fs::path(settings.model).parent_path() / name).string();
  const std::string cached =
      settings.cache_folder.empty() ? std::string() : (fs::path(settings.cache_folder) / name).string();
  plan_file = cached;
  for (const std::string& file : {beside, cached}) {
    if (file.empty()) continue;
    switch (cache.load(file)) {
      case TuningCache::Loaded::kRead:
        plan_file = file;  // what is learnt later goes where the rest is
        return;
      case TuningCache::Loaded::kCorrupt:
        spdlog::warn("plan file {} is damaged: tuning anew and writing it again", file);
        break;
      case TuningCache::Loaded::kOther:
        spdlog::info("plan file {} is of another driver or engine version: tuning anew", file);
        break;
      case TuningCache::Loaded::kMissing:
        break;
    }
  }
}

void InferenceEngine::State::write_plan_file() const {
  if (!plan_file.empty() && !cache.save(plan_file))
    spdlog::warn("plan file {} can't be written: the next start tunes again", plan_file);
}

std::size_t InferenceEngine::State::largest_arena(const ProfileKey& key) {
  std::size_t bytes = 0;
  for (const NetworkWay& way : network_ways(device, key.batch))
    bytes = std::max(bytes, plan(key.shape, way.l2_bytes)->arena_bytes(key.batch));
  return bytes;
}

PreparedProfile InferenceEngine::State::known_profile(const ProfileKey& key) {
  const std::vector<NetworkWay> ways = network_ways(device, key.batch);
  const std::optional<TuningChoice> known = cache.find("network " + network_name(key));
  const auto named = std::find_if(
      ways.begin(), ways.end(), [&](const NetworkWay& way) { return known.has_value() && way.label() == known->name; });
  const NetworkWay& way = named != ways.end() ? *named : ways.front();
  PreparedProfile profile{make_recipe(key, way), way.record, false};
  const TuneResult looked = look_up(profile.recipe, cache);
  profile.tuned = named != ways.end() && looked.unknown == 0;
  return profile;
}

std::optional<PreparedProfile> InferenceEngine::State::measured_profile(const ProfileKey& key,
                                                                        const TuneControl& control) {
  if (scratch == nullptr) scratch = std::make_unique<Lane>();
  scratch->reserve(lane_size(key, largest_arena(key)));
  fill_with_noise(*scratch);
  const Binding binding = scratch->binding(key.batch);
  const std::string name = "network " + network_name(key);
  const std::optional<TuningChoice> known = cache.find(name);
  std::optional<PreparedProfile> best;
  double best_milliseconds = 0;
  std::string best_label;
  for (const NetworkWay& way : network_ways(device, key.batch)) {
    if (known && known->name != way.label()) continue;
    Recipe recipe = make_recipe(key, way);
    if (way.l2_bytes != 0 && recipe.plan->segments.size() < 2) continue;
    const TuneResult result = cuda::tune(recipe, binding, scratch->stream(), device, cache, control);
    if (result.stopped) return std::nullopt;
    double milliseconds = 0;
    run_alone(control, [&] {
      scratch->reset_counters();
      check(cudaStreamSynchronize(scratch->stream()), "memset");
      warm_up(recipe, binding, device, true);
      if (known) return;
      const GraphExec graph = record(recipe, binding, device, way.record);
      milliseconds = time_replays(graph.get(), scratch->stream(), 15);
    });
    if (best && milliseconds >= best_milliseconds) continue;
    best = PreparedProfile{std::move(recipe), way.record, true};
    best_milliseconds = milliseconds, best_label = way.label();
  }
  if (!best) {  // the file's choice is none of ours any more
    cache.forget(name);
    return measured_profile(key, control);
  }
  if (!known) cache.put(name, {best_label, best_milliseconds * 1e3});
  return best;
}

bool InferenceEngine::tuned(InputShape shape, int max_batch) const noexcept {
  for (int batch = profile_batch(max_batch); batch >= 1; batch /= 2) {
    const auto found = state_->profiles.find({shape, batch});
    if (found == state_->profiles.end() || !found->second.tuned) return false;
  }
  return true;
}

bool InferenceEngine::tune(InputShape shape, int max_batch, const TuneControl& control) {
  State& state = *state_;
  if (tuned(shape, max_batch)) return true;
  check(cudaSetDevice(state.device.index), "cudaSetDevice");
  bool whole = true;
  for (int batch = profile_batch(max_batch); whole && batch >= 1; batch /= 2) {
    const ProfileKey key{shape, batch};
    const auto old = state.profiles.find(key);
    GANTRY_EXPECTS(old != state.profiles.end(), "tune() needs a prepared shape");
    if (old->second.tuned) continue;
    std::optional<PreparedProfile> profile = state.measured_profile(key, control);
    whole = profile.has_value();
    if (!whole) break;
    std::vector<GraphExec> graphs = state.record_lanes(*profile, batch);
    run_alone(control, [&] {
      for (std::size_t i = 0; i < state.lanes.size(); ++i) std::swap(state.lanes[i].graphs[key], graphs[i]);
      old->second = std::move(*profile);
    });
  }
  state.scratch.reset();
  state.write_plan_file();
  return whole;
}

std::optional<engine::Profile> InferenceEngine::known_latency(InputShape shape, int batch) const {
  const auto known = state_->cache.find("latency " + network_name({shape, batch}));
  if (!known || !tuned(shape, batch)) return std::nullopt;
  const auto micros = [](double value) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(value));
  };
  return engine::Profile{shape, batch, micros(known->micros), micros(std::strtod(known->name.c_str(), nullptr))};
}

void InferenceEngine::keep_latencies(std::span<const engine::Profile> profiles) {
  const auto micros = [](Duration value) { return std::chrono::duration<double, std::micro>(value).count(); };
  bool kept = false;
  for (const engine::Profile& profile : profiles) {
    if (!tuned(profile.shape, profile.batch)) continue;
    kept = true;
    state_->cache.put("latency " + network_name({profile.shape, profile.batch}),
                      {std::to_string(micros(profile.p99)), micros(profile.mean)});
  }
  if (kept) state_->write_plan_file();
}

}  // namespace gantry::cuda
