#include "gantry/scheduler/load_predictor.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace gantry::scheduler {
namespace {

constexpr double kLevelGain = 0.3;
constexpr double kTrendGain = 0.05;
constexpr double kDamping = 0.98;        // of the trend, a second ahead: e-folding in 50 s
constexpr double kDayGain = 0.3;         // of a new day in a quarter's mean, once three days are known
constexpr int kShortTerm = 60;           // s up to which the profile is not asked
constexpr double kLeastOfQuarter = 300;  // s that must have been seen for a quarter to count as a day's
constexpr int kSecondsADay = 86'400;
constexpr std::string_view kHeader = "gantry-load-profile 1";

}  // namespace

LoadPredictor::Place LoadPredictor::place_of(WallTime wall) noexcept {
  Place place;
  place.day_type = wall.weekday == 0 || wall.weekday == 6 ? 1 : 0;
  place.bin = std::clamp(wall.second_of_day, 0, kSecondsADay - 1) / (kSecondsADay / kBinsADay);
  return place;
}

WallTime LoadPredictor::wall_at(TimePoint when) const noexcept {
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(when - wall_at_).count();
  const auto total = wall_.second_of_day + passed;
  WallTime wall;
  wall.second_of_day = static_cast<int>(((total % kSecondsADay) + kSecondsADay) % kSecondsADay);
  const auto days = (total - wall.second_of_day) / kSecondsADay;
  wall.weekday = static_cast<int>((((wall_.weekday + days) % 7) + 7) % 7);
  return wall;
}

void LoadPredictor::on_arrivals(int frames, TimePoint now) noexcept {
  poll(now);
  in_second_ += static_cast<std::uint64_t>(frames);
}

void LoadPredictor::set_wall_time(WallTime wall, TimePoint now) noexcept {
  poll(now);
  wall_ = wall;
  wall_at_ = now;
  wall_known_ = true;
}

bool LoadPredictor::poll(TimePoint now) noexcept {
  if (!started_) {
    started_ = true;
    second_end_ = now + kTick;
    return false;
  }
  // Nothing was called for over a minute: that was no demand, but not worth replaying second by second.
  if (now - second_end_ > 60 * kTick) {
    level_ = trend_ = 0;
    in_second_ = 0;
    second_end_ = now;
  }
  const bool over = now >= second_end_;
  for (; now >= second_end_; second_end_ += kTick) close_second();
  return over;
}

void LoadPredictor::close_second() noexcept {
  const auto fps = static_cast<double>(in_second_);
  in_second_ = 0;
  if (seconds_ < 2) {
    level_ = fps;  // the first second may be cut short
    trend_ = 0;
  } else {
    const double before = level_;
    level_ += trend_ + kLevelGain * (fps - level_ - trend_);
    trend_ += kTrendGain * (level_ - before - trend_);
  }
  ++seconds_;
  if (!wall_known_) return;
  const Place place = place_of(wall_at(second_end_));
  if (!(place == quarter_)) {
    close_quarter();
    quarter_ = place;
  }
  quarter_frames_ += fps;
  quarter_seconds_ += 1;
}

void LoadPredictor::close_quarter() noexcept {
  if (quarter_.day_type >= 0 && quarter_seconds_ >= kLeastOfQuarter) {
    Bin& bin = profile_[quarter_.day_type][quarter_.bin];
    const double mean = quarter_frames_ / quarter_seconds_;
    // A plain mean of the first days, then the newest counts for 30 %.
    bin.fps += std::max(kDayGain, 1.0 / (bin.days + 1)) * (mean - bin.fps);
    bin.days = std::min(bin.days + 1, 1'000'000);
  }
  quarter_frames_ = quarter_seconds_ = 0;
}

double LoadPredictor::profile_fps(WallTime wall) const noexcept {
  const Place place = place_of(wall);
  const Bin& bin = profile_[place.day_type][place.bin];
  return bin.days > 0 ? bin.fps : -1;
}

double LoadPredictor::demand_fps(Duration ahead) const noexcept {
  const double seconds = std::max(0.0, std::chrono::duration<double>(ahead).count());
  const double damped = trend_ * kDamping * (1 - std::pow(kDamping, seconds)) / (1 - kDamping);
  if (seconds > kShortTerm && wall_known_) {
    const double here = profile_fps(wall_at(second_end_));
    const double there = profile_fps(wall_at(second_end_ + ahead));
    if (here > 0 && there >= 0) return std::max(0.0, level_ * there / here);
    if (there >= 0 && seconds > 600) return there;
  }
  return std::max(0.0, level_ + damped);
}

std::optional<LoadPredictor::Peak> LoadPredictor::peak(Duration within) const noexcept {
  if (!wall_known_) return std::nullopt;
  constexpr auto kQuarter = std::chrono::seconds{kSecondsADay / kBinsADay};
  const auto into = std::chrono::seconds{wall_at(second_end_).second_of_day} % kQuarter;
  std::optional<Peak> best;
  for (Duration ahead = kQuarter - into; ahead <= within; ahead += kQuarter) {
    const WallTime at = wall_at(second_end_ + ahead);
    if (profile_fps(at) < 0) continue;
    const double fps = demand_fps(ahead);
    if (!best || fps > best->fps) best = Peak{fps, at};
  }
  return best;
}

std::string LoadPredictor::save() const {
  std::string text{kHeader};
  text += '\n';
  char line[80];
  for (int day_type = 0; day_type < 2; ++day_type) {
    for (int bin = 0; bin < kBinsADay; ++bin) {
      const Bin& entry = profile_[day_type][bin];
      if (entry.days == 0) continue;
      std::snprintf(line, sizeof line, "%d %d %d %.6g\n", day_type, bin, entry.days, entry.fps);
      text += line;
    }
  }
  return text;
}

Result<void> LoadPredictor::restore(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string line;
  if (!std::getline(in, line) || line != kHeader)
    return fail(ErrorCode::kCorrupt, "load profile: line 1 must be \"" + std::string(kHeader) + "\"");
  Profile fresh{};
  for (int number = 2; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    std::istringstream fields(line);
    int day_type = -1;
    int bin = -1;
    int days = 0;
    double fps = -1;
    std::string rest;
    const bool read = static_cast<bool>(fields >> day_type >> bin >> days >> fps) && !(fields >> rest);
    if (!read || day_type < 0 || day_type > 1 || bin < 0 || bin >= kBinsADay || days < 1 || !(fps >= 0) ||
        !std::isfinite(fps))
      return fail(ErrorCode::kCorrupt,
                  "load profile: line " + std::to_string(number) + " (\"" + line +
                      "\") must be: day type 0 or 1, quarter 0 to 95, days from 1, frames a second");
    fresh[day_type][bin] = {fps, days};
  }
  profile_ = fresh;
  return {};
}

}  // namespace gantry::scheduler
