// The dense convolutions against the plain reference: every compiled variant, resident and streaming, over a table of
// shapes from one pixel to ragged tiles.
#include "cuda/conv_problems.hpp"
#include "engine/cuda/kernels/bottleneck.hpp"
#include "engine/cuda/kernels/stem.hpp"

namespace gantry::cuda::test {
namespace {

Guarded<__half> packed(const std::vector<float>& weights, const ConvShape& s, const ConvVariant& variant) {
  return Guarded<__half>(pack_conv_weights(weights.data(), s.cout, s.kernel * s.kernel, s.cin, variant.bn,
                                           variant.group, variant.warpgroup));
}

void run_case(const ConvVariant& variant, const ConvCase& c, bool resident) {
  const OneConv conv(c, variant.kernel, variant.stride);
  const std::string what = describe(variant.name, conv.shape) + (resident ? ", resident" : ", streaming");
  const auto d_weights = packed(conv.weights, conv.shape, variant);
  const Guarded<float> d_bias(padded_bias(conv.bias, variant.bn));
  const ConvArgs args = conv.args(d_weights, d_bias);
  if (!conv_fits(variant, args, resident)) return;
  check(launch_conv(variant, resident, args, launch_shape(c.small), nullptr), what.c_str());
  conv.expect(what);
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
  for (const auto& [kernel, stride] : kConvKinds)
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
  const SeveralSources sources(2, 12, 20, {64, 128, 64}, 64, 11);
  for (const auto& [kernel, stride] : kConvKinds) {
    const auto kind = sources.kind(kernel, stride);
    for (const ConvVariant& variant : conv_variants(kernel, stride)) {
      const auto d_weights = packed(kind.weights, kind.shape, variant);
      const Guarded<float> d_bias(padded_bias(kind.bias, variant.bn));
      const auto launch = [&](const ConvArgs& args) {
        if (!conv_fits(variant, args, false)) return false;
        check(launch_conv(variant, false, args, launch_shape(), nullptr), variant.name);
        return true;
      };
      sources.expect(kind, true, d_weights, d_bias, launch, describe(variant.name, kind.shape));
    }
  }
}

TEST_F(ConvKernel, TailIsThePointwiseBehindIt) {
  for (const int tail : kTails)
    for (const auto& [n, h, w, cin] : kTailCases) {
      if (too_large(n * h * w)) continue;
      const TailConv conv(n, h, w, cin, tail);
      for (const ConvVariant& variant : conv_variants(3, 1)) {
        if (!variant.tail) continue;
        const auto d_weights = packed(conv.weights, conv.shape, variant);
        const Guarded<float> d_bias(conv.bias);
        for (const bool resident : {false, true}) {
          const Guarded<__half> d_out(conv.out_size());
          const ConvArgs args = conv.args(d_weights, d_bias, d_out);
          if (!conv_fits(variant, args, resident)) continue;
          check(launch_conv(variant, resident, args, launch_shape(n == 2), nullptr), variant.name);
          conv.expect(d_out, variant.name);
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
      expect_rows_near(d_out.download(), pitch, 0, cout, conv_ref(shape, in, weights, bias, true), kConvRelative,
                       kConvAbsolute,
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
        expect_rows_near(d_out.download(), out_pitch, 8, c, want, kConvRelative, 2 * kConvAbsolute, what);
        d_out.verify("out");
      }
}

}  // namespace
}  // namespace gantry::cuda::test
