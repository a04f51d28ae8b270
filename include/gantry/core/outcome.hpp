#pragma once
// How a frame ends, and the books that prove that every frame ends exactly once.
#include <array>
#include <atomic>
#include <cstdint>

namespace gantry {

/// The ways in which a frame dies. kPublished and kPublishedLate carry a result; the rest are drops, each with its
/// reason.
enum class Outcome : std::uint8_t {
  kPublished,      ///< answered before its deadline
  kPublishedLate,  ///< answered after its deadline, marked late
  kRateLimited,    ///< above the camera's configured frame rate
  kDecodeSkipped,  ///< never decoded: nobody would have run it
  kSuperseded,     ///< a newer frame of the same camera took its slot
  kExpired,        ///< its deadline passed while it waited
  kPredictedLate,  ///< it could not have finished in time, so it was not started
  kShed,           ///< given up under overload, by fairness and class
  kDecodeError,    ///< the decoder could not make a picture of it
  kEngineError,    ///< the back end failed on it
  kCameraRemoved,  ///< its camera was taken away
  kShutdown,       ///< the server stopped
};
inline constexpr int kOutcomeCount = 12;

/// snake_case name as it stands in results and metrics: "published", "published_late", "rate_limited", …
[[nodiscard]] const char* to_string(Outcome outcome) noexcept;
[[nodiscard]] constexpr bool is_drop(Outcome outcome) noexcept {
  return outcome > Outcome::kPublishedLate;
}

/// A consistent reading of one camera's books: received = Σ outcomes + in_flight, always.
struct FrameCounts {
  std::uint64_t received = 0;
  std::array<std::uint64_t, kOutcomeCount> outcomes{};
  std::uint64_t in_flight = 0;

  [[nodiscard]] std::uint64_t operator[](Outcome outcome) const noexcept { return outcomes[static_cast<int>(outcome)]; }
  [[nodiscard]] std::uint64_t published() const noexcept {
    return (*this)[Outcome::kPublished] + (*this)[Outcome::kPublishedLate];
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  FrameCounts& operator+=(const FrameCounts& other) noexcept;
};

/// The books of one camera. Thread-safe and lock-free; in_flight is derived, so that the sum holds in every reading.
class FrameLedger {
 public:
  FrameLedger() = default;
  FrameLedger(const FrameLedger&) = delete;
  FrameLedger& operator=(const FrameLedger&) = delete;

  void received() noexcept { received_.fetch_add(1, std::memory_order_relaxed); }
  void ended(Outcome outcome) noexcept { outcomes_[static_cast<int>(outcome)].fetch_add(1, std::memory_order_release); }
  [[nodiscard]] FrameCounts read() const noexcept;

 private:
  std::atomic<std::uint64_t> received_{0};
  std::array<std::atomic<std::uint64_t>, kOutcomeCount> outcomes_{};
};

}  // namespace gantry
