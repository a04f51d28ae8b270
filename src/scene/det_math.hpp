#pragma once
// Elementary functions and random numbers whose bits are the same on every machine. The C library's sin or exp may
// differ in the last digit from one version to the next, and std::*_distribution is left to the implementation; a
// simulation of thousands of steps would turn that digit into another picture. Everything here uses only IEEE +, -, *,
// / and sqrt, and the room is compiled without contraction into fused multiply-adds.
#include <cmath>
#include <cstdint>

namespace gantry::scene {

inline constexpr double kPi = 3.14159265358979323846;

/// Absolute error below 1e-10 for |x| < 1e6.
[[nodiscard]] double det_sin(double x) noexcept;
[[nodiscard]] double det_cos(double x) noexcept;
/// In (-pi, pi]; absolute error below 1e-10. det_atan2(0, 0) is 0.
[[nodiscard]] double det_atan2(double y, double x) noexcept;
/// Relative error below 1e-12 for |x| < 700.
[[nodiscard]] double det_exp(double x) noexcept;
/// Natural logarithm of x > 0; relative error below 1e-12.
[[nodiscard]] double det_log(double x) noexcept;
[[nodiscard]] inline double det_tan(double x) noexcept {
  return det_sin(x) / det_cos(x);
}
[[nodiscard]] inline double det_pow(double x, double y) noexcept {
  return x <= 0 ? 0.0 : det_exp(y * det_log(x));
}

/// Mixes 64 bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// A stream of random numbers; same seed, same stream, everywhere.
class Rng {
 public:
  explicit constexpr Rng(std::uint64_t seed) noexcept : state_(mix64(seed)) {}
  constexpr std::uint64_t bits() noexcept {
    state_ += 0x9E3779B97F4A7C15ULL;
    return mix64(state_);
  }
  /// [0, 1)
  constexpr double uniform() noexcept { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  constexpr double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }
  /// 0 … n-1, n >= 1
  constexpr int below(int n) noexcept { return static_cast<int>(uniform() * n); }
  constexpr bool chance(double probability) noexcept { return uniform() < probability; }
  /// Mean 0, standard deviation 1; the sum of twelve uniforms, so never beyond 6.
  constexpr double normal() noexcept {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }
  /// Waiting time of a Poisson process with the given mean.
  double exponential(double mean) noexcept { return -mean * det_log(1.0 - uniform()); }

 private:
  std::uint64_t state_;
};

struct Vec2 {
  double x = 0, y = 0;
  friend constexpr Vec2 operator+(Vec2 a, Vec2 b) noexcept { return {a.x + b.x, a.y + b.y}; }
  friend constexpr Vec2 operator-(Vec2 a, Vec2 b) noexcept { return {a.x - b.x, a.y - b.y}; }
  friend constexpr Vec2 operator*(double k, Vec2 a) noexcept { return {k * a.x, k * a.y}; }
};
[[nodiscard]] constexpr double dot(Vec2 a, Vec2 b) noexcept {
  return a.x * b.x + a.y * b.y;
}
[[nodiscard]] inline double norm(Vec2 a) noexcept {
  return std::sqrt(dot(a, a));
}
/// A quarter turn clockwise: what lies to the right of somebody who looks along `a`.
[[nodiscard]] constexpr Vec2 right_of(Vec2 a) noexcept {
  return {a.y, -a.x};
}
[[nodiscard]] inline Vec2 unit(double angle) noexcept {
  return {det_cos(angle), det_sin(angle)};
}
/// To (-pi, pi].
[[nodiscard]] inline double wrap_angle(double a) noexcept {
  return a - 2 * kPi * std::ceil((a - kPi) / (2 * kPi));
}

}  // namespace gantry::scene
