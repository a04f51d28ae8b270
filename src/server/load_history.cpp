#include "server/load_history.hpp"

namespace gantry::server {

void LoadHistory::look(std::uint64_t received, const scheduler::PolicyReport& report, TimePoint now) {
  if (began_ && now - since_ < kStep) return;
  if (began_ && received >= received_) {
    const double seconds = std::chrono::duration<double>(now - since_).count();
    samples_.push_back(
        {now, static_cast<double>(received - received_) / seconds, report.demand_5min_fps, report.capacity_fps});
    if (samples_.size() > kMost) samples_.pop_front();
  }
  began_ = true;
  received_ = received;
  since_ = now;
}

}  // namespace gantry::server
