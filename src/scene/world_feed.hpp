#pragma once
// A world with a memory of the last seconds, so that cameras of different frame rates and moods of their threads can
// look at the moments they need.
#include <deque>
#include <mutex>

#include "gantry/scene/playback.hpp"
#include "scene/world.hpp"

namespace gantry::scene {

/// Thread-safe. Snapshots lie 20 ms apart; in between, positions are interpolated (error below a millimetre: a dt^2 / 8
/// at hard braking).
class WorldFeed::Impl {
 public:
  explicit Impl(const WorldOptions& options);
  /// The moment `ms`, advancing the world where it lies ahead. Moments older than the memory give its oldest.
  void at(double ms, Snapshot& out);
  /// Copies the events with at_ms <= ms from `cursor` on and moves it past them.
  void events_until(double ms, std::uint64_t& cursor, std::vector<WorldEvent>& out);
  [[nodiscard]] std::uint64_t event_end();
  [[nodiscard]] const Network& network() const noexcept { return world_.network(); }
  /// When a live feed's clock read 0.
  TimePoint epoch{};

 private:
  static constexpr std::int64_t kGridMs = 20;
  static constexpr std::size_t kMemory = 300;
  void advance(std::int64_t to_ms);

  std::mutex mutex_;
  World world_;
  std::vector<Snapshot> ring_;
  std::int64_t newest_ = 0;  ///< grid index of the newest snapshot
  std::deque<WorldEvent> events_;
  std::uint64_t events_begin_ = 0;  ///< number of the first event still remembered
  std::vector<WorldEvent> fresh_;
};

}  // namespace gantry::scene
