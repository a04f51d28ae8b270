#pragma once
// What an InferenceEngine is made of; shared by its parts (running, tuning, reading back).
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda/lane.hpp"
#include "engine/cuda/profile.hpp"
#include "engine/cuda/tuner.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/graph/model.hpp"

namespace gantry::cuda {

/// How a whole network is cut and spread; what the tuner chooses between once every kernel is chosen.
struct NetworkWay {
  std::size_t l2_bytes = 0;  ///< early layers in sub-batches that fit this; 0: the whole batch at once
  RecordOptions record;
  [[nodiscard]] std::string label() const;
};
/// The first is taken where nothing has been measured.
[[nodiscard]] std::vector<NetworkWay> network_ways(const DeviceInfo& device, int batch);

/// A prepared rectangle and batch size.
struct PreparedProfile {
  Recipe recipe;
  RecordOptions record;
  bool tuned = false;
};

/// The profile that runs a batch of this many pictures.
[[nodiscard]] int profile_batch(int images) noexcept;

struct InferenceEngine::State {
  State(EngineOptions o, graph::Model m, DeviceInfo d);

  EngineOptions settings;
  graph::Model model;
  DeviceInfo device;
  WeightStore weights;
  TuningCache cache;
  std::string plan_file;
  std::map<std::pair<engine::InputShape, std::size_t>, std::shared_ptr<const graph::Plan>> plans;
  std::map<ProfileKey, PreparedProfile> profiles;
  std::vector<Lane> lanes;
  std::unique_ptr<Lane> scratch;  ///< the tuner's, while it works

  void read_plan_file();
  void write_plan_file() const;

  /// The plan of a rectangle, made once. @throws ModelError
  [[nodiscard]] const std::shared_ptr<const graph::Plan>& plan(engine::InputShape shape, std::size_t l2_bytes);
  [[nodiscard]] Recipe make_recipe(const ProfileKey& key, const NetworkWay& way);
  [[nodiscard]] LaneSize lane_size(const ProfileKey& key, std::size_t arena_bytes) const;
  /// @throws DeviceError where lanes of that size would take the card beyond its fraction
  void expect_room(const LaneSize& size) const;
  /// Of all ways between which tune() may choose.
  [[nodiscard]] std::size_t largest_arena(const ProfileKey& key);
  /// What the plan file knows, and first variants for the rest; measures nothing.
  [[nodiscard]] PreparedProfile known_profile(const ProfileKey& key);
  /// Nothing where stopped.
  [[nodiscard]] std::optional<PreparedProfile> measured_profile(const ProfileKey& key, const TuneControl& control);
  /// Graphs of all lanes for a profile whose kernels have run before.
  [[nodiscard]] std::vector<GraphExec> record_lanes(const PreparedProfile& profile, int batch) const;
  [[nodiscard]] const PreparedProfile& prepared(engine::InputShape shape, int images) const;
};

/// Puts values like a network's own into a lane's arena and input, so that what is timed is real arithmetic.
void fill_with_noise(const Lane& lane);

}  // namespace gantry::cuda
