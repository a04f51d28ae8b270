#pragma once
// How busy the cards' video decoders and this process' cores were since the last question. One thread.
#include <memory>
#include <optional>
#include <vector>

#include "gantry/app/gpu_meter.hpp"
#include "gantry/core/clock.hpp"

namespace gantry::app {

class BusyMeter {
 public:
  /// @param cards by device; negative: none, or its decoders are not used
  explicit BusyMeter(const std::vector<int>& cards);

  /// Share of the time in which each card's decoders worked, 0…1; nothing where the driver does not say.
  [[nodiscard]] std::vector<std::optional<double>> decoders();
  /// Of all cores that this process may use, 0…1.
  [[nodiscard]] double cores(TimePoint now);

 private:
  std::vector<std::unique_ptr<GpuMeter>> meters_;
  const double cores_;
  double spent_ = 0;
  TimePoint at_{};
};

}  // namespace gantry::app
