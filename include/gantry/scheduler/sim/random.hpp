#pragma once
// Random numbers of the simulator: xoshiro256++ seeded through splitmix64, and the few distributions that it needs.
// The standard library's distributions may differ from one library to the next; these give the same bytes everywhere.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace gantry::scheduler::sim {

[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  state += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

/// Not thread-safe. Streams of one seed are independent: one for each camera, device and purpose.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept {
    std::uint64_t mix = seed;
    mix = splitmix64(mix) ^ (stream * 0xD1B54A32D192ED03U);
    for (std::uint64_t& word : state_) word = splitmix64(mix);
  }

  [[nodiscard]] std::uint64_t bits() noexcept {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// 0 <= u < 1
  [[nodiscard]] double uniform() noexcept { return static_cast<double>(bits() >> 11U) * 0x1p-53; }
  /// 0 … n - 1; @pre n > 0. Biased by less than n / 2^53.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept {
    return static_cast<std::uint64_t>(uniform() * static_cast<double>(n));
  }
  [[nodiscard]] double exponential(double mean) noexcept { return -mean * std::log1p(-uniform()); }
  /// Standard normal, cut at ±3 (Box-Muller, one of the pair).
  [[nodiscard]] double normal() noexcept {
    const double radius = std::sqrt(-2 * std::log1p(-uniform()));
    const double z = radius * std::cos(2 * std::numbers::pi * uniform());
    return z > 3 ? 3 : (z < -3 ? -3 : z);
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace gantry::scheduler::sim
