#include "app/load_watch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>

namespace gantry::app {
namespace {

constexpr double kForecastRelief = 0.05;  // headroom at which a warning of what comes in five minutes is over
constexpr double kMostlyShed = 0.5;
constexpr int kRushGrowth = 2;  // times the batch that is needed now, to have profiles measured for

std::string fps_text(double fps) {
  return std::to_string(static_cast<long>(std::lround(fps))) + " frames/s";
}

std::string excess_text(const std::string& when, double demand, double capacity) {
  return "demand " + when + " exceeds capacity by " + fps_text(demand - capacity) + " (" + fps_text(demand) +
         " expected, " + fps_text(capacity) + " possible)";
}

}  // namespace

std::string time_of_day(const scheduler::WallTime& wall) {
  char text[8];
  std::snprintf(text, sizeof text, "%02d:%02d", wall.second_of_day / 3600 % 24, wall.second_of_day / 60 % 60);
  return text;
}

scheduler::WallTime local_wall_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return {local.tm_wday, std::min(local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec, 86'399)};
}

const SkipPlan::Levels& SkipPlan::update(const scheduler::PolicyReport& report, TimePoint now) {
  using media::SkipLevel;
  Levels wanted{};
  auto& background = wanted[static_cast<std::size_t>(Priority::kBackground)];
  auto& normal = wanted[static_cast<std::size_t>(Priority::kNormal)];
  if (report.degrade_step >= 1 || report.early_shed >= kMostlyShed) background = SkipLevel::kNonKey;
  if (report.degrade_step >= 2) normal = SkipLevel::kNonReference;
  if (report.degrade_step >= 4) normal = SkipLevel::kNonKey;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] >= levels_[i]) {
      levels_[i] = wanted[i];
      wanted_until_[i] = now + kHold;
    } else if (now >= wanted_until_[i]) {
      levels_[i] = wanted[i];
    }
  }
  return levels_;
}

LoadWatch::LoadWatch(scheduler::Dispatcher& dispatcher, Parts parts, TimePoint now)
    : dispatcher_(dispatcher), parts_(std::move(parts)), next_slow_(now), next_save_(now + kSaveEvery) {
  restore();
}

LoadWatch::~LoadWatch() {
  stop();
  save();
}

void LoadWatch::restore() {
  if (parts_.profile.empty()) return;
  std::ifstream file{parts_.profile, std::ios::binary};
  if (!file) return;  // the first start
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (const auto restored = dispatcher_.restore_profile(text); restored)
    saved_ = text;
  else
    parts_.log(Severity::kWarning,
               parts_.profile.string() + ": " + restored.error().message + "; starts without it and will replace it");
}

/// By a new file and a rename, so that a crash leaves the old one.
void LoadWatch::save() noexcept {
  if (parts_.profile.empty()) return;
  try {
    const std::string text = dispatcher_.save_profile();
    if (text == saved_) return;
    const std::filesystem::path fresh = parts_.profile.string() + ".new";
    std::ofstream file{fresh, std::ios::binary | std::ios::trunc};
    file << text;
    file.close();
    if (!file)
      throw std::filesystem::filesystem_error("cannot be written", fresh, std::make_error_code(std::errc::io_error));
    std::filesystem::rename(fresh, parts_.profile);
    saved_ = text;
  } catch (const std::exception& error) {
    parts_.log(Severity::kWarning, std::string("the load profile is not saved: ") + error.what());
  }
}

void LoadWatch::start(const Clock& clock) {
  thread_ = std::thread{[this, &clock] {
    std::unique_lock lock{mutex_};
    while (!stopping_) {
      lock.unlock();
      tick(clock.now());
      lock.lock();
      wake_.wait_for(lock, kTick, [this] { return stopping_; });
    }
  }};
}

void LoadWatch::stop() noexcept {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LoadWatch::tick(TimePoint now) {
  const MemoryUse memory = parts_.memory();
  dispatcher_.on_memory(scheduler::kNoDevice, memory.machine);
  for (const auto& [device, used] : memory.devices) dispatcher_.on_memory(device, used);
  const bool slow = now >= next_slow_;
  if (slow) {
    next_slow_ = now + kSlowTick;
    dispatcher_.set_wall_time(parts_.wall_time());
  }
  const scheduler::PolicyReport report = dispatcher_.report();
  say_changes(report);
  parts_.on_report(report, now);
  if (slow) look_ahead(report, now);
  if (now >= next_save_) {
    next_save_ = now + kSaveEvery;
    save();
  }
}

void LoadWatch::look_ahead(const scheduler::PolicyReport& report, TimePoint now) {
  if (report.capacity_fps <= 0) return;
  if (report.demand_peak_fps > report.capacity_fps) {
    if (warned_peak_ != report.peak_at.second_of_day)
      parts_.log(Severity::kWarning,
                 excess_text("at " + time_of_day(report.peak_at), report.demand_peak_fps, report.capacity_fps));
    warned_peak_ = report.peak_at.second_of_day;
  } else {
    warned_peak_.reset();
  }
  if (report.headroom < 0 && !warned_soon_)
    parts_.log(Severity::kWarning, excess_text("in five minutes", report.demand_5min_fps, report.capacity_fps));
  warned_soon_ = warned_soon_ ? report.headroom < kForecastRelief : report.headroom < 0;

  // Large batches may not have run for hours; what the policy believes of them is measured anew while there is time.
  const bool rush = std::any_of(report.devices.begin(), report.devices.end(), [](const auto& device) {
    return device.batch_5min >= kRushGrowth * std::max(1, device.batch_now) && device.load <= kQuiet;
  });
  if (!rush || (measured_ && now - *measured_ < kMeasureEvery)) return;
  measured_ = now;
  parts_.log(Severity::kInfo, "more is expected in five minutes (" + fps_text(report.demand_5min_fps) + " after " +
                                  fps_text(report.demand_now_fps) + "): batches are measured anew");
  parts_.measure_again();
}

void LoadWatch::say_changes(const scheduler::PolicyReport& report) {
  const auto metrics = dispatcher_.metrics();
  for (const auto& device : report.devices) {
    auto& before = breakers_.try_emplace(device.id, "closed").first->second;
    if (before == device.breaker) continue;
    const std::string& name = metrics.devices[device.id].name;
    if (device.breaker == "open")
      parts_.log(Severity::kError,
                 name + ": breaker open (" + std::string(device.breaker_reason) + "); its cameras move where they can");
    else
      parts_.log(Severity::kInfo, name + ": breaker " + std::string(device.breaker));
    before = device.breaker;
  }
  if (report.degrade_step != step_) {
    static constexpr std::array kSteps{"everything is taken again", "background cameras are off",
                                       "normal cameras run at half their rate", "batches are halved",
                                       "only urgent and emergency frames are taken"};
    const std::string why = report.degrade_reason.empty() ? "" : " (" + std::string(report.degrade_reason) + ")";
    parts_.log(report.degrade_step > step_ ? Severity::kWarning : Severity::kInfo,
               "degrade step " + std::to_string(report.degrade_step) + ": " +
                   kSteps[static_cast<std::size_t>(report.degrade_step)] + why);
    step_ = report.degrade_step;
  }
  if (const bool shedding = report.early_shed > 0; shedding != shedding_) {
    shedding_ = shedding;
    parts_.log(shedding ? Severity::kWarning : Severity::kInfo,
               shedding ? "more is coming than fits: background frames are shed early" : "background frames fit again");
  }
}

}  // namespace gantry::app
