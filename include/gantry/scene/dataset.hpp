#pragma once
// Labelled pictures of simulated scenes for training detectors, in the layout of YOLO data sets.
#include <cstdint>
#include <functional>
#include <string>

namespace gantry::scene {

struct DatasetOptions {
  int count = 1000;  ///< pictures, >= 1
  std::uint64_t seed = 1;
  int per_sitting = 8;     ///< pictures of one camera before another scene, hour, weather and camera are drawn
  double val_share = 0.1;  ///< of the sittings
  int quality = 88;        ///< JPEG, 1…100
  int threads = 1;         ///< >= 1; the pictures do not depend on it
};

/// Writes OUT/{images,labels,ignore}/{train,val}/NAME.{jpg,txt} and OUT/per_image.json. A sitting draws scene, camera,
/// mounting, lens, hour, weather, density, variety of traffic and picture size from (seed, its number) alone. Labels
/// are the visible boxes of what a person would recognise (train: at most 75 % hidden, at least 4 x 8 pixels in a
/// picture of 640) or of what a detector is held to (val: at most half hidden or outside, at least 6 x 20); the rest of
/// what can be seen is in `ignore`. `progress` is called with the number of pictures written, from any thread.
/// @throws MediaError where a file can't be written
void write_dataset(const std::string& out, const DatasetOptions& options, const std::function<void(int)>& progress);

}  // namespace gantry::scene
