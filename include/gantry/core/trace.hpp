#pragma once
// A timeline of what runs when, for Chrome's and Perfetto's viewers (chrome://tracing, ui.perfetto.dev).
//
// While a Trace runs, whoever asks active() finds it and adds spans; while none runs that is one load of a pointer. A
// span costs a few nanoseconds: its place is taken by one atomic count out of memory that is there from the start. What
// does not fit is counted and left out.
//
// Owner: a command that was told to trace. The Trace outlives everything that records.
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "gantry/core/clock.hpp"

namespace gantry {

struct TraceSpan {
  /// Rows of the timeline; each has one row a `number`.
  enum class Track : std::uint8_t {
    kCamera,   ///< a camera's thread; number: the camera's
    kDecoder,  ///< a camera's pictures in a card's decoder, which may overlap; number: of its seat there
    kLane,     ///< a host thread that feeds a card; number: device * 16 + lane
    kStream,   ///< what the card does for it, in the card's own time; number: as kLane
  };
  const char* name = "";  ///< a literal
  Track track = Track::kCamera;
  std::uint32_t number = 0;
  TimePoint begin{};
  Duration took{};
  std::uint32_t frames = 1;  ///< of the batch
  std::uint64_t seq = 0;     ///< of the frame, where it is one
};

class Trace {
 public:
  explicit Trace(std::size_t most_spans = 1'000'000) : spans_(most_spans) {}
  ~Trace() { stop(); }
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// @pre no other runs
  void start();
  /// A span that is being added may still come. Idempotent.
  void stop() noexcept;
  /// Null where none runs.
  [[nodiscard]] static Trace* active() noexcept { return active_.load(std::memory_order_acquire); }
  /// Lock-free, from any thread.
  void add(const TraceSpan& span) noexcept;

  struct Written {
    std::size_t spans = 0;
    std::size_t lost = 0;  ///< did not fit
  };
  /// Chrome's JSON, times from the first span's begin. @pre whoever recorded has ended
  /// @throws std::filesystem::filesystem_error where the file can't be written
  Written write(const std::filesystem::path& file) const;

 private:
  static inline std::atomic<Trace*> active_{nullptr};
  std::vector<TraceSpan> spans_;
  std::atomic<std::size_t> taken_{0};
};

}  // namespace gantry
