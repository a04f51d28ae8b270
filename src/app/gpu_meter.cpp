#include "gantry/app/gpu_meter.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "app/nvml_library.hpp"

namespace gantry::app {
namespace {

/// The driver renews its own figures several times a second.
constexpr auto kInterval = std::chrono::milliseconds(200);

}  // namespace

class GpuMeter::Impl {
 public:
  explicit Impl(int device) : library_(nvml::open()) {
    if (!library_ || !nvml::call(nvml::find<int()>(library_, "nvmlInit_v2"))) return;
    running_ = true;
    if (!nvml::call(nvml::find<int(unsigned, nvml::Device*)>(library_, "nvmlDeviceGetHandleByIndex_v2"),
                    static_cast<unsigned>(device), &device_))
      return;
    thread_ = std::thread([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (running_) nvml::call(nvml::find<int()>(library_, "nvmlShutdown"));
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::uint64_t memory_now() {
    const std::lock_guard lock(mutex_);
    return sum_.memory_now;
  }

  GpuUse take() {
    const std::lock_guard lock(mutex_);
    GpuUse use = std::exchange(sum_, {.memory_now = sum_.memory_now});
    if (use.samples == 0) return use;
    use.compute_percent /= use.samples;
    use.decoder_percent /= use.samples;
    use.watts /= use.samples;
    return use;
  }

 private:
  void run() {
    auto* const utilization =
        nvml::find<int(nvml::Device, nvml::Utilization*)>(library_, "nvmlDeviceGetUtilizationRates");
    auto* const decoder =
        nvml::find<int(nvml::Device, unsigned*, unsigned*)>(library_, "nvmlDeviceGetDecoderUtilization");
    auto* const power = nvml::find<int(nvml::Device, unsigned*)>(library_, "nvmlDeviceGetPowerUsage");
    auto* const memory = nvml::find<int(nvml::Device, nvml::MemoryInfo*)>(library_, "nvmlDeviceGetMemoryInfo");
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kInterval, [this] { return stopping_; })) {
      lock.unlock();
      nvml::Utilization rates{};
      nvml::MemoryInfo bytes{};
      unsigned decoding = 0, period_us = 0, milliwatts = 0;
      nvml::call(utilization, device_, &rates);
      nvml::call(decoder, device_, &decoding, &period_us);
      nvml::call(power, device_, &milliwatts);
      nvml::call(memory, device_, &bytes);
      lock.lock();
      ++sum_.samples;
      sum_.compute_percent += rates.compute;
      sum_.decoder_percent += decoding;
      sum_.watts += milliwatts / 1000.0;
      sum_.memory_now = bytes.used;
      sum_.memory_bytes = std::max<std::uint64_t>(sum_.memory_bytes, bytes.used);
    }
  }

  nvml::Library library_;
  nvml::Device device_ = nullptr;
  bool running_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  GpuUse sum_;
  std::thread thread_;
};

GpuMeter::GpuMeter(int device) : impl_(std::make_unique<Impl>(device)) {}
GpuMeter::~GpuMeter() = default;
std::uint64_t GpuMeter::memory_now() const {
  return impl_->memory_now();
}
GpuUse GpuMeter::take() {
  return impl_->take();
}

}  // namespace gantry::app
