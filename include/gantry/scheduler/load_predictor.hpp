#pragma once
// How much work is coming. Two views, combined:
// - short term: arrivals a second, level and damped trend (Holt's linear method, Gardner and McKenzie 1985);
// - time of day: mean arrivals a second of each quarter of an hour, weekdays and weekend apart, smoothed over days.
//   It can be saved and restored, so that a restart at 16:55 still knows of the rush at 17:00.
// Wall-clock time is only a label for the profile: a clock that jumps files some minutes under the wrong label and
// does nothing else. Pure, not thread-safe, no allocation except in save().
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gantry/core/clock.hpp"
#include "gantry/core/result.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

class LoadPredictor {
 public:
  static constexpr int kBinsADay = 96;
  static constexpr Duration kTick = std::chrono::seconds{1};

  /// `frames` arrived at `now`.
  void on_arrivals(int frames, TimePoint now) noexcept;
  /// What the wall clock says at `now`. Without it there is no profile. Once a minute is enough.
  void set_wall_time(WallTime wall, TimePoint now) noexcept;
  /// Closes seconds that are over. @return whether there was one
  bool poll(TimePoint now) noexcept;

  /// Expected arrivals a second, `ahead` from now (0…1 day). Up to a minute by level and trend, beyond that scaled by
  /// the profile where it knows both times of day; otherwise the trend is damped away.
  [[nodiscard]] double demand_fps(Duration ahead) const noexcept;
  /// The profile's mean at a time of day; negative where it has not seen that quarter yet.
  [[nodiscard]] double profile_fps(WallTime wall) const noexcept;
  struct Peak {
    double fps = 0;
    WallTime at;  ///< when its quarter of an hour begins
  };
  /// The quarter of the next `within` (up to a day, the present one not counted) for which most is expected; of equals
  /// the first. Nothing while the wall time is not known or no coming quarter has been seen.
  [[nodiscard]] std::optional<Peak> peak(Duration within) const noexcept;
  [[nodiscard]] double level_fps() const noexcept { return level_; }
  [[nodiscard]] double trend_fps_per_s() const noexcept { return trend_; }

  /// The profile as text: a line "gantry-load-profile 1", then one line a known quarter: "day_type bin days fps".
  [[nodiscard]] std::string save() const;
  /// Replaces the profile; on an error (kCorrupt, naming the line) nothing changes.
  [[nodiscard]] Result<void> restore(std::string_view text);

 private:
  struct Bin {
    double fps = 0;
    int days = 0;  // that went into it
  };
  struct Place {
    int day_type = -1;  // 0 weekday, 1 weekend; -1: wall time unknown
    int bin = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  using Profile = std::array<std::array<Bin, kBinsADay>, 2>;

  [[nodiscard]] static Place place_of(WallTime wall) noexcept;
  [[nodiscard]] WallTime wall_at(TimePoint when) const noexcept;
  void close_second() noexcept;
  void close_quarter() noexcept;

  double level_ = 0;
  double trend_ = 0;
  int seconds_ = 0;  // closed so far
  std::uint64_t in_second_ = 0;
  TimePoint second_end_{};
  bool started_ = false;

  bool wall_known_ = false;
  WallTime wall_;
  TimePoint wall_at_{};
  Place quarter_;  // being filled
  double quarter_frames_ = 0;
  double quarter_seconds_ = 0;
  Profile profile_{};
};

}  // namespace gantry::scheduler
