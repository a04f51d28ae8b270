#include <algorithm>
#include <array>
#include <vector>

#include "gantry/core/expects.hpp"
#include "gantry/vision/letterbox.hpp"
#include "vision/row_kernels.hpp"

namespace gantry::vision {

struct Letterboxer::State {
  const RowKernels* kernels = nullptr;
  LetterboxGeometry geometry;
  ColumnPlan columns;
  std::vector<ResizeTap> rows;
  std::array<std::vector<std::uint8_t>, 3> source;  ///< R, G, B of one source row

  /// Two source rows, already resized across.
  struct Across {
    int row = -1;
    std::array<std::vector<std::int16_t>, 3> channels;
  };
  std::array<Across, 2> across;

  void fit(const LetterboxGeometry& g);
  void read_row(const Image& image, int row);
  const Across& row_across(const Image& image, int row, int keep);
};

void Letterboxer::State::fit(const LetterboxGeometry& g) {
  if (geometry == g) return;
  geometry = g;
  columns = plan_columns(g.source_width, g.inner_width);
  rows = resize_rows(g.source_height, g.inner_height);
  for (auto& row : source) row.resize(static_cast<std::size_t>(g.source_width) + kRowSlackBytes);
  for (auto& entry : across) {
    for (auto& channel : entry.channels) channel.resize(static_cast<std::size_t>(g.inner_width) + kRowSlackBytes);
  }
}

void Letterboxer::State::read_row(const Image& image, int row) {
  const auto& planes = image.planes;
  const std::uint8_t* first = planes[0].data + row * planes[0].stride_bytes;
  auto& [red, green, blue] = source;
  switch (image.format) {
    case PixelFormat::kBgr24:
      kernels->unpack(first, image.width, blue.data(), green.data(), red.data());
      return;
    case PixelFormat::kRgb24:
      kernels->unpack(first, image.width, red.data(), green.data(), blue.data());
      return;
    case PixelFormat::kNv12:
    case PixelFormat::kI420: {
      const bool interleaved = image.format == PixelFormat::kNv12;
      const std::uint8_t* u = planes[1].data + row / 2 * planes[1].stride_bytes;
      const std::uint8_t* v = interleaved ? u + 1 : planes[2].data + row / 2 * planes[2].stride_bytes;
      kernels->yuv(first, {u, v, interleaved}, image.width, yuv_factors(image.matrix, image.range), red.data(),
                   green.data(), blue.data());
      return;
    }
  }
}

/// The resized source row, made unless it is at hand; never in the place of row `keep`.
const Letterboxer::State::Across& Letterboxer::State::row_across(const Image& image, int row, int keep) {
  for (const Across& entry : across) {
    if (entry.row == row) return entry;
  }
  Across& entry = across[across[0].row == keep ? 1 : 0];
  entry.row = row;
  read_row(image, row);
  for (std::size_t c = 0; c < 3; ++c) kernels->across(source[c].data(), columns, entry.channels[c].data());
  return entry;
}

Letterboxer::Letterboxer(Path path) : state_(std::make_unique<State>()) {
  const RowKernels* special = path == Path::kAuto ? avx2_kernels() : nullptr;
  state_->kernels = special != nullptr ? special : &portable_kernels();
}
Letterboxer::~Letterboxer() = default;

void Letterboxer::run(const Image& image, const LetterboxGeometry& g, float* planes, bool padded) {
  GANTRY_EXPECTS(image.width == g.source_width && image.height == g.source_height,
                 "the geometry is of another picture size");
  GANTRY_EXPECTS(image.space != MemorySpace::kDevice, "Letterboxer reads host memory");
  State& s = *state_;
  s.fit(g);
  const auto width = static_cast<std::size_t>(g.input_width);
  const std::size_t area = width * static_cast<std::size_t>(g.input_height);
  const auto left = static_cast<std::size_t>(g.left);
  const std::size_t right = width - left - static_cast<std::size_t>(g.inner_width);
  if (!padded) {
    constexpr float kGrey = static_cast<float>(kPadding) / 255.0F;
    const std::size_t above = width * static_cast<std::size_t>(g.top);
    const std::size_t end = width * static_cast<std::size_t>(g.top + g.inner_height);
    for (std::size_t c = 0; c < 3; ++c) {
      float* plane = planes + c * area;
      std::fill(plane, plane + above, kGrey);
      std::fill(plane + end, plane + area, kGrey);
      for (float* row = plane + above; left + right > 0 && row != plane + end; row += width) {
        std::fill(row, row + left, kGrey);
        std::fill(row + width - right, row + width, kGrey);
      }
    }
  }
  const bool same_size = g.inner_width == g.source_width && g.inner_height == g.source_height;
  for (auto& entry : s.across) entry.row = -1;
  for (int y = 0; y < g.inner_height; ++y) {
    float* out = planes + static_cast<std::size_t>(g.top + y) * width + left;
    if (same_size) {
      s.read_row(image, y);
      for (std::size_t c = 0; c < 3; ++c) s.kernels->widen(s.source[c].data(), g.inner_width, out + c * area);
      continue;
    }
    const ResizeTap& tap = s.rows[static_cast<std::size_t>(y)];
    const State::Across& first = s.row_across(image, tap.first, tap.second);
    const State::Across& second = s.row_across(image, tap.second, tap.first);
    for (std::size_t c = 0; c < 3; ++c) {
      s.kernels->down(first.channels[c].data(), second.channels[c].data(), tap.weight_first, tap.weight_second,
                      g.inner_width, out + c * area);
    }
  }
}

}  // namespace gantry::vision
