#include "engine/cuda/device.hpp"

#include <array>
#include <cstring>

#include "gantry/core/errors.hpp"

namespace gantry::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // an error that is not sticky must not turn up again elsewhere
  throw DeviceError(std::string(what) + " failed on the GPU: " + cudaGetErrorString(error));
}

DeviceInfo describe_device(int index) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
    throw DeviceError("the NVIDIA driver knows CUDA " + std::to_string(driver / 1000) + "." +
                      std::to_string(driver % 1000 / 10) + " and is older than CUDA " +
                      std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) +
                      ", which this build needs: update the driver");
  if (error != cudaSuccess || count == 0) {
    static_cast<void>(cudaGetLastError());
    throw DeviceError("no CUDA GPU on this machine: use the CPU, or install NVIDIA's driver");
  }
  if (index < 0 || index >= count)
    throw DeviceError("there is no GPU " + std::to_string(index) + ": this machine has " + std::to_string(count) +
                      ", numbered from 0");
  check(cudaSetDevice(index), "cudaSetDevice");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  DeviceInfo info;
  info.index = index, info.name = properties.name, info.major = properties.major, info.minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount, info.memory_bytes = properties.totalGlobalMem;
  info.l2_bytes = static_cast<std::size_t>(properties.l2CacheSize);
  check(cudaDriverGetVersion(&info.driver_version), "cudaDriverGetVersion");
  std::array<char, 32> bus_id{};
  check(cudaDeviceGetPCIBusId(bus_id.data(), static_cast<int>(bus_id.size()), index), "cudaDeviceGetPCIBusId");
  info.pci_bus_id = bus_id.data();
  if (info.major < 8)
    throw DeviceError("GPU " + std::to_string(index) + " (" + info.name + ") has compute capability " +
                      std::to_string(info.major) + "." + std::to_string(info.minor) +
                      "; Gantry's engine needs 8.0 or newer: use the CPU");
  return info;
}

DeviceBuffer::DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    std::size_t available = 0, total = 0;
    static_cast<void>(cudaMemGetInfo(&available, &total));
    throw DeviceError("the GPU has no " + std::to_string(bytes >> 20) + " MB left (" + std::to_string(available >> 20) +
                      " of " + std::to_string(total >> 20) + " MB are free): use a smaller model, input size or batch");
  }
  check(error, "cudaMalloc");
  data_ = static_cast<std::byte*>(data);
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) cudaFree(data_);
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
  check(cudaHostAlloc(&data_, bytes, cudaHostAllocMapped | cudaHostAllocPortable), "cudaHostAlloc");
  std::memset(data_, 0, bytes);
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return Stream(stream);
}

Event make_event(bool timed) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming | cudaEventBlockingSync),
        "cudaEventCreate");
  return Event(event);
}

}  // namespace gantry::cuda
