// The dense convolutions against the plain reference: every compiled variant, resident and streaming, over a table of
// shapes from one pixel to ragged tiles.
#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/bottleneck.hpp"
#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/stem.hpp"

namespace gantry::cuda::test {
namespace {

constexpr double kRelative = 1.0 / 512, kAbsolute = 3e-3;

struct ConvCase {
  int n, h, w, cin, cout;
  bool silu, residual;
  int in_gap, out_gap;  // channels before the view in its buffer
  bool small = false;   // few blocks, so that each walks over many tiles
};

void run_case(const ConvVariant& variant, const ConvCase& c, bool resident) {
  const ConvShape shape{c.n, c.h, c.w, c.cin, c.cout, variant.kernel, variant.stride};
  const std::string what = std::string(variant.name) + (resident ? " resident " : " streaming ") + std::to_string(c.n) +
                           "x" + std::to_string(c.h) + "x" + std::to_string(c.w) + "x" + std::to_string(c.cin) + "->" +
                           std::to_string(c.cout);
  Values values(static_cast<std::uint64_t>(c.h * 1000 + c.w * 10 + c.cin));
  const int taps = variant.kernel * variant.kernel;
  const std::size_t in_pixels = static_cast<std::size_t>(c.n) * c.h * c.w;
  const std::size_t out_pixels = static_cast<std::size_t>(c.n) * shape.oh() * shape.ow();
  const auto in = through_half(values.floats(in_pixels * c.cin, -2, 2));
  const auto weights = through_half(values.floats(static_cast<std::size_t>(c.cout) * taps * c.cin,
                                                  -weight_range(taps * c.cin), weight_range(taps * c.cin)));
  const auto bias = values.floats(static_cast<std::size_t>(c.cout), -1, 1);
  const auto residual = through_half(values.floats(out_pixels * c.cout, -2, 2));
  const int in_pitch = c.in_gap + c.cin + 8, out_pitch = c.out_gap + c.cout + 16;
  Guarded<__half> d_in(lay_out(in, c.cin, in_pitch, c.in_gap)), d_out(out_pixels * out_pitch);
  Guarded<__half> d_residual(lay_out(residual, c.cout, c.cout, 0));
  Guarded<__half> d_weights(
      pack_conv_weights(weights.data(), c.cout, taps, c.cin, variant.bn, variant.group, variant.warpgroup));
  Guarded<float> d_bias(padded_bias(bias, variant.bn));
  ConvArgs args;
  args.sources[0] = {d_in.data() + c.in_gap, in_pitch, 0};
  args.n = c.n, args.h = c.h, args.w = c.w, args.cin = c.cin;
  args.oh = shape.oh(), args.ow = shape.ow(), args.cout = c.cout;
  args.out = d_out.data() + c.out_gap, args.out_pitch = out_pitch;
  args.weights = d_weights.data(), args.bias = d_bias.data(), args.silu = c.silu;
  if (c.residual) args.residual = d_residual.data(), args.residual_pitch = c.cout;
  if (!conv_fits(variant, args, resident)) return;
  check(launch_conv(variant, resident, args, launch_shape(c.small), nullptr), what.c_str());
  check(cudaDeviceSynchronize(), what.c_str());
  auto want = conv_ref(shape, in, weights, bias, c.silu);
  if (c.residual)
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += residual[i];
  expect_rows_near(d_out.download(), out_pitch, c.out_gap, c.cout, want, kRelative, kAbsolute, what);
  d_out.verify("out");
}

class ConvKernel : public GpuTest {};

TEST_F(ConvKernel, EveryVariantMatchesTheReferenceOnEveryShape) {
  const ConvCase cases[] = {
      {1, 1, 1, 8, 8, true, false, 0, 0},           {1, 2, 3, 16, 16, false, false, 8, 8},
      {2, 7, 5, 24, 40, true, true, 0, 16},         {1, 20, 20, 64, 64, true, true, 64, 0},
      {3, 13, 21, 32, 80, true, false, 0, 0},       {1, 33, 47, 16, 32, true, false, 16, 0},
      {2, 20, 20, 128, 144, false, true, 0, 32},    {1, 40, 40, 192, 128, true, false, 0, 0},
      {5, 9, 17, 80, 80, false, false, 0, 0},       {2, 40, 40, 64, 64, true, true, 0, 0, true},
      {3, 27, 44, 80, 96, true, false, 8, 0, true},
  };
  for (const auto& [kernel, stride] : {std::pair{1, 1}, std::pair{3, 1}, std::pair{3, 2}})
    for (const ConvVariant& variant : conv_variants(kernel, stride)) {
      if (variant.tail) continue;
      for (const ConvCase& c : cases)
        for (const bool resident : {false, true}) {
          if (too_large(c.n * c.h * c.w)) continue;
          run_case(variant, c, resident);
          if (HasFatalFailure()) return;
        }
    }
}

TEST_F(ConvKernel, ReadsSeveralSourcesAndUpsamples) {
  // Three sources: one at half size, one plain, one plain behind a gap.
  const int n = 2, h = 12, w = 20, c0 = 64, c1 = 128, c2 = 64, cin = c0 + c1 + c2, cout = 64;
  Values values(11);
  const auto small = through_half(values.floats(static_cast<std::size_t>(n) * h / 2 * w / 2 * c0, -2, 2));
  const auto second = through_half(values.floats(static_cast<std::size_t>(n) * h * w * c1, -2, 2));
  const auto third = through_half(values.floats(static_cast<std::size_t>(n) * h * w * c2, -2, 2));
  std::vector<float> in(static_cast<std::size_t>(n) * h * w * cin);
  for (int i = 0; i < n; ++i)
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        const std::size_t pixel = (static_cast<std::size_t>(i) * h + y) * w + x;
        const std::size_t half_pixel = (static_cast<std::size_t>(i) * (h / 2) + y / 2) * (w / 2) + x / 2;
        std::copy_n(&small[half_pixel * c0], c0, &in[pixel * cin]);
        std::copy_n(&second[pixel * c1], c1, &in[pixel * cin + c0]);
        std::copy_n(&third[pixel * c2], c2, &in[pixel * cin + c0 + c1]);
      }
  Guarded<__half> d0(lay_out(small, c0, c0, 0)), d1(lay_out(second, c1, c1, 0)), d2(lay_out(third, c2, c2 + 24, 24));
  for (const auto& [kernel, stride] : {std::pair{1, 1}, std::pair{3, 1}, std::pair{3, 2}}) {
    const ConvShape shape{n, h, w, cin, cout, kernel, stride};
    const int taps = kernel * kernel;
    const float range = weight_range(taps * cin);
    const auto weights = through_half(values.floats(static_cast<std::size_t>(cout) * taps * cin, -range, range));
    const auto bias = values.floats(cout, -1, 1);
    const auto want = conv_ref(shape, in, weights, bias, true);
    for (const ConvVariant& variant : conv_variants(kernel, stride)) {
      Guarded<__half> d_weights(
          pack_conv_weights(weights.data(), cout, taps, cin, variant.bn, variant.group, variant.warpgroup));
      Guarded<float> d_bias(padded_bias(bias, variant.bn));
      Guarded<__half> d_out(want.size()), d_low(want.size() / 2), d_high(want.size() / 2);
      ConvArgs args;
      args.sources[0] = {d0.data(), c0, 1}, args.sources[1] = {d1.data(), c1, 0};
      args.sources[2] = {d2.data() + 24, c2 + 24, 0};
      args.source_begin[1] = c0, args.source_begin[2] = c0 + c1;
      args.n = n, args.h = h, args.w = w, args.cin = cin, args.oh = shape.oh(), args.ow = shape.ow(), args.cout = cout;
      args.out = d_out.data(), args.out_pitch = cout, args.weights = d_weights.data(), args.bias = d_bias.data();
      args.silu = 1;
      if (!conv_fits(variant, args, false)) continue;
      check(launch_conv(variant, false, args, launch_shape(), nullptr), variant.name);
      expect_rows_near(d_out.download(), cout, 0, cout, want, kRelative, kAbsolute, variant.name);
      // The same, its two halves of channels to two places.
      args.out = d_low.data(), args.out_pitch = cout / 2, args.out2 = d_high.data(), args.out2_pitch = cout / 2;
      args.out_split = cout / 2;
      if (!conv_fits(variant, args, false)) continue;
      check(launch_conv(variant, false, args, launch_shape(), nullptr), variant.name);
      std::vector<float> low, high;
      for (std::size_t i = 0; i < want.size(); ++i) (i % cout < cout / 2 ? low : high).push_back(want[i]);
      const std::string name(variant.name);
      expect_rows_near(d_low.download(), cout / 2, 0, cout / 2, low, kRelative, kAbsolute, name + " first half");
      expect_rows_near(d_high.download(), cout / 2, 0, cout / 2, high, kRelative, kAbsolute, name + " second half");
    }
  }
}

TEST_F(ConvKernel, TailIsThePointwiseBehindIt) {
  for (const int tail : {64, 80, 8})
    for (const auto& [n, h, w, cin] : {std::array{1, 1, 1, 8}, std::array{2, 20, 20, 128}, std::array{1, 37, 21, 64}}) {
      if (too_large(n * h * w)) continue;
      const ConvShape shape{n, h, w, cin, 64, 3, 1}, behind{n, h, w, 64, tail, 1, 1};
      Values values(static_cast<std::uint64_t>(h * 7 + tail));
      const float range = weight_range(9 * cin), tail_range = weight_range(64);
      const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * cin, -2, 2));
      const auto weights = through_half(values.floats(static_cast<std::size_t>(64) * 9 * cin, -range, range));
      const auto bias = values.floats(64, -1, 1);
      const auto weights2 = through_half(values.floats(static_cast<std::size_t>(tail) * 64, -tail_range, tail_range));
      const auto bias2 = values.floats(static_cast<std::size_t>(tail), -1, 1);
      const auto want =
          conv_ref(behind, through_half(conv_ref(shape, in, weights, bias, true)), weights2, bias2, false);
      Guarded<__half> d_in(lay_out(in, cin, cin, 0));
      Guarded<__half> d_weights2(pack_conv_weights(weights2.data(), tail, 1, 64, 16, 16));
      Guarded<float> d_bias2(padded_bias(bias2, 16));
      for (const ConvVariant& variant : conv_variants(3, 1)) {
        if (!variant.tail) continue;
        Guarded<__half> d_weights(
            pack_conv_weights(weights.data(), 64, 9, cin, variant.bn, variant.group, variant.warpgroup));
        Guarded<float> d_bias(bias);
        Guarded<__half> d_out(static_cast<std::size_t>(n) * h * w * (tail + 8));
        ConvArgs args;
        args.sources[0] = {d_in.data(), cin, 0};
        args.n = n, args.h = h, args.w = w, args.cin = cin, args.oh = h, args.ow = w, args.cout = 64;
        args.out = d_out.data(), args.out_pitch = tail + 8, args.weights = d_weights.data(), args.bias = d_bias.data();
        args.silu = 1, args.tail_weights = d_weights2.data(), args.tail_bias = d_bias2.data(), args.tail_cout = tail;
        for (const bool resident : {false, true}) {
          if (!conv_fits(variant, args, resident)) continue;
          check(launch_conv(variant, resident, args, launch_shape(n == 2), nullptr), variant.name);
          expect_rows_near(d_out.download(), tail + 8, 0, tail, want, kRelative, 2 * kAbsolute, variant.name);
        }
      }
    }
}

TEST_F(ConvKernel, RefusesWhatItCannotRun) {
  ConvArgs args;
  args.n = args.h = args.w = args.oh = args.ow = 1;
  const ConvVariant& variant = conv_variants(3, 1)[1];
  args.cin = 12, args.cout = 16;
  EXPECT_FALSE(conv_fits(variant, args, false)) << "channels that are no multiple of 8";
  args.cin = 64, args.cout = 20;
  EXPECT_FALSE(conv_fits(variant, args, false)) << "output channels that are no multiple of 8";
  args.cout = 64, args.source_begin[1] = 24;
  EXPECT_FALSE(conv_fits(variant, args, false)) << "a source that begins inside a stage's channels";
  args.source_begin[1] = 1 << 30, args.cin = 4096;
  EXPECT_FALSE(conv_fits(variant, args, true)) << "resident weights beyond shared memory";
  EXPECT_TRUE(conv_variants(5, 1).empty());
}

TEST_F(ConvKernel, StemMatchesTheReference) {
  for (const int cout : {8, 16, 32, 64, 96})
    for (const auto& [n, h, w] :
         {std::array{1, 2, 2}, std::array{2, 34, 50}, std::array{1, 96, 160}, std::array{3, 31, 33}}) {
      const ConvShape shape{n, h, w, 3, cout, 3, 2};
      Values values(static_cast<std::uint64_t>(h + cout));
      const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * 3, 0, 1));
      const auto weights = through_half(values.floats(static_cast<std::size_t>(cout) * 27, -0.5F, 0.5F));
      const auto bias = values.floats(static_cast<std::size_t>(cout), -1, 1);
      auto four = lay_out(in, 3, 4, 0);
      for (std::size_t i = 3; i < four.size(); i += 4)
        four[i] = __float2half(1.0F);  // the fourth channel counts nothing
      Guarded<__half> d_in(four), d_weights(pack_stem_weights(weights.data(), cout));
      Guarded<float> d_bias(padded_bias(bias, 64));
      const int pitch = cout + 8;
      Guarded<__half> d_out(static_cast<std::size_t>(n) * shape.oh() * shape.ow() * pitch);
      StemArgs args;
      args.in = d_in.data(), args.n = n, args.h = h, args.w = w, args.out = d_out.data(), args.oh = shape.oh();
      args.ow = shape.ow(), args.out_pitch = pitch, args.cout = cout, args.weights = d_weights.data();
      args.bias = d_bias.data(), args.silu = 1;
      check(launch_stem(args, launch_shape(n == 2), nullptr), "stem");
      expect_rows_near(d_out.download(), pitch, 0, cout, conv_ref(shape, in, weights, bias, true), kRelative, kAbsolute,
                       "stem " + std::to_string(cout) + " at " + std::to_string(h) + "x" + std::to_string(w));
      d_out.verify("out");
    }
}

TEST_F(ConvKernel, BottleneckIsItsTwoConvolutions) {
  for (const BottleneckVariant& variant : bottleneck_variants())
    for (const auto& [n, h, w] :
         {std::array{1, 1, 1}, std::array{2, 20, 20}, std::array{1, 33, 19}, std::array{2, 9, 40}})
      for (const bool add : {true, false}) {
        if (too_large(n * h * w)) continue;
        const int c = variant.channels, real_mid = variant.mid == 16 ? 8 : variant.mid;
        const ConvShape first{n, h, w, c, real_mid, 3, 1}, second{n, h, w, real_mid, c, 3, 1};
        Values values(static_cast<std::uint64_t>(h + c));
        const float range1 = weight_range(9 * c), range2 = weight_range(9 * real_mid);
        const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * c, -2, 2));
        const auto w1 = through_half(values.floats(static_cast<std::size_t>(real_mid) * 9 * c, -range1, range1));
        const auto w2 = through_half(values.floats(static_cast<std::size_t>(real_mid) * 9 * c, -range2, range2));
        const auto b1 = values.floats(static_cast<std::size_t>(real_mid), -1, 1);
        const auto b2 = values.floats(static_cast<std::size_t>(c), -1, 1);
        auto want = conv_ref(second, through_half(conv_ref(first, in, w1, b1, true)), w2, b2, true);
        if (add)
          for (std::size_t i = 0; i < want.size(); ++i) want[i] += in[i];
        const int in_pitch = 2 * c, out_pitch = c + 16;
        Guarded<__half> d_in(lay_out(in, c, in_pitch, c)), d_out(static_cast<std::size_t>(n) * h * w * out_pitch);
        Guarded<__half> d_w1(
            pack_conv_weights(w1.data(), real_mid, 9, c, variant.mid, variant.group1, variant.warpgroup));
        Guarded<__half> d_w2(pack_conv_weights(w2.data(), c, 9, real_mid, c, variant.group2, variant.warpgroup));
        Guarded<float> d_b1(padded_bias(b1, 16)), d_b2(b2);
        BottleneckArgs args;
        args.in = d_in.data() + c, args.in_pitch = in_pitch, args.out = d_out.data() + 8, args.out_pitch = out_pitch;
        args.n = n, args.h = h, args.w = w, args.add = add, args.weights1 = d_w1.data(), args.weights2 = d_w2.data();
        args.bias1 = d_b1.data(), args.bias2 = d_b2.data();
        const std::string what =
            std::string("bottleneck ") + variant.name + " " + std::to_string(h) + "x" + std::to_string(w);
        check(launch_bottleneck(variant, args, launch_shape(n == 2), nullptr), what.c_str());
        expect_rows_near(d_out.download(), out_pitch, 8, c, want, kRelative, 2 * kAbsolute, what);
        d_out.verify("out");
      }
}

}  // namespace
}  // namespace gantry::cuda::test
