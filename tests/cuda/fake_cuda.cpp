#include "cuda/fake_cuda.hpp"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/cuda/kernels/detect.hpp"

namespace {

using gantry::cuda::DetectArgs;
using gantry::test::fake_cuda::Card;
using gantry::test::fake_cuda::Counts;

struct Kernel {
  const void* stub = nullptr;
  DetectArgs nms;  ///< of the NMS kernel
};
struct Graph {
  std::vector<Kernel> kernels;
};

struct Fake {
  std::mutex mutex;
  Card card;
  Counts counts;
  std::map<void*, std::size_t> device;
  std::atomic<bool> broken{false};
};
Fake& fake() {
  static Fake one;
  return one;
}

/// Registered by the kernels' object files before main().
std::map<const void*, std::string>& names() {
  static std::map<const void*, std::string> all;
  return all;
}

thread_local std::unique_ptr<Graph> capture;

cudaError_t healthy() {
  return fake().broken ? cudaErrorIllegalAddress : cudaSuccess;
}

void run(const Kernel& kernel) {
  if (kernel.nms.n == 0) return;
  for (int i = 0; i < kernel.nms.n; ++i) {
    const bool passes = kernel.nms.limits[i].confidence < 0.9F && (kernel.nms.class_masks[i] & 2U) != 0;
    kernel.nms.detection_counts[i] = passes ? 1 : 0;
    const auto& box = gantry::test::fake_cuda::kBox;
    if (passes)
      kernel.nms.detections[static_cast<std::ptrdiff_t>(i) * gantry::cuda::kMaxDetections] = {box[0], box[1], box[2],
                                                                                              box[3], 0.9F,   1};
  }
}

cudaError_t copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                 std::size_t height) {
  if (healthy() != cudaSuccess) return healthy();
  for (std::size_t row = 0; row < height; ++row)
    std::memcpy(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  return cudaSuccess;
}

CUresult encode_tiled(CUtensorMap* /*map*/, CUtensorMapDataType /*type*/, cuuint32_t /*rank*/, void* /*address*/,
                      const cuuint64_t* /*dims*/, const cuuint64_t* /*strides*/, const cuuint32_t* /*box*/,
                      const cuuint32_t* /*steps*/, CUtensorMapInterleave /*interleave*/, CUtensorMapSwizzle /*swizzle*/,
                      CUtensorMapL2promotion /*promotion*/, CUtensorMapFloatOOBfill /*fill*/) {
  return healthy() == cudaSuccess ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}

template <typename Handle>
Handle handle_of(void* object) {
  return reinterpret_cast<Handle>(object);
}

}  // namespace

namespace gantry::test::fake_cuda {

void reset(const Card& card) {
  const std::lock_guard lock(fake().mutex);
  fake().card = card;
  fake().broken = false;
  const std::size_t held = fake().counts.bytes;
  fake().counts = {};
  fake().counts.bytes = held;
}
Counts counts() {
  const std::lock_guard lock(fake().mutex);
  return fake().counts;
}
void break_card() {
  fake().broken = true;
}

}  // namespace gantry::test::fake_cuda

extern "C" {

// --- what nvcc's stubs call
// ---------------------------------------------------------------------------------------------
void** __cudaRegisterFatBinary(void* /*binary*/) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void** /*handle*/) {}
void __cudaUnregisterFatBinary(void** /*handle*/) {}
void __cudaRegisterFunction(void** /*handle*/, const char* stub, char* /*device*/, const char* name, int /*limit*/,
                            uint3* /*tid*/, uint3* /*bid*/, dim3* /*block*/, dim3* /*grid*/, int* /*warp*/) {
  names()[stub] = name;
}
void __cudaRegisterVar(void** /*handle*/, char* /*host*/, char* /*device*/, const char* /*name*/, int /*external*/,
                       std::size_t /*size*/, int /*constant*/, int /*global*/) {}
unsigned __cudaPushCallConfiguration(dim3 /*grid*/, dim3 /*block*/, std::size_t /*shared*/, CUstream_st* /*stream*/) {
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* /*grid*/, dim3* /*block*/, std::size_t* /*shared*/, void* /*stream*/) {
  return cudaErrorNotSupported;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* stub) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(stub));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t /*kernel*/, dim3 /*grid*/, dim3 /*block*/, void** /*args*/,
                               std::size_t /*shared*/, cudaStream_t /*stream*/) {
  return cudaErrorNotSupported;
}

// --- the card
// -----------------------------------------------------------------------------------------------------------
cudaError_t cudaGetDeviceCount(int* count) {
  const Card& card = fake().card;
  *count = 0;
  if (card.driver_too_old) return cudaErrorInsufficientDriver;
  if (card.count == 0) return cudaErrorNoDevice;
  *count = card.count;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = fake().card.driver_version;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device < fake().card.count ? healthy() : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int /*device*/) {
  const Card& card = fake().card;
  *out = {};
  std::strncpy(out->name, card.name.c_str(), sizeof out->name - 1);
  out->major = card.major, out->minor = card.minor, out->multiProcessorCount = card.multiprocessors;
  out->totalGlobalMem = card.memory_bytes, out->l2CacheSize = static_cast<int>(card.l2_bytes);
  return healthy();
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int /*device*/) {
  std::strncpy(text, fake().card.pci_bus_id.c_str(), static_cast<std::size_t>(length));
  return healthy();
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 4 : 0;
  return healthy();
}
cudaError_t cudaDeviceSynchronize() {
  return healthy();
}
cudaError_t cudaGetLastError() {
  return healthy();
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    default:
      return "an error of the fake runtime";
  }
}

/// The driver's own functions: the descriptors of bulk copies, which no kernel reads here.
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned /*version*/,
                                             unsigned long long /*flags*/, cudaDriverEntryPointQueryResult* result) {
  const bool known = std::strcmp(name, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&encode_tiled) : nullptr;
  if (result != nullptr) *result = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// --- memory
// -------------------------------------------------------------------------------------------------------------
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (healthy() != cudaSuccess) return healthy();
  if (capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard lock(fake().mutex);
  ++fake().counts.allocations;
  if (fake().counts.bytes + bytes > fake().card.memory_bytes) return cudaErrorMemoryAllocation;
  *memory = std::calloc(bytes + 256, 1);
  fake().device[*memory] = bytes;
  fake().counts.bytes += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  const std::lock_guard lock(fake().mutex);
  const auto found = fake().device.find(memory);
  if (found == fake().device.end()) return cudaErrorInvalidValue;
  fake().counts.bytes -= found->second;
  ++fake().counts.frees;
  fake().device.erase(found);
  std::free(memory);
  return healthy();
}
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  const std::lock_guard lock(fake().mutex);
  *total = fake().card.memory_bytes;
  *available = *total - std::min(*total, fake().counts.bytes);
  return healthy();
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned /*flags*/) {
  if (healthy() != cudaSuccess) return healthy();
  const std::lock_guard lock(fake().mutex);
  ++fake().counts.allocations;
  *memory = std::calloc(bytes + 256, 1);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return healthy();
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind /*kind*/) {
  return copy(to, bytes, from, bytes, bytes, 1);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind /*kind*/,
                            cudaStream_t /*stream*/) {
  return copy(to, bytes, from, bytes, bytes, 1);
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind /*kind*/, cudaStream_t /*stream*/) {
  return copy(to, to_pitch, from, from_pitch, width, height);
}
cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (healthy() == cudaSuccess) std::memset(to, value, bytes);
  return healthy();
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t /*stream*/) {
  return cudaMemset(to, value, bytes);
}
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t /*stream*/) {
  for (std::size_t row = 0; row < height && healthy() == cudaSuccess; ++row)
    std::memset(static_cast<char*>(to) + row * pitch, value, width);
  return healthy();
}

// --- streams, events, graphs
// --------------------------------------------------------------------------------------------
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = handle_of<cudaStream_t>(new char);
  return healthy();
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete reinterpret_cast<char*>(stream);
  return healthy();
}
cudaError_t cudaStreamSynchronize(cudaStream_t /*stream*/) {
  return healthy();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t /*stream*/, cudaEvent_t /*event*/, unsigned /*flags*/) {
  return healthy();
}
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t call, void* data, unsigned /*flags*/) {
  call(stream, healthy(), data);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = handle_of<cudaEvent_t>(new char);
  return healthy();
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<char*>(event);
  return healthy();
}
cudaError_t cudaEventRecord(cudaEvent_t /*event*/, cudaStream_t /*stream*/) {
  return healthy();
}
cudaError_t cudaEventSynchronize(cudaEvent_t /*event*/) {
  return healthy();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t /*start*/, cudaEvent_t /*stop*/) {
  *milliseconds = 1;
  return healthy();
}
cudaError_t cudaStreamBeginCapture(cudaStream_t /*stream*/, cudaStreamCaptureMode /*mode*/) {
  capture = std::make_unique<Graph>();
  return healthy();
}
cudaError_t cudaStreamEndCapture(cudaStream_t /*stream*/, cudaGraph_t* graph) {
  *graph = handle_of<cudaGraph_t>(capture.release());
  return healthy();
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long /*flags*/) {
  const std::lock_guard lock(fake().mutex);
  ++fake().counts.instantiated;
  *exec = handle_of<cudaGraphExec_t>(new Graph(*reinterpret_cast<Graph*>(graph)));
  return healthy();
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t /*stream*/) {
  if (healthy() != cudaSuccess) return healthy();
  {
    const std::lock_guard lock(fake().mutex);
    ++fake().counts.replays;
  }
  for (const Kernel& kernel : reinterpret_cast<Graph*>(exec)->kernels) run(kernel);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Graph*>(graph);
  return healthy();
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete reinterpret_cast<Graph*>(exec);
  return healthy();
}

// --- kernels
// ------------------------------------------------------------------------------------------------------------
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* /*config*/, const void* stub, void** arguments) {
  if (healthy() != cudaSuccess) return healthy();
  Kernel kernel;
  kernel.stub = stub;
  const auto name = names().find(stub);
  if (name == names().end()) return cudaErrorInvalidDeviceFunction;
  const std::string& refused = fake().card.refuses;
  if (!refused.empty() && name->second.find(refused) != std::string::npos) return cudaErrorInvalidConfiguration;
  if (name->second.find("nms_kernel") != std::string::npos) kernel.nms = *static_cast<DetectArgs*>(arguments[0]);
  if (capture != nullptr) {
    capture->kernels.push_back(kernel);
    return cudaSuccess;
  }
  {
    const std::lock_guard lock(fake().mutex);
    ++fake().counts.launches;
  }
  run(kernel);
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* /*stub*/, cudaFuncAttribute /*attribute*/, int /*value*/) {
  return healthy();
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* /*stub*/, int /*threads*/,
                                                          std::size_t /*shared*/) {
  *blocks = 1;
  return healthy();
}

}  // extern "C"
