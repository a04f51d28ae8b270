// The CUDA driver by its C interface, opened at run time. The types are those of the ffnvcodec headers, which are free
// to use and need no CUDA toolkit.
#include <dlfcn.h>
#include <ffnvcodec/dynlink_cuda.h>

#include <array>

#include "gantry/core/errors.hpp"
#include "gantry/memory/gpu.hpp"

namespace gantry::memory {
namespace {

constexpr unsigned kNonBlockingStream = 1;  // CU_STREAM_NON_BLOCKING
constexpr unsigned kUntimedEvent = 2;       // CU_EVENT_DISABLE_TIMING
constexpr int kNotReady = 600;              // CUDA_ERROR_NOT_READY

/// The functions of libcuda.so.1 that are used here.
struct Driver {
  template <typename... Arguments>
  using Function = CUresult (*)(Arguments...);

  Function<unsigned> init = nullptr;
  Function<int*> device_count = nullptr;
  Function<CUdevice*, int> device_get = nullptr;
  Function<char*, int, CUdevice> device_name = nullptr;
  Function<CUcontext*, CUdevice> retain = nullptr;
  Function<CUdevice> release = nullptr;
  Function<CUcontext> push = nullptr;
  Function<CUcontext*> pop = nullptr;
  Function<std::size_t*, std::size_t*> memory_info = nullptr;
  Function<CUdeviceptr*, std::size_t> allocate = nullptr;
  Function<CUdeviceptr> free = nullptr;
  Function<void**, std::size_t, unsigned> host_allocate = nullptr;
  Function<void*> host_free = nullptr;
  Function<int*, int*> priority_range = nullptr;
  Function<CUstream*, unsigned, int> stream_create = nullptr;
  Function<CUstream> stream_destroy = nullptr;
  Function<CUstream> stream_synchronise = nullptr;
  Function<CUstream, CUevent, unsigned> stream_wait = nullptr;
  Function<CUevent*, unsigned> event_create = nullptr;
  Function<CUevent> event_destroy = nullptr;
  Function<CUevent, CUstream> event_record = nullptr;
  Function<CUevent> event_query = nullptr;
  Function<const CUDA_MEMCPY2D*, CUstream> copy_2d = nullptr;
  Function<CUresult, const char**> error_text = nullptr;

  Driver() {
    // Never closed: the driver keeps threads of its own.
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      throw DeviceError("no NVIDIA driver: libcuda.so.1 is not there; install the driver, or run on the CPU");
    const auto find = [library](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr)
        throw DeviceError(std::string("the NVIDIA driver has no ") + name + "; install a newer one");
    };
    find(init, "cuInit");
    find(device_count, "cuDeviceGetCount");
    find(device_get, "cuDeviceGet");
    find(device_name, "cuDeviceGetName");
    find(retain, "cuDevicePrimaryCtxRetain");
    find(release, "cuDevicePrimaryCtxRelease_v2");
    find(push, "cuCtxPushCurrent_v2");
    find(pop, "cuCtxPopCurrent_v2");
    find(memory_info, "cuMemGetInfo_v2");
    find(allocate, "cuMemAlloc_v2");
    find(free, "cuMemFree_v2");
    find(host_allocate, "cuMemHostAlloc");
    find(host_free, "cuMemFreeHost");
    find(priority_range, "cuCtxGetStreamPriorityRange");
    find(stream_create, "cuStreamCreateWithPriority");
    find(stream_destroy, "cuStreamDestroy_v2");
    find(stream_synchronise, "cuStreamSynchronize");
    find(stream_wait, "cuStreamWaitEvent");
    find(event_create, "cuEventCreate");
    find(event_destroy, "cuEventDestroy_v2");
    find(event_record, "cuEventRecord");
    find(event_query, "cuEventQuery");
    find(copy_2d, "cuMemcpy2DAsync_v2");
    find(error_text, "cuGetErrorString");
    check(init(0), "the NVIDIA driver does not start");
  }

  [[nodiscard]] std::string text(CUresult error) const {
    const char* words = nullptr;
    if (error_text(error, &words) != CUDA_SUCCESS || words == nullptr)
      return "CUDA error " + std::to_string(static_cast<int>(error));
    return words;
  }
  void check(CUresult error, const std::string& what) const {
    if (error != CUDA_SUCCESS) throw DeviceError(what + ": " + text(error));
  }
};

const Driver& driver() {
  static const Driver instance;
  return instance;
}

class CudaGpu final : public Gpu {
 public:
  explicit CudaGpu(int index) : index_(index) {
    int count = 0;
    driver_.check(driver_.device_count(&count), "the NVIDIA driver does not count its cards");
    if (index < 0 || index >= count)
      throw DeviceError("there is no GPU " + std::to_string(index) + ": the driver sees " + std::to_string(count));
    driver_.check(driver_.device_get(&device_, index), "GPU " + std::to_string(index));
    std::array<char, 96> text{};
    if (driver_.device_name(text.data(), static_cast<int>(text.size()), device_) == CUDA_SUCCESS) name_ = text.data();
    driver_.check(driver_.retain(&context_, device_), "GPU " + std::to_string(index) + " gives no context");
    const GpuScope scope(*this);
    driver_.priority_range(&low_, &high_);
  }
  ~CudaGpu() override { driver_.release(device_); }
  CudaGpu(const CudaGpu&) = delete;
  CudaGpu& operator=(const CudaGpu&) = delete;

  [[nodiscard]] int index() const noexcept override { return index_; }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] GpuMemory memory() const noexcept override {
    driver_.push(context_);
    GpuMemory memory;
    if (driver_.memory_info(&memory.free_bytes, &memory.total_bytes) != CUDA_SUCCESS) memory = {};
    CUcontext unused = nullptr;
    driver_.pop(&unused);
    return memory;
  }

  void enter() noexcept override { driver_.push(context_); }
  void leave() noexcept override {
    CUcontext unused = nullptr;
    driver_.pop(&unused);
  }

  std::uint8_t* allocate_device(std::size_t bytes) noexcept override {
    const GpuScope scope(*this);
    CUdeviceptr memory = 0;
    if (driver_.allocate(&memory, bytes) != CUDA_SUCCESS) return nullptr;
    return reinterpret_cast<std::uint8_t*>(memory);  // NOLINT(performance-no-int-to-ptr): CUDA's own representation
  }
  void free_device(std::uint8_t* memory) noexcept override {
    const GpuScope scope(*this);
    driver_.free(reinterpret_cast<CUdeviceptr>(memory));
  }
  std::uint8_t* allocate_pinned(std::size_t bytes) noexcept override {
    const GpuScope scope(*this);
    void* memory = nullptr;
    constexpr unsigned kPortable = 1;  // for every context, so for every card
    if (driver_.host_allocate(&memory, bytes, kPortable) != CUDA_SUCCESS) return nullptr;
    return static_cast<std::uint8_t*>(memory);
  }
  void free_pinned(std::uint8_t* memory) noexcept override {
    const GpuScope scope(*this);
    driver_.host_free(memory);
  }

  GpuStream make_stream(bool high_priority) override {
    const GpuScope scope(*this);
    CUstream stream = nullptr;
    driver_.check(driver_.stream_create(&stream, kNonBlockingStream, high_priority ? high_ : low_), "a CUDA stream");
    return stream;
  }
  void destroy_stream(GpuStream stream) noexcept override {
    const GpuScope scope(*this);
    driver_.stream_destroy(static_cast<CUstream>(stream));
  }
  Result<void> synchronise(GpuStream stream) noexcept override {
    const GpuScope scope(*this);
    return outcome(driver_.stream_synchronise(static_cast<CUstream>(stream)));
  }

  GpuMark make_mark() override {
    const GpuScope scope(*this);
    CUevent event = nullptr;
    driver_.check(driver_.event_create(&event, kUntimedEvent), "a CUDA event");
    return event;
  }
  void destroy_mark(GpuMark mark) noexcept override {
    const GpuScope scope(*this);
    driver_.event_destroy(static_cast<CUevent>(mark));
  }
  bool record(GpuMark mark, GpuStream stream) noexcept override {
    const GpuScope scope(*this);
    return driver_.event_record(static_cast<CUevent>(mark), static_cast<CUstream>(stream)) == CUDA_SUCCESS;
  }
  bool passed(GpuMark mark) noexcept override {
    const GpuScope scope(*this);
    return static_cast<int>(driver_.event_query(static_cast<CUevent>(mark))) != kNotReady;
  }
  bool follow(GpuStream stream, GpuMark mark) noexcept override {
    const GpuScope scope(*this);
    return driver_.stream_wait(static_cast<CUstream>(stream), static_cast<CUevent>(mark), 0) == CUDA_SUCCESS;
  }

  Result<void> download(std::uint8_t* to, std::size_t to_stride, const std::uint8_t* from, std::size_t from_stride,
                        std::size_t row_bytes, std::size_t rows, GpuStream stream) noexcept override {
    const GpuScope scope(*this);
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = reinterpret_cast<CUdeviceptr>(from);
    copy.srcPitch = from_stride;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = to;
    copy.dstPitch = to_stride;
    copy.WidthInBytes = row_bytes;
    copy.Height = rows;
    if (const CUresult error = driver_.copy_2d(&copy, static_cast<CUstream>(stream)); error != CUDA_SUCCESS)
      return outcome(error);
    return outcome(driver_.stream_synchronise(static_cast<CUstream>(stream)));
  }

 private:
  [[nodiscard]] Result<void> outcome(CUresult error) const {
    if (error == CUDA_SUCCESS) return {};
    return fail(ErrorCode::kDevice, "GPU " + std::to_string(index_) + ": " + driver_.text(error));
  }

  const Driver& driver_ = driver();
  const int index_;
  std::string name_ = "GPU";
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  int low_ = 0, high_ = 0;  ///< stream priorities; high is the lower number
};

}  // namespace

std::shared_ptr<Gpu> open_gpu(int index) {
  return std::make_shared<CudaGpu>(index);
}

}  // namespace gantry::memory
