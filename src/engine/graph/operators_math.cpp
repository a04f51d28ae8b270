// Operators that compute: plain float32 loops over NCHW, kept independent of the fused plan's kernels, which are
// checked against them.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/graph/operators.hpp"
#include "engine/graph/simd.hpp"

namespace gantry::graph {

Window window_of(const Call& call, const Dims& in, std::int64_t kernel_h, std::int64_t kernel_w) {
  constexpr std::int64_t kLargest = 1 << 15;  // pixels: beyond any picture, far from overflow
  const auto strides = call.node.integers("strides", {1, 1});
  const auto dilations = call.node.integers("dilations", {1, 1});
  auto pads = call.node.integers("pads", {0, 0, 0, 0});
  if (in.size() != 4 || strides.size() != 2 || dilations.size() != 2 || pads.size() != 4)
    call.fail("isn't two-dimensional; only [batch, channels, height, width] is supported");
  if (std::min({kernel_h, kernel_w, strides[0], strides[1], dilations[0], dilations[1]}) < 1 ||
      *std::min_element(pads.begin(), pads.end()) < 0 ||
      std::max({kernel_h, kernel_w, strides[0], strides[1], dilations[0], dilations[1],
                *std::max_element(pads.begin(), pads.end())}) > kLargest)
    call.fail("has a kernel, stride, dilation or padding out of range");
  const std::array<std::int64_t, 2> kernel{kernel_h, kernel_w};
  const std::string mode = call.node.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t size = in[2 + i];
      const std::int64_t out = (size + strides[i] - 1) / strides[i];
      const std::int64_t reach = (kernel[i] - 1) * dilations[i] + 1;
      const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * strides[i] + reach - size);
      pads[i] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      pads[i + 2] = total - pads[i];
    }
  } else if (mode == "VALID") {
    pads = {0, 0, 0, 0};
  } else if (mode != "NOTSET") {
    call.fail("auto_pad '" + mode + "' is not supported");
  }
  return {kernel_h, kernel_w, strides[0], strides[1], dilations[0], dilations[1], pads[0], pads[1], pads[2], pads[3]};
}

namespace operators {
namespace {

using In = std::span<const Known* const>;
using Values = std::span<const Tensor* const>;
using Out = std::span<Tensor>;

// -- elementwise

std::vector<Known> infer_unary(const Call& call, In in) {
  if (!in[0]->is_float) call.fail("needs a float tensor");
  return {{in[0]->dims, true, nullptr}};
}
template <typename F>
void map_floats(Values in, Out out, F f) {
  std::transform(in[0]->floats().begin(), in[0]->floats().end(), out[0].floats().begin(), f);
}
void compute_sigmoid(const Call& /*call*/, Values in, Out out) {
  map_floats(in, out, [](float v) { return 1.0F / (1.0F + std::exp(-v)); });
}
void compute_floor(const Call& /*call*/, Values in, Out out) {
  map_floats(in, out, [](float v) { return std::floor(v); });
}

std::vector<Known> infer_binary(const Call& call, In in) {
  const Dims& a = in[0]->dims;
  const Dims& b = in[1]->dims;
  const std::size_t rank = std::max(a.size(), b.size());
  Dims dims(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t da = i + a.size() >= rank ? a[i + a.size() - rank] : 1;
    const std::int64_t db = i + b.size() >= rank ? b[i + b.size() - rank] : 1;
    if (da != db && da != 1 && db != 1) call.fail("combines " + to_string(a) + " and " + to_string(b));
    dims[i] = da == 1 ? db : da;
  }
  if (in[0]->is_float != in[1]->is_float) call.fail("combines a float and an integer tensor");
  return {{dims, in[0]->is_float, nullptr}};
}

template <typename T, typename F>
void combine(const Tensor& ta, const Tensor& tb, Tensor& to, F f) {
  const auto& a = std::get<std::vector<T>>(ta.values);
  const auto& b = std::get<std::vector<T>>(tb.values);
  auto& out = std::get<std::vector<T>>(to.values);
  if (ta.dims == tb.dims) {
    std::transform(a.begin(), a.end(), b.begin(), out.begin(), f);
    return;
  }
  const std::size_t rank = to.dims.size();
  const auto strides = [&](const Dims& dims) {
    std::vector<std::size_t> stride(rank, 0);
    std::size_t step = 1;
    for (std::size_t i = rank; i-- > rank - dims.size();) {
      const std::int64_t d = dims[i + dims.size() - rank];
      stride[i] = d == 1 ? 0 : step;
      step *= static_cast<std::size_t>(d);
    }
    return stride;
  };
  const auto sa = strides(ta.dims);
  const auto sb = strides(tb.dims);
  std::vector<std::int64_t> at(rank, 0);
  std::size_t ia = 0;
  std::size_t ib = 0;
  for (T& value : out) {
    value = f(a[ia], b[ib]);
    for (std::size_t i = rank; i-- > 0;) {
      ia += sa[i];
      ib += sb[i];
      if (++at[i] < to.dims[i]) break;
      ia -= sa[i] * static_cast<std::size_t>(to.dims[i]);
      ib -= sb[i] * static_cast<std::size_t>(to.dims[i]);
      at[i] = 0;
    }
  }
}
template <typename F>
void compute_binary(Values in, Out out, F f) {
  if (out[0].is_float()) {
    combine<float>(*in[0], *in[1], out[0], f);
  } else {
    combine<std::int64_t>(*in[0], *in[1], out[0], f);
  }
}
void compute_add(const Call& /*call*/, Values in, Out out) {
  compute_binary(in, out, [](auto a, auto b) { return a + b; });
}
void compute_sub(const Call& /*call*/, Values in, Out out) {
  compute_binary(in, out, [](auto a, auto b) { return a - b; });
}
void compute_mul(const Call& /*call*/, Values in, Out out) {
  compute_binary(in, out, [](auto a, auto b) { return a * b; });
}
void compute_div(const Call& call, Values in, Out out) {
  compute_binary(in, out, [&call](auto a, auto b) {
    if constexpr (std::is_integral_v<decltype(b)>)
      if (b == 0) call.fail("divides an integer by zero");
    return a / b;
  });
}

// -- Softmax

std::size_t softmax_axis(const Call& call, std::size_t rank) {
  return axis_of(call, call.node.integer("axis", call.opset < 13 ? 1 : -1), rank);
}
std::vector<Known> infer_softmax(const Call& call, In in) {
  (void)softmax_axis(call, in[0]->dims.size());
  return infer_unary(call, in);
}
void compute_softmax(const Call& call, Values in, Out out) {
  const Dims& dims = in[0]->dims;
  const std::size_t axis = softmax_axis(call, dims.size());
  std::size_t run = 1;
  std::size_t inner = 1;
  for (std::size_t i = axis; i < dims.size(); ++i) {
    // Before opset 13 everything from the axis on is one dimension.
    if (i == axis || call.opset < 13) {
      run *= static_cast<std::size_t>(dims[i]);
    } else {
      inner *= static_cast<std::size_t>(dims[i]);
    }
  }
  const std::vector<float>& x = in[0]->floats();
  std::vector<float>& y = out[0].floats();
  for (std::size_t begin = 0; begin < x.size(); begin += run * inner)
    for (std::size_t i = 0; i < inner; ++i) {
      const std::size_t first = begin + i;
      float top = -std::numeric_limits<float>::infinity();
      for (std::size_t k = 0; k < run; ++k) top = std::max(top, x[first + k * inner]);
      float sum = 0;
      for (std::size_t k = 0; k < run; ++k) sum += y[first + k * inner] = std::exp(x[first + k * inner] - top);
      for (std::size_t k = 0; k < run; ++k) y[first + k * inner] /= sum;
    }
}

// -- MatMul

std::vector<Known> infer_matmul(const Call& call, In in) {
  const Dims& a = in[0]->dims;
  const Dims& b = in[1]->dims;
  const std::size_t rank = a.size();
  if (rank < 2 || b.size() != rank || !std::equal(a.begin(), a.end() - 2, b.begin()) || a[rank - 1] != b[rank - 2] ||
      !in[0]->is_float || !in[1]->is_float)
    call.fail("multiplies " + to_string(a) + " by " + to_string(b) + "; leading dimensions must be equal");
  Dims dims = a;
  dims[rank - 1] = b[rank - 1];
  return {{dims, true, nullptr}};
}
GANTRY_INLINE void matmul_loop(const float* a, const float* b, float* c, std::size_t m, std::size_t k, std::size_t n) {
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < k; ++j) {
      const float factor = a[i * k + j];
      for (std::size_t x = 0; x < n; ++x) c[i * n + x] += factor * b[j * n + x];
    }
}
GANTRY_AVX2 void matmul_avx2(const float* a, const float* b, float* c, std::size_t m, std::size_t k, std::size_t n) {
  matmul_loop(a, b, c, m, k, n);
}
void compute_matmul(const Call& /*call*/, Values in, Out out) {
  const std::size_t rank = in[0]->dims.size();
  const auto m = static_cast<std::size_t>(in[0]->dims[rank - 2]);
  const auto k = static_cast<std::size_t>(in[0]->dims[rank - 1]);
  const auto n = static_cast<std::size_t>(in[1]->dims[rank - 1]);
  const std::size_t batches = m * n == 0 ? 0 : out[0].floats().size() / (m * n);
  for (std::size_t i = 0; i < batches; ++i)
    (has_avx2() ? matmul_avx2 : matmul_loop)(in[0]->floats().data() + i * m * k, in[1]->floats().data() + i * k * n,
                                             out[0].floats().data() + i * m * n, m, k, n);
}

// -- Conv

std::vector<Known> infer_conv(const Call& call, In in) {
  const Dims& x = in[0]->dims;
  const Dims& w = in[1]->dims;
  if (!in[0]->is_float || !in[1]->is_float || (in.size() > 2 && in[2] != nullptr && !in[2]->is_float))
    call.fail("needs float tensors");
  if (w.size() != 4) call.fail("has weights of size " + to_string(w) + "; only two-dimensional ones are supported");
  const std::int64_t groups = call.node.integer("group", 1);
  const Window win = window_of(call, x, w[2], w[3]);
  if (groups < 1 || w[0] % groups != 0 || x[1] != w[1] * groups)
    call.fail("has weights " + to_string(w) + " in " + std::to_string(groups) + " groups for an input " + to_string(x));
  if (in.size() > 2 && in[2] != nullptr && in[2]->dims != Dims{w[0]}) call.fail("has a bias of the wrong size");
  const std::int64_t h = (x[2] + win.top + win.bottom - (win.kernel_h - 1) * win.dilation_h - 1) / win.stride_h + 1;
  const std::int64_t wd = (x[3] + win.left + win.right - (win.kernel_w - 1) * win.dilation_w - 1) / win.stride_w + 1;
  if (h < 1 || wd < 1) call.fail("is larger than its input " + to_string(x));
  return {{{x[0], w[0], h, wd}, true, nullptr}};
}

/// One image and group, zero-padded and dealt out into stride x stride phases, so that every tap of every stride reads
/// a phase's plane at a fixed distance and an output map is one long row of `pitch` columns a line.
class Phases {
 public:
  Phases(const Window& win, std::int64_t channels, std::int64_t h, std::int64_t w, std::int64_t out_h,
         std::int64_t out_w)
      : win_(win), channels_(channels), h_(h), w_(w) {
    rows_ = out_h + (win.kernel_h - 1) * win.dilation_h / win.stride_h + 1;
    pitch_ = out_w + (win.kernel_w - 1) * win.dilation_w / win.stride_w;
    plane_ = rows_ * pitch_;
    for (std::int64_t ky = 0; ky < win.kernel_h; ++ky)
      for (std::int64_t kx = 0; kx < win.kernel_w; ++kx) {
        const std::int64_t y = ky * win.dilation_h;
        const std::int64_t x = kx * win.dilation_w;
        const std::int64_t phase = y % win.stride_h * win.stride_w + x % win.stride_w;
        taps_.push_back(phase * channels * plane_ + y / win.stride_h * pitch_ + x / win.stride_w);
      }
    values_.resize(static_cast<std::size_t>(win.stride_h * win.stride_w * channels * plane_ + kOverread));
  }

  void fill(const float* image) {
    float* to = values_.data();
    for (std::int64_t py = 0; py < win_.stride_h; ++py)
      for (std::int64_t px = 0; px < win_.stride_w; ++px)
        for (std::int64_t c = 0; c < channels_; ++c)
          for (std::int64_t row = 0; row < rows_; ++row)
            for (std::int64_t column = 0; column < pitch_; ++column) {
              const std::int64_t y = row * win_.stride_h + py - win_.top;
              const std::int64_t x = column * win_.stride_w + px - win_.left;
              const bool inside = y >= 0 && y < h_ && x >= 0 && x < w_;
              *to++ = inside ? image[(c * h_ + y) * w_ + x] : 0.0F;
            }
  }

  static constexpr std::int64_t kOverread = 32;  ///< floats that a tile may look at behind the last plane
  [[nodiscard]] std::int64_t pitch() const noexcept { return pitch_; }
  [[nodiscard]] std::int64_t plane() const noexcept { return plane_; }
  [[nodiscard]] std::int64_t channels() const noexcept { return channels_; }
  [[nodiscard]] const float* values() const noexcept { return values_.data(); }
  [[nodiscard]] const std::vector<std::int64_t>& taps() const noexcept { return taps_; }

 private:
  Window win_;
  std::int64_t channels_, h_, w_;
  std::int64_t rows_ = 0, pitch_ = 0, plane_ = 0;
  std::vector<std::int64_t> taps_;  ///< where each tap's plane of channel 0 starts
  std::vector<float> values_;
};

constexpr std::int64_t kRun = 24;  // outputs of one tile, next to each other: three vectors

/// Four output channels by kRun outputs from `first` on, all channels and taps summed in registers.
GANTRY_INLINE void conv_tile_loop(const Phases& in, std::int64_t first, const float* const weights[4],
                                  const float bias[4], float* const out[4]) {
  Vector8 acc[4][3];
  for (int j = 0; j < 4; ++j)
    for (Vector8& v : acc[j]) v = Vector8{} + bias[j];
  const std::size_t taps = in.taps().size();
  for (std::int64_t c = 0; c < in.channels(); ++c)
    for (std::size_t t = 0; t < taps; ++t) {
      const float* from = in.values() + in.taps()[t] + c * in.plane() + first;
      const std::size_t w = static_cast<std::size_t>(c) * taps + t;
      Vector8 v0, v1, v2;
      load(v0, from);
      load(v1, from + 8);
      load(v2, from + 16);
      for (int j = 0; j < 4; ++j) {
        acc[j][0] += v0 * weights[j][w];
        acc[j][1] += v1 * weights[j][w];
        acc[j][2] += v2 * weights[j][w];
      }
    }
  for (int j = 0; j < 4; ++j) std::memcpy(out[j] + first, acc[j], sizeof(acc[j]));
}
GANTRY_AVX2 void conv_tile_avx2(const Phases& in, std::int64_t first, const float* const weights[4],
                                const float bias[4], float* const out[4]) {
  conv_tile_loop(in, first, weights, bias, out);
}
void conv_tile_plain(const Phases& in, std::int64_t first, const float* const weights[4], const float bias[4],
                     float* const out[4]) {
  conv_tile_loop(in, first, weights, bias, out);
}

void compute_conv(const Call& call, Values in, Out out) {
  const Dims& xd = in[0]->dims;
  const Dims& wd = in[1]->dims;
  const std::int64_t groups = call.node.integer("group", 1);
  const std::int64_t out_h = out[0].dims[2];
  const std::int64_t out_w = out[0].dims[3];
  Phases phases(window_of(call, xd, wd[2], wd[3]), wd[1], xd[2], xd[3], out_h, out_w);
  const std::int64_t line = out_h * phases.pitch();
  const std::int64_t per_group = wd[0] / groups;
  const std::int64_t depth = wd[1] * wd[2] * wd[3];
  const float* bias = in.size() > 2 && in[2] != nullptr ? in[2]->floats().data() : nullptr;
  const auto tile = has_avx2() ? conv_tile_avx2 : conv_tile_plain;
  std::vector<float> lines(static_cast<std::size_t>(4 * (line + kRun)));
  for (std::int64_t n = 0; n < xd[0]; ++n)
    for (std::int64_t group = 0; group < groups; ++group) {
      phases.fill(in[0]->floats().data() + (n * xd[1] + group * wd[1]) * xd[2] * xd[3]);
      for (std::int64_t first = 0; first < per_group; first += 4) {
        const float* weights[4];
        float* results[4];
        float biases[4];
        for (std::int64_t j = 0; j < 4; ++j) {
          const std::int64_t o = group * per_group + std::min(first + j, per_group - 1);
          weights[j] = in[1]->floats().data() + o * depth;
          biases[j] = bias == nullptr ? 0.0F : bias[o];
          results[j] = lines.data() + j * (line + kRun);
        }
        for (std::int64_t i = 0; i < line; i += kRun) tile(phases, i, weights, biases, results);
        for (std::int64_t j = 0; j < std::min<std::int64_t>(4, per_group - first); ++j) {
          float* to = out[0].floats().data() + (n * wd[0] + group * per_group + first + j) * out_h * out_w;
          for (std::int64_t y = 0; y < out_h; ++y) std::copy_n(results[j] + y * phases.pitch(), out_w, to + y * out_w);
        }
      }
    }
}

// -- BatchNormalization, MaxPool, Resize

std::vector<Known> infer_batch_norm(const Call& call, In in) {
  if (call.node.outputs.size() > 1) call.fail("is in training mode; export in evaluation mode");
  if (in[0]->dims.size() < 2) call.fail("needs at least two dimensions");
  for (std::size_t i = 1; i < 5; ++i)
    if (!in[i]->is_float || in[i]->dims != Dims{in[0]->dims[1]}) call.fail("has parameters of the wrong size");
  return infer_unary(call, in);
}
void compute_batch_norm(const Call& call, Values in, Out out) {
  const float epsilon = call.node.real("epsilon", 1e-5F);
  const auto channels = static_cast<std::size_t>(in[0]->dims[1]);
  std::size_t plane = 1;
  for (std::size_t i = 2; i < in[0]->dims.size(); ++i) plane *= static_cast<std::size_t>(in[0]->dims[i]);
  for (std::size_t i = 0; i < out[0].floats().size(); ++i) {
    const std::size_t c = i / plane % channels;
    const float factor = in[1]->floats()[c] / std::sqrt(in[4]->floats()[c] + epsilon);
    out[0].floats()[i] = (in[0]->floats()[i] - in[3]->floats()[c]) * factor + in[2]->floats()[c];
  }
}

Window pool_window(const Call& call, const Dims& in) {
  const auto kernel = call.node.integers("kernel_shape", {});
  if (kernel.size() != 2) call.fail("isn't two-dimensional");
  return window_of(call, in, kernel[0], kernel[1]);
}
std::vector<Known> infer_max_pool(const Call& call, In in) {
  if (call.node.outputs.size() > 1) call.fail("asks for indices, which are not supported");
  const Dims& x = in[0]->dims;
  const Window win = pool_window(call, x);
  const bool ceil = call.node.integer("ceil_mode", 0) != 0;
  const auto length = [ceil](std::int64_t size, std::int64_t before, std::int64_t after, std::int64_t reach,
                             std::int64_t stride) {
    const std::int64_t room = size + before + after - reach;
    std::int64_t out = (ceil ? (room + stride - 1) / stride : room / stride) + 1;
    if (ceil && (out - 1) * stride >= size + before) --out;  // a window that would start in the padding behind
    return room < 0 ? 0 : out;
  };
  const std::int64_t h = length(x[2], win.top, win.bottom, (win.kernel_h - 1) * win.dilation_h + 1, win.stride_h);
  const std::int64_t w = length(x[3], win.left, win.right, (win.kernel_w - 1) * win.dilation_w + 1, win.stride_w);
  if (h < 1 || w < 1) call.fail("is larger than its input " + to_string(x));
  if (!in[0]->is_float) call.fail("needs a float tensor");
  return {{{x[0], x[1], h, w}, true, nullptr}};
}
void compute_max_pool(const Call& call, Values in, Out out) {
  const Dims& x = in[0]->dims;
  const Dims& y = out[0].dims;
  const Window win = pool_window(call, x);
  for (std::int64_t plane = 0; plane < x[0] * x[1]; ++plane) {
    const float* from = in[0]->floats().data() + plane * x[2] * x[3];
    float* to = out[0].floats().data() + plane * y[2] * y[3];
    for (std::int64_t oy = 0; oy < y[2]; ++oy)
      for (std::int64_t ox = 0; ox < y[3]; ++ox) {
        float top = -std::numeric_limits<float>::infinity();
        for (std::int64_t ky = 0; ky < win.kernel_h; ++ky) {
          const std::int64_t iy = oy * win.stride_h + ky * win.dilation_h - win.top;
          if (iy < 0 || iy >= x[2]) continue;
          for (std::int64_t kx = 0; kx < win.kernel_w; ++kx) {
            const std::int64_t ix = ox * win.stride_w + kx * win.dilation_w - win.left;
            if (ix >= 0 && ix < x[3]) top = std::max(top, from[iy * x[3] + ix]);
          }
        }
        to[oy * y[3] + ox] = top;
      }
  }
}

/// Whole-number enlargement, the only kind that detectors use.
std::vector<Known> infer_resize(const Call& call, In in) {
  const Dims& x = in[0]->dims;
  if (x.size() != 4 || !in[0]->is_float) call.fail("needs a float map");
  if (call.node.text("mode", "nearest") != "nearest")
    call.fail("mode '" + call.node.text("mode", "") + "'; only nearest");
  const std::string where = call.node.text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = call.node.text("nearest_mode", "round_prefer_floor");
  // The pairs that repeat every pixel evenly.
  const bool even = (where == "asymmetric" && rounding == "floor") ||
                    ((where == "half_pixel" || where == "pytorch_half_pixel") && rounding.starts_with("round_prefer"));
  if (!even) call.fail("coordinates '" + where + "' with rounding '" + rounding + "' are not supported");
  Dims y = x;
  const auto given = [&](std::size_t i) {
    return in.size() > i && in[i] != nullptr && element_count(in[i]->dims) > 0 ? in[i] : nullptr;
  };
  const Known* scales = given(2);
  const Known* sizes = given(3);
  const Known* target = scales != nullptr ? scales : sizes;
  if (target == nullptr || target->constant == nullptr || target->dims != Dims{4} ||
      target->is_float != (target == scales))
    call.fail("needs four constant scales or sizes");
  for (std::size_t i = 0; i < 4; ++i) {
    const float factor = target == scales ? scales->constant->floats()[i]
                                          : static_cast<float>(sizes->constant->ints()[i]) / static_cast<float>(x[i]);
    if (factor != std::floor(factor) || factor < 1 || factor > 64 || (i < 2 && factor != 1))
      call.fail("scales dimension " + std::to_string(i) + " by " + std::to_string(factor) +
                "; only whole factors of height and width are supported");
    y[i] = x[i] * static_cast<std::int64_t>(factor);
  }
  return {{y, true, nullptr}};
}
void compute_resize(const Call& /*call*/, Values in, Out out) {
  const Dims& x = in[0]->dims;
  const Dims& y = out[0].dims;
  const std::int64_t fy = y[2] / x[2];
  const std::int64_t fx = y[3] / x[3];
  for (std::int64_t row = 0; row < y[0] * y[1] * y[2]; ++row) {
    const std::int64_t plane = row / y[2];
    const float* from = in[0]->floats().data() + (plane * x[2] + row % y[2] / fy) * x[3];
    float* to = out[0].floats().data() + row * y[3];
    for (std::int64_t i = 0; i < y[3]; ++i) to[i] = from[i / fx];
  }
}

constexpr std::array kOperators{
    Operator{"Sigmoid", 1, 1, infer_unary, compute_sigmoid},
    Operator{"Floor", 1, 1, infer_unary, compute_floor},
    Operator{"Add", 2, 2, infer_binary, compute_add},
    Operator{"Sub", 2, 2, infer_binary, compute_sub},
    Operator{"Mul", 2, 2, infer_binary, compute_mul},
    Operator{"Div", 2, 2, infer_binary, compute_div},
    Operator{"Softmax", 1, 1, infer_softmax, compute_softmax},
    Operator{"MatMul", 2, 2, infer_matmul, compute_matmul},
    Operator{"Conv", 2, 3, infer_conv, compute_conv},
    Operator{"BatchNormalization", 5, 5, infer_batch_norm, compute_batch_norm},
    Operator{"MaxPool", 1, 1, infer_max_pool, compute_max_pool},
    Operator{"Resize", 1, 4, infer_resize, compute_resize},
};

}  // namespace

std::span<const Operator> math_operators() noexcept {
  return kOperators;
}

}  // namespace operators
}  // namespace gantry::graph
