#pragma once
// A card for tests on machines that have none: host memory stands in for device memory, and streams move only when the
// test says so.
#include <map>
#include <mutex>
#include <set>

#include "gantry/memory/gpu.hpp"

namespace gantry::memory {

class FakeGpu final : public Gpu {
 public:
  explicit FakeGpu(std::size_t total_bytes = std::size_t{1} << 30, int index = 0);
  ~FakeGpu() override;

  // -- what tests do with it
  /// Streams hold their work back until advance(); as made, they finish everything at once.
  void hold_streams(bool hold);
  /// Everything on `stream` is done. @pre no work on it waits for another stream that has not been advanced
  void advance(GpuStream stream);
  [[nodiscard]] std::size_t used_bytes() const;  ///< device memory
  [[nodiscard]] std::size_t pinned_bytes() const;
  [[nodiscard]] int streams() const;
  [[nodiscard]] int marks() const;
  [[nodiscard]] int waits() const;  ///< follow() calls that had something to wait for
  [[nodiscard]] bool is_high_priority(GpuStream stream) const;
  /// True while this thread is between enter() and leave().
  [[nodiscard]] static bool entered() noexcept;

  // -- Gpu
  [[nodiscard]] int index() const noexcept override { return index_; }
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] GpuMemory memory() const noexcept override;
  void enter() noexcept override;
  void leave() noexcept override;
  [[nodiscard]] std::uint8_t* allocate_device(std::size_t bytes) noexcept override;
  void free_device(std::uint8_t* memory) noexcept override;
  [[nodiscard]] std::uint8_t* allocate_pinned(std::size_t bytes) noexcept override;
  void free_pinned(std::uint8_t* memory) noexcept override;
  [[nodiscard]] GpuStream make_stream(bool high_priority) override;
  void destroy_stream(GpuStream stream) noexcept override;
  [[nodiscard]] Result<void> synchronise(GpuStream stream) noexcept override;
  [[nodiscard]] GpuMark make_mark() override;
  void destroy_mark(GpuMark mark) noexcept override;
  bool record(GpuMark mark, GpuStream stream) noexcept override;
  [[nodiscard]] bool passed(GpuMark mark) noexcept override;
  bool follow(GpuStream stream, GpuMark mark) noexcept override;
  [[nodiscard]] Result<void> download(std::uint8_t* to, std::size_t to_stride, const std::uint8_t* from,
                                      std::size_t from_stride, std::size_t row_bytes, std::size_t rows,
                                      GpuStream stream) noexcept override;

 private:
  struct Stream {
    bool high_priority = false;
  };
  struct Mark {
    GpuStream stream = nullptr;
    bool pending = false;
  };
  [[nodiscard]] std::uint8_t* allocate(std::map<std::uint8_t*, std::size_t>& blocks, std::size_t bytes) noexcept;

  const int index_;
  const std::size_t total_bytes_;
  const std::string name_ = "Fake GPU";
  mutable std::mutex mutex_;
  bool hold_ = false;
  int waits_ = 0;
  std::map<std::uint8_t*, std::size_t> device_, pinned_;
  std::map<GpuStream, std::unique_ptr<Stream>> streams_;
  std::map<GpuMark, std::unique_ptr<Mark>> marks_;
};

}  // namespace gantry::memory
