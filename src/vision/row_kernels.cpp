#include "vision/row_kernels.hpp"

#include <algorithm>
#include <array>

namespace gantry::vision {
namespace {

std::uint8_t clamp_to_byte(int value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
}

constexpr std::array<float, 256> kUnit = [] {
  std::array<float, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / 255.0F;
  return table;
}();

void yuv(const std::uint8_t* y_row, ChromaRow chroma, int width, const YuvFactors& f, std::uint8_t* r, std::uint8_t* g,
         std::uint8_t* b) {
  const int step = chroma.interleaved ? 2 : 1;
  for (int x = 0; x < width; ++x) {
    const int y = (8 * y_row[x] - f.y_offset) * f.y >> 16;
    const int u = 8 * (chroma.u[x / 2 * step] - 128);
    const int v = 8 * (chroma.v[x / 2 * step] - 128);
    r[x] = clamp_to_byte(y + (v * f.v_to_r >> 16));
    g[x] = clamp_to_byte(y + (u * f.u_to_g >> 16) + (v * f.v_to_g >> 16));
    b[x] = clamp_to_byte(y + (u * f.u_to_b >> 16));
  }
}

void unpack(const std::uint8_t* packed, int width, std::uint8_t* c0, std::uint8_t* c1, std::uint8_t* c2) {
  for (int x = 0; x < width; ++x) {
    c0[x] = packed[3 * x];
    c1[x] = packed[3 * x + 1];
    c2[x] = packed[3 * x + 2];
  }
}

void across(const std::uint8_t* row, const ColumnPlan& plan, std::int16_t* out) {
  for (std::size_t x = 0; x < plan.taps.size(); ++x) {
    const ResizeTap& tap = plan.taps[x];
    out[x] = static_cast<std::int16_t>((row[tap.first] * tap.weight_first + row[tap.second] * tap.weight_second) >> 4);
  }
}

void down(const std::int16_t* first, const std::int16_t* second, std::int16_t weight_first, std::int16_t weight_second,
          int width, float* out) {
  for (int x = 0; x < width; ++x) {
    const int value = ((weight_first * first[x] >> 16) + (weight_second * second[x] >> 16) + 2) >> 2;
    out[x] = kUnit[static_cast<std::size_t>(value)];
  }
}

void widen(const std::uint8_t* row, int width, float* out) {
  for (int x = 0; x < width; ++x) out[x] = kUnit[row[x]];
}

}  // namespace

ColumnPlan plan_columns(int source, int target) {
  ColumnPlan plan;
  plan.source = source;
  plan.target = target;
  plan.taps = resize_columns(source, target);
  plan.halves = source == 2 * target;
  plan.grouped = true;
  const std::size_t groups = (static_cast<std::size_t>(target) + 15) / 16 * 4;
  plan.bases.resize(groups);
  plan.shuffles.assign(groups * 16, 0x80);
  plan.weights.assign(groups * 8, 0);
  for (std::size_t x = 0; x < plan.taps.size(); ++x) {
    const ResizeTap& tap = plan.taps[x];
    const std::size_t group = x / 4;
    const std::size_t lane = x % 4;
    if (lane == 0) plan.bases[group] = tap.first;
    const int base = plan.bases[group];
    if (tap.second - base > 15) plan.grouped = false;
    plan.shuffles[group * 16 + lane * 4] = static_cast<std::uint8_t>(tap.first - base);
    plan.shuffles[group * 16 + lane * 4 + 2] = static_cast<std::uint8_t>(tap.second - base);
    plan.weights[group * 8 + lane * 2] = tap.weight_first;
    plan.weights[group * 8 + lane * 2 + 1] = tap.weight_second;
  }
  return plan;
}

const RowKernels& portable_kernels() noexcept {
  static constexpr RowKernels kernels{yuv, unpack, across, down, widen};
  return kernels;
}

}  // namespace gantry::vision
