#include "engine/graph/packed_conv.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/graph/simd.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

constexpr int kPixels = 6;  // of one register tile
constexpr int kLanes = 16;  // output channels of one register tile: two vectors of eight
constexpr int kStrip = 48;  // pixels whose input addresses are worked out together

/// One input view's stretch of the reduction for up to kStrip pixels.
struct Stretch {
  int channels;
  const float* const* pixels;  ///< [tap][kStrip]: where each output pixel's input starts; zeros outside the map
};

/// Tile of six pixels and sixteen channels: acc += Σ over taps, views and channels.
GANTRY_INLINE void tile_loop(std::span<const Stretch> views, int taps, int first, const float* weights,
                             const float* bias, float* result) {
  Vector8 acc[kPixels][2];
  for (auto& row : acc) {
    load(row[0], bias);
    load(row[1], bias + 8);
  }
  for (int tap = 0; tap < taps; ++tap)
    for (const Stretch& view : views) {
      const float* const* pixels = view.pixels + std::ptrdiff_t{tap} * kStrip + first;
      const float* const p0 = pixels[0];
      const float* const p1 = pixels[1];
      const float* const p2 = pixels[2];
      const float* const p3 = pixels[3];
      const float* const p4 = pixels[4];
      const float* const p5 = pixels[5];
      for (int c = 0; c < view.channels; ++c, weights += kLanes) {
        Vector8 w0, w1;
        load(w0, weights);
        load(w1, weights + 8);
        acc[0][0] += p0[c] * w0;
        acc[0][1] += p0[c] * w1;
        acc[1][0] += p1[c] * w0;
        acc[1][1] += p1[c] * w1;
        acc[2][0] += p2[c] * w0;
        acc[2][1] += p2[c] * w1;
        acc[3][0] += p3[c] * w0;
        acc[3][1] += p3[c] * w1;
        acc[4][0] += p4[c] * w0;
        acc[4][1] += p4[c] * w1;
        acc[5][0] += p5[c] * w0;
        acc[5][1] += p5[c] * w1;
      }
    }
  std::memcpy(result, acc, sizeof(acc));
}
GANTRY_AVX2 void tile_avx2(std::span<const Stretch> views, int taps, int first, const float* weights, const float* bias,
                           float* result) {
  tile_loop(views, taps, first, weights, bias, result);
}
void tile_plain(std::span<const Stretch> views, int taps, int first, const float* weights, const float* bias,
                float* result) {
  tile_loop(views, taps, first, weights, bias, result);
}

GANTRY_INLINE void multiply_add_loop(const float* in, const float* weights, float* out, int channels) {
  for (int c = 0; c < channels; ++c) out[c] += in[c] * weights[c];
}
GANTRY_AVX2 void multiply_add_avx2(const float* in, const float* weights, float* out, int channels) {
  multiply_add_loop(in, weights, out, channels);
}
void multiply_add_plain(const float* in, const float* weights, float* out, int channels) {
  multiply_add_loop(in, weights, out, channels);
}

void finish(const ConvOp& op, const ConstMap* residual, const Map& out) {
  if (op.activation == Activation::kNone && residual == nullptr) return;
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      float* pixel = out.at(y, x);
      if (op.activation == Activation::kSilu)
        for (int c = 0; c < out.channels; ++c) pixel[c] *= 1.0F / (1.0F + std::exp(-pixel[c]));
      if (residual == nullptr) continue;
      const float* add = residual->at(y, x);
      for (int c = 0; c < out.channels; ++c) pixel[c] += add[c];
    }
}

}  // namespace

PackedConv::PackedConv(const ConvOp& op) : op_(op) {
  const Weights& w = *op.weights;
  const int taps = w.kernel_h * w.kernel_w;
  if (op.depthwise()) {
    weights_.resize(w.values.size());
    for (int c = 0; c < w.out; ++c)
      for (int t = 0; t < taps; ++t)
        weights_[static_cast<std::size_t>(t * w.out + c)] = w.values[static_cast<std::size_t>(c * taps + t)];
    bias_ = w.bias;
    return;
  }
  blocks_ = (w.out + kLanes - 1) / kLanes;
  const std::size_t depth = static_cast<std::size_t>(taps) * static_cast<std::size_t>(w.in);
  weights_.assign(static_cast<std::size_t>(blocks_) * depth * kLanes, 0.0F);
  bias_.assign(static_cast<std::size_t>(blocks_) * kLanes, 0.0F);
  std::copy(w.bias.begin(), w.bias.end(), bias_.begin());
  for (std::size_t o = 0; o < static_cast<std::size_t>(w.out); ++o)
    for (std::size_t k = 0; k < depth; ++k)
      weights_[(o / kLanes * depth + k) * kLanes + o % kLanes] = w.values[o * depth + k];
}

void PackedConv::run(std::span<const ConstMap> inputs, const ConstMap* residual, const Map& out) const {
  const Weights& w = *op_.weights;
  int channels = 0;
  for (const ConstMap& in : inputs) {
    channels += in.channels;
    const int height = in.height * in.upsample;
    const int width = in.width * in.upsample;
    GANTRY_EXPECTS((height + 2 * op_.pad - w.kernel_h) / op_.stride + 1 == out.height &&
                       (width + 2 * op_.pad - w.kernel_w) / op_.stride + 1 == out.width,
                   "the output's size doesn't follow from the input's");
  }
  GANTRY_EXPECTS(channels == w.in * op_.groups && out.channels == w.out, "channels don't fit the weights");
  GANTRY_EXPECTS((residual != nullptr) == op_.residual.has_value(), "pass the residual exactly where the op has one");
  if (op_.depthwise()) {
    GANTRY_EXPECTS(inputs.size() == 1 && inputs.front().upsample == 1, "depthwise reads one plain view");
    run_depthwise(inputs.front(), out);
  } else {
    run_plain(inputs, out);
  }
  finish(op_, residual, out);
}

void PackedConv::run_plain(std::span<const ConstMap> inputs, const Map& out) const {
  const Weights& w = *op_.weights;
  const int taps = w.kernel_h * w.kernel_w;
  const std::vector<float> zeros(static_cast<std::size_t>(w.in), 0.0F);
  std::vector<std::vector<const float*>> addresses(inputs.size());
  std::vector<Stretch> views;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    addresses[i].resize(static_cast<std::size_t>(taps) * kStrip);
    views.push_back({inputs[i].channels, addresses[i].data()});
  }
  const std::size_t block_size = static_cast<std::size_t>(taps) * static_cast<std::size_t>(w.in) * kLanes;
  const auto tile = has_avx2() ? tile_avx2 : tile_plain;
  const int pixels = out.height * out.width;
  alignas(32) float result[kPixels * kLanes];
  for (int strip = 0; strip < pixels; strip += kStrip) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (int tap = 0; tap < taps; ++tap)
        for (int p = 0; p < kStrip; ++p) {
          const int pixel = std::min(strip + p, pixels - 1);
          const int y = pixel / out.width * op_.stride + tap / w.kernel_w - op_.pad;
          const int x = pixel % out.width * op_.stride + tap % w.kernel_w - op_.pad;
          const ConstMap& in = inputs[i];
          const bool inside = y >= 0 && x >= 0 && y < in.height * in.upsample && x < in.width * in.upsample;
          addresses[i][static_cast<std::size_t>(tap * kStrip + p)] =
              inside ? in.at(y / in.upsample, x / in.upsample) : zeros.data();
        }
    for (int block = 0; block < blocks_; ++block) {
      const int lanes = std::min(kLanes, w.out - block * kLanes);
      for (int first = 0; first < kStrip && strip + first < pixels; first += kPixels) {
        tile(views, taps, first, weights_.data() + static_cast<std::size_t>(block) * block_size,
             bias_.data() + block * kLanes, result);
        for (int p = 0; p < kPixels && strip + first + p < pixels; ++p)
          std::copy_n(result + p * kLanes, lanes,
                      out.data + std::ptrdiff_t{strip + first + p} * out.pitch + block * kLanes);
      }
    }
  }
}

void PackedConv::run_depthwise(const ConstMap& in, const Map& out) const {
  const Weights& w = *op_.weights;
  const auto step = has_avx2() ? multiply_add_avx2 : multiply_add_plain;
  for (int oy = 0; oy < out.height; ++oy)
    for (int ox = 0; ox < out.width; ++ox) {
      float* pixel = out.at(oy, ox);
      std::copy(bias_.begin(), bias_.end(), pixel);
      for (int ky = 0; ky < w.kernel_h; ++ky)
        for (int kx = 0; kx < w.kernel_w; ++kx) {
          const int y = oy * op_.stride + ky - op_.pad;
          const int x = ox * op_.stride + kx - op_.pad;
          if (y < 0 || x < 0 || y >= in.height || x >= in.width) continue;
          step(in.at(y, x), weights_.data() + std::ptrdiff_t{ky * w.kernel_w + kx} * w.out, pixel, out.channels);
        }
    }
}

}  // namespace gantry::graph
