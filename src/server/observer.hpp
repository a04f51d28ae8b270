#pragma once
// Watches a running System for the API: rates, utilization, ages, and events of results and of changes of state.
// Thread-safe.
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "gantry/app/gpu_gauge.hpp"
#include "gantry/app/system.hpp"
#include "server/api_json.hpp"
#include "server/events.hpp"
#include "server/load_history.hpp"
#include "server/pictures.hpp"

namespace gantry::server {

class SystemObserver {
 public:
  /// @param each_second called on the observer's thread
  SystemObserver(app::System& system, const Clock& clock, std::function<void()> each_second);
  ~SystemObserver();
  SystemObserver(const SystemObserver&) = delete;
  SystemObserver& operator=(const SystemObserver&) = delete;

  [[nodiscard]] Rates rates(const std::string& camera) const;
  /// When the newest published frame was captured, by camera.
  [[nodiscard]] std::map<std::string, TimePoint> last_captured() const;
  /// Percent, by device: the driver's word of a GPU, otherwise the share of the last second spent on batches.
  [[nodiscard]] std::map<std::string, double> utilization() const;
  /// By device; of GPUs only.
  [[nodiscard]] std::map<std::string, app::GpuReading> gpus() const;
  [[nodiscard]] LoadHistory load() const;
  [[nodiscard]] const app::StageHistograms& stages() const noexcept { return stages_; }
  [[nodiscard]] const std::shared_ptr<EventLog>& events() const noexcept { return events_; }
  [[nodiscard]] const std::shared_ptr<PictureBook>& pictures() const noexcept { return pictures_; }

 private:
  struct Seen {
    FrameCounts frames;
    media::CameraState state = media::CameraState::kConnecting;
    std::string reason;
    Rates rates;
  };
  void run();
  void look();
  void on_result(const sinks::FrameResult& result);
  void tell_state(const std::string& id, std::string_view state, const std::string& reason);

  const app::System& system_;
  const Clock& clock_;
  const std::function<void()> each_second_;
  const std::shared_ptr<EventLog> events_;
  const std::shared_ptr<PictureBook> pictures_;
  const app::GpuGauge gpu_gauge_;
  app::StageHistograms stages_;
  mutable std::mutex mutex_;
  std::map<std::string, Seen> seen_;
  std::map<std::string, TimePoint> last_captured_;
  std::map<std::string, double> busy_, utilization_;
  std::map<std::string, app::GpuReading> gpus_;
  LoadHistory load_;
  TimePoint looked_at_{};
  std::condition_variable wake_;
  bool stopping_ = false;
  app::Subscription results_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace gantry::server
