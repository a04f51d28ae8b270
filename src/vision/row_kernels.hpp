#pragma once
// The four steps of the fast letterbox, a row at a time, portable and with AVX2. Equal results, bit for bit.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gantry/vision/color.hpp"
#include "vision/resize_tables.hpp"

namespace gantry::vision {

/// Scratch rows carry this many bytes more than the picture is wide: kernels may read and write them whole.
inline constexpr std::size_t kRowSlackBytes = 64;

/// Horizontal taps, also cut into groups of four targets whose sources lie within 16 bytes.
struct ColumnPlan {
  int source = 0, target = 0;
  std::vector<ResizeTap> taps;
  bool grouped = false;                ///< every group of four fits: sources are at most ~4 apart
  bool halves = false;                 ///< exactly two equal sources a target, side by side
  std::vector<std::int32_t> bases;     ///< first source of each group
  std::vector<std::uint8_t> shuffles;  ///< 16 a group: (first, zero, second, zero) x 4
  std::vector<std::int16_t> weights;   ///< 8 a group: (first, second) x 4
};
[[nodiscard]] ColumnPlan plan_columns(int source, int target);

/// Chroma of one row: two planes, or one plane with U and V in turn.
struct ChromaRow {
  const std::uint8_t* u = nullptr;
  const std::uint8_t* v = nullptr;
  bool interleaved = false;
};

struct RowKernels {
  void (*yuv)(const std::uint8_t* y, ChromaRow chroma, int width, const YuvFactors& f, std::uint8_t* r, std::uint8_t* g,
              std::uint8_t* b);
  /// [width][3] to three rows.
  void (*unpack)(const std::uint8_t* packed, int width, std::uint8_t* c0, std::uint8_t* c1, std::uint8_t* c2);
  /// out = (row[first] * weight + row[second] * weight) >> 4, 0…32640. `out` has room for a multiple of 16.
  void (*across)(const std::uint8_t* row, const ColumnPlan& plan, std::int16_t* out);
  /// out = byte / 255 of two weighted rows of across().
  void (*down)(const std::int16_t* first, const std::int16_t* second, std::int16_t weight_first,
               std::int16_t weight_second, int width, float* out);
  /// out = byte / 255.
  void (*widen)(const std::uint8_t* row, int width, float* out);
};

[[nodiscard]] const RowKernels& portable_kernels() noexcept;
/// Null where neither the build nor the processor has AVX2.
[[nodiscard]] const RowKernels* avx2_kernels() noexcept;

}  // namespace gantry::vision
