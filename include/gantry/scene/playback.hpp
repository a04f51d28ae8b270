#pragma once
// One camera of a simulated scene, frame after frame: pictures and truth. Used by one thread at a time; several
// playbacks may share one world (WorldFeed) from threads of their own.
#include <cstdint>
#include <memory>
#include <string>

#include "gantry/core/image.hpp"
#include "gantry/scene/options.hpp"
#include "gantry/scene/truth.hpp"

namespace gantry::scene {

/// A world that several cameras may look at. Thread-safe.
class WorldFeed {
 public:
  /// Builds the world and its traffic; takes a few tenths of a second.
  explicit WorldFeed(const WorldOptions& options);
  ~WorldFeed();
  WorldFeed(const WorldFeed&) = delete;
  WorldFeed& operator=(const WorldFeed&) = delete;

  class Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

class Playback {
 public:
  /// A private world where `feed` is null.
  /// @throws MediaError for an unknown scene, camera or size
  explicit Playback(const SceneOptions& options, std::shared_ptr<WorldFeed> feed = nullptr);
  ~Playback();
  Playback(const Playback&) = delete;
  Playback& operator=(const Playback&) = delete;

  /// Draws the moment `world_ms` of the world as NV12 (BT.709, limited range) into memory of frame_bytes() bytes whose
  /// rows have no padding, and refills truth(). `seq` also seeds noise and rain. Moments must not go back by more than
  /// five seconds in a shared world, and not at all in one's own.
  void draw(double world_ms, double pts_ms, std::uint64_t seq, std::uint8_t* pixels);
  /// The view of what draw() wrote into `pixels`.
  [[nodiscard]] Image view(const std::uint8_t* pixels) const noexcept;
  [[nodiscard]] std::size_t frame_bytes() const noexcept;
  [[nodiscard]] const FrameTruth& truth() const noexcept;
  /// The camera as one line of JSON: position, rotation, focal length, distortion, homography from the road plane,
  /// class names. The first line of a truth file.
  [[nodiscard]] std::string camera_json() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::scene
