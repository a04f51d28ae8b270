#include "app/busy_meter.hpp"

#include <algorithm>

#include "gantry/app/bench.hpp"
#include "gantry/app/machine.hpp"

namespace gantry::app {

BusyMeter::BusyMeter(const std::vector<int>& cards) : cores_(std::max(1, read_machine().cores)) {
  for (const int card : cards) meters_.push_back(card >= 0 ? std::make_unique<GpuMeter>(card) : nullptr);
}

std::vector<std::optional<double>> BusyMeter::decoders() {
  std::vector<std::optional<double>> busy;
  for (const auto& meter : meters_) {
    const GpuUse use = meter ? meter->take() : GpuUse{};
    busy.push_back(use.samples > 0 ? std::optional{use.decoder_percent / 100} : std::nullopt);
  }
  return busy;
}

double BusyMeter::cores(TimePoint now) {
  const double spent = process_cpu_seconds();
  const double seconds = std::chrono::duration<double>(now - at_).count();
  const double busy = seconds > 0 ? (spent - spent_) / seconds / cores_ : 0;
  spent_ = spent;
  at_ = now;
  return busy;
}

}  // namespace gantry::app
