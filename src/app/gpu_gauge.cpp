#include "gantry/app/gpu_gauge.hpp"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "app/nvml_library.hpp"

namespace gantry::app {
namespace {

std::optional<unsigned> whole(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

/// The n-th entry of "2,0" or "GPU-…,GPU-…"; empty where there are fewer.
std::string_view entry(std::string_view list, unsigned n) {
  for (; n > 0; --n) {
    const auto comma = list.find(',');
    if (comma == list.npos) return {};
    list.remove_prefix(comma + 1);
  }
  return list.substr(0, list.find(','));
}

}  // namespace

class GpuGauge::Impl {
 public:
  Impl() : nvml_(nvml::open()) {
    if (!nvml_) return;
    ready_ = nvml::call(nvml::find<int()>(nvml_, "nvmlInit_v2"));
    by_index_ = nvml::find<int(unsigned, nvml::Device*)>(nvml_, "nvmlDeviceGetHandleByIndex_v2");
    by_uuid_ = nvml::find<int(const char*, nvml::Device*)>(nvml_, "nvmlDeviceGetHandleByUUID");
    utilization_ = nvml::find<int(nvml::Device, nvml::Utilization*)>(nvml_, "nvmlDeviceGetUtilizationRates");
    memory_ = nvml::find<int(nvml::Device, nvml::MemoryInfo*)>(nvml_, "nvmlDeviceGetMemoryInfo");
  }
  ~Impl() {
    if (ready_) nvml::call(nvml::find<int()>(nvml_, "nvmlShutdown"));
  }

  std::optional<GpuReading> read(std::string_view device) const {
    constexpr std::string_view kCuda = "cuda:";
    if (!ready_ || !device.starts_with(kCuda)) return std::nullopt;
    const auto number = whole(device.substr(kCuda.size()));
    if (!number) return std::nullopt;
    const nvml::Device gpu = handle(*number);
    nvml::Utilization used{};
    nvml::MemoryInfo memory{};
    if (gpu == nullptr || !nvml::call(utilization_, gpu, &used)) return std::nullopt;
    nvml::call(memory_, gpu, &memory);
    return GpuReading{static_cast<double>(used.compute), memory.used, memory.total};
  }

 private:
  nvml::Device handle(unsigned cuda_number) const {
    nvml::Device gpu = nullptr;
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");  // NOLINT(concurrency-mt-unsafe): nobody calls setenv
    if (visible == nullptr || *visible == '\0') {
      nvml::call(by_index_, cuda_number, &gpu);
      return gpu;
    }
    const std::string chosen{entry(visible, cuda_number)};
    if (const auto index = whole(chosen))
      nvml::call(by_index_, *index, &gpu);
    else if (!chosen.empty())
      nvml::call(by_uuid_, chosen.c_str(), &gpu);
    return gpu;
  }

  const nvml::Library nvml_;
  bool ready_ = false;
  int (*by_index_)(unsigned, nvml::Device*) = nullptr;
  int (*by_uuid_)(const char*, nvml::Device*) = nullptr;
  int (*utilization_)(nvml::Device, nvml::Utilization*) = nullptr;
  int (*memory_)(nvml::Device, nvml::MemoryInfo*) = nullptr;
};

GpuGauge::GpuGauge() : impl_(std::make_unique<Impl>()) {}
GpuGauge::~GpuGauge() = default;
std::optional<GpuReading> GpuGauge::read(const std::string& device) const {
  return impl_->read(device);
}

}  // namespace gantry::app
