#pragma once
// Convolutions that both families of kernels are held to: operands on the card, the arguments of a launch, and what the
// plain reference makes of them. Weights and bias are packed by the tests, as their kernels read them.
#include <functional>
#include <utility>

#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/conv.hpp"

namespace gantry::cuda::test {

inline constexpr double kConvRelative = 1.0 / 512, kConvAbsolute = 3e-3;
/// Kernel side and stride of what is compiled.
inline constexpr std::pair<int, int> kConvKinds[] = {{1, 1}, {3, 1}, {3, 2}};

struct ConvCase {
  int n, h, w, cin, cout;
  bool silu, residual;
  int in_gap, out_gap;  // channels before the view in its buffer
  bool small = false;   // few blocks, so that each walks over many tiles
};

inline std::string describe(const char* variant, const ConvShape& s) {
  return std::string(variant) + " " + std::to_string(s.kernel) + "s" + std::to_string(s.stride) + " " +
         std::to_string(s.n) + "x" + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" + std::to_string(s.cin) +
         "->" + std::to_string(s.cout);
}

/// As FP16 holds them.
inline std::vector<float> draw_map(Values& values, int n, int h, int w, int channels) {
  return through_half(values.floats(static_cast<std::size_t>(n) * h * w * channels, -2, 2));
}
inline std::vector<float> draw_weights(Values& values, const ConvShape& s) {
  const int taps = s.kernel * s.kernel;
  const float range = weight_range(taps * s.cin);
  return through_half(values.floats(static_cast<std::size_t>(s.cout) * taps * s.cin, -range, range));
}
inline std::vector<float> draw_bias(Values& values, const ConvShape& s) {
  return values.floats(static_cast<std::size_t>(s.cout), -1, 1);
}

/// Sizes and flags of a launch; where its operands lie is the caller's to say.
inline ConvArgs conv_args(const ConvShape& s, bool silu) {
  ConvArgs args;
  args.n = s.n, args.h = s.h, args.w = s.w, args.cin = s.cin;
  args.oh = s.oh(), args.ow = s.ow(), args.cout = s.cout, args.silu = silu;
  return args;
}

/// One convolution between views of larger buffers.
class OneConv {
 public:
  OneConv(const ConvCase& c, int kernel, int stride) : OneConv(c, kernel, stride, Values(seed_of(c))) {}

  const ConvShape shape;
  const std::vector<float> weights, bias;

  [[nodiscard]] ConvArgs args(const Guarded<__half>& packed_weights, const Guarded<float>& packed_bias) const {
    ConvArgs args = conv_args(shape, case_.silu);
    args.sources[0] = {d_in_.data() + case_.in_gap, in_pitch(), 0};
    args.out = d_out_.data() + case_.out_gap, args.out_pitch = out_pitch();
    args.weights = packed_weights.data(), args.bias = packed_bias.data();
    if (case_.residual) args.residual = d_residual_.data(), args.residual_pitch = shape.cout;
    return args;
  }
  /// After the launch.
  void expect(const std::string& what) const {
    check(cudaDeviceSynchronize(), what.c_str());
    auto want = conv_ref(shape, in_, weights, bias, case_.silu);
    if (case_.residual)
      for (std::size_t i = 0; i < want.size(); ++i) want[i] += residual_[i];
    expect_rows_near(d_out_.download(), out_pitch(), case_.out_gap, shape.cout, want, kConvRelative, kConvAbsolute,
                     what);
    d_out_.verify("out");
  }

 private:
  OneConv(const ConvCase& c, int kernel, int stride, Values values)
      : shape{c.n, c.h, c.w, c.cin, c.cout, kernel, stride},
        weights(draw_weights(values, shape)),
        bias(draw_bias(values, shape)),
        case_(c),
        in_(draw_map(values, c.n, c.h, c.w, c.cin)),
        residual_(draw_map(values, c.n, shape.oh(), shape.ow(), c.cout)),
        d_in_(lay_out(in_, c.cin, in_pitch(), c.in_gap)),
        d_residual_(lay_out(residual_, c.cout, c.cout, 0)),
        d_out_(static_cast<std::size_t>(c.n) * shape.oh() * shape.ow() * out_pitch()) {}
  static std::uint64_t seed_of(const ConvCase& c) { return static_cast<std::uint64_t>(c.h * 1000 + c.w * 10 + c.cin); }
  [[nodiscard]] int in_pitch() const { return case_.in_gap + case_.cin + 8; }
  [[nodiscard]] int out_pitch() const { return case_.out_gap + case_.cout + 16; }

  const ConvCase case_;
  const std::vector<float> in_, residual_;
  const Guarded<__half> d_in_, d_residual_, d_out_;
};

/// A convolution of three sources: one of half the size, a plain one, and one behind a gap.
class SeveralSources {
 public:
  static constexpr int kGap = 24;

  SeveralSources(int n, int h, int w, std::array<int, 3> channels, int cout, std::uint64_t seed)
      : SeveralSources(n, h, w, channels, cout, Values(seed)) {}

  /// What one kind of it reads and gives.
  struct Kind {
    ConvShape shape;
    std::vector<float> weights, bias, want;
  };
  [[nodiscard]] Kind kind(int kernel, int stride) const {
    const ConvShape shape{n_, h_, w_, c_[0] + c_[1] + c_[2], cout_, kernel, stride};
    Values values(static_cast<std::uint64_t>(kernel * 10 + stride));
    Kind kind{shape, draw_weights(values, shape), draw_bias(values, shape), {}};
    kind.want = conv_ref(shape, joined_, kind.weights, kind.bias, true);
    return kind;
  }
  /// Runs it into one place, then its two halves of channels into two.
  /// @param upsample the kernel enlarges the first source; otherwise it gets one that has been enlarged
  /// @param launch false where the variant can't run that
  void expect(const Kind& kind, bool upsample, const Guarded<__half>& packed_weights, const Guarded<float>& packed_bias,
              const std::function<bool(const ConvArgs&)>& launch, const std::string& name) const {
    const int half = cout_ / 2;
    const Guarded<__half> out(kind.want.size()), low(kind.want.size() / 2), high(kind.want.size() / 2);
    ConvArgs args = conv_args(kind.shape, true);
    args.sources[0] = {upsample ? d_half_.data() : d_wide_.data(), c_[0], upsample ? 1 : 0};
    args.sources[1] = {d_second_.data(), c_[1], 0};
    args.sources[2] = {d_third_.data() + kGap, c_[2] + kGap, 0};
    args.source_begin[1] = c_[0], args.source_begin[2] = c_[0] + c_[1];
    args.weights = packed_weights.data(), args.bias = packed_bias.data();
    args.out = out.data(), args.out_pitch = cout_;
    if (!launch(args)) return;
    expect_rows_near(out.download(), cout_, 0, cout_, kind.want, kConvRelative, kConvAbsolute, name);
    args.out = low.data(), args.out_pitch = half, args.out2 = high.data(), args.out2_pitch = half;
    args.out_split = half;
    if (!launch(args)) return;
    std::vector<float> want_low, want_high;
    for (std::size_t i = 0; i < kind.want.size(); ++i)
      (static_cast<int>(i % static_cast<std::size_t>(cout_)) < half ? want_low : want_high).push_back(kind.want[i]);
    expect_rows_near(low.download(), half, 0, half, want_low, kConvRelative, kConvAbsolute, name + " first half");
    expect_rows_near(high.download(), half, 0, half, want_high, kConvRelative, kConvAbsolute, name + " second half");
  }

 private:
  SeveralSources(int n, int h, int w, std::array<int, 3> channels, int cout, Values values)
      : n_(n),
        h_(h),
        w_(w),
        cout_(cout),
        c_(channels),
        half_(draw_map(values, n, h / 2, w / 2, c_[0])),
        wide_(enlarged(half_, n, h, w, c_[0])),
        second_(draw_map(values, n, h, w, c_[1])),
        third_(draw_map(values, n, h, w, c_[2])),
        joined_(join(static_cast<std::size_t>(n) * h * w)),
        d_half_(lay_out(half_, c_[0], c_[0], 0)),
        d_wide_(lay_out(wide_, c_[0], c_[0], 0)),
        d_second_(lay_out(second_, c_[1], c_[1], 0)),
        d_third_(lay_out(third_, c_[2], c_[2] + kGap, kGap)) {}

  static std::vector<float> enlarged(const std::vector<float>& half, int n, int h, int w, int channels) {
    std::vector<float> wide(half.size() * 4);
    for (int i = 0; i < n; ++i)
      for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
          const std::size_t to = (static_cast<std::size_t>(i) * h + y) * w + x;
          const std::size_t from = (static_cast<std::size_t>(i) * (h / 2) + y / 2) * (w / 2) + x / 2;
          std::copy_n(&half[from * channels], channels, &wide[to * channels]);
        }
    return wide;
  }
  [[nodiscard]] std::vector<float> join(std::size_t pixels) const {
    const auto cin = static_cast<std::size_t>(c_[0] + c_[1] + c_[2]);
    std::vector<float> all(pixels * cin);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
      float* to = &all[pixel * cin];
      to = std::copy_n(&wide_[pixel * c_[0]], c_[0], to);
      to = std::copy_n(&second_[pixel * c_[1]], c_[1], to);
      std::copy_n(&third_[pixel * c_[2]], c_[2], to);
    }
    return all;
  }

  const int n_, h_, w_, cout_;
  const std::array<int, 3> c_;
  const std::vector<float> half_, wide_, second_, third_, joined_;
  const Guarded<__half> d_half_, d_wide_, d_second_, d_third_;
};

/// A 3×3 convolution to 64 channels and the pointwise behind it, in one kernel.
class TailConv {
 public:
  static constexpr int kMiddle = 64;

  TailConv(int n, int h, int w, int cin, int tail)
      : TailConv(n, h, w, cin, tail, Values(static_cast<std::uint64_t>(h * 7 + tail))) {}

  const ConvShape shape, behind;
  const std::vector<float> weights, bias;

  [[nodiscard]] int out_pitch() const { return behind.cout + 8; }
  [[nodiscard]] std::size_t out_size() const {
    return static_cast<std::size_t>(shape.n) * shape.h * shape.w * out_pitch();
  }
  [[nodiscard]] ConvArgs args(const Guarded<__half>& packed_weights, const Guarded<float>& packed_bias,
                              const Guarded<__half>& out) const {
    ConvArgs args = conv_args(shape, true);
    args.sources[0] = {d_in_.data(), shape.cin, 0};
    args.out = out.data(), args.out_pitch = out_pitch();
    args.weights = packed_weights.data(), args.bias = packed_bias.data();
    args.tail_weights = d_tail_weights_.data(), args.tail_bias = d_tail_bias_.data(), args.tail_cout = behind.cout;
    return args;
  }
  void expect(const Guarded<__half>& out, const std::string& what) const {
    expect_rows_near(out.download(), out_pitch(), 0, behind.cout, want_, kConvRelative, 2 * kConvAbsolute, what);
    out.verify("out");
  }

 private:
  TailConv(int n, int h, int w, int cin, int tail, Values values)
      : shape{n, h, w, cin, kMiddle, 3, 1},
        behind{n, h, w, kMiddle, tail, 1, 1},
        weights(draw_weights(values, shape)),
        bias(draw_bias(values, shape)),
        in_(draw_map(values, n, h, w, cin)),
        tail_weights_(draw_weights(values, behind)),
        tail_bias_(draw_bias(values, behind)),
        want_(conv_ref(behind, through_half(conv_ref(shape, in_, weights, bias, true)), tail_weights_, tail_bias_,
                       false)),
        d_in_(lay_out(in_, cin, cin, 0)),
        d_tail_weights_(pack_conv_weights(tail_weights_.data(), tail, 1, kMiddle, 16, 16)),
        d_tail_bias_(padded_bias(tail_bias_, 16)) {}

  const std::vector<float> in_, tail_weights_, tail_bias_, want_;
  const Guarded<__half> d_in_, d_tail_weights_;
  const Guarded<float> d_tail_bias_;
};
/// Batch, height, width, input channels.
inline constexpr std::array<int, 4> kTailCases[] = {{1, 1, 1, 8}, {2, 20, 20, 128}, {1, 37, 21, 64}};
inline constexpr int kTails[] = {64, 80, 8};

}  // namespace gantry::cuda::test
