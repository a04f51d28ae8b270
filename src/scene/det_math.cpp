#include "scene/det_math.hpp"

namespace gantry::scene {
namespace {

// Taylor series about 0; |x| <= pi/4, where the first term left out is below 1e-15.
double sin_core(double x) noexcept {
  const double z = x * x;
  return x * (1 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 - z / 39916800)))));
}
double cos_core(double x) noexcept {
  const double z = x * x;
  return 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z / 479001600)))));
}
// Maclaurin series of atan for |x| <= tan(pi/16) ~ 0.199, then by halving: atan(x) = 2 atan(x / (1 + sqrt(1 + x^2))).
double atan_unit(double x) noexcept {
  double scale = 1;
  for (int i = 0; i < 2; ++i) {
    x = x / (1 + std::sqrt(1 + x * x));
    scale *= 2;
  }
  const double z = x * x;
  double sum = 0;
  for (int k = 8; k >= 0; --k) sum = sum * -z + 1.0 / (2 * k + 1);
  return scale * x * sum;
}

}  // namespace

double det_sin(double x) noexcept {
  const double quarter = std::floor(x * (2 / kPi) + 0.5);
  const double r = x - quarter * (kPi / 2);
  switch (static_cast<std::int64_t>(quarter) & 3) {
    case 0:
      return sin_core(r);
    case 1:
      return cos_core(r);
    case 2:
      return -sin_core(r);
    default:
      return -cos_core(r);
  }
}

double det_cos(double x) noexcept {
  return det_sin(x + kPi / 2);
}

double det_atan2(double y, double x) noexcept {
  const double ax = std::fabs(x);
  const double ay = std::fabs(y);
  if (ax == 0 && ay == 0) return 0;
  double a = ay > ax ? kPi / 2 - atan_unit(ax / ay) : atan_unit(ay / ax);
  if (x < 0) a = kPi - a;
  return y < 0 ? -a : a;
}

double det_exp(double x) noexcept {
  constexpr double kLn2 = 0.6931471805599453;
  const double n = std::floor(x / kLn2 + 0.5);
  const double r = x - n * kLn2;  // |r| <= 0.35
  double sum = 1;
  for (int k = 14; k >= 1; --k) sum = 1 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

double det_log(double x) noexcept {
  constexpr double kLn2 = 0.6931471805599453;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact
  if (m < 0.7071067811865476) {
    m *= 2;
    --exponent;
  }
  const double t = (m - 1) / (m + 1);  // |t| <= 0.172; log m = 2 atanh t
  const double z = t * t;
  double sum = 0;
  for (int k = 9; k >= 0; --k) sum = sum * z + 1.0 / (2 * k + 1);
  return 2 * t * sum + exponent * kLn2;
}

}  // namespace gantry::scene
