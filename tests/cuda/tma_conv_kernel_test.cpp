// The convolutions fed by bulk tensor copies against the plain reference: every compiled variant over a table of shapes
// from one pixel to ragged units, several sources, upsampling, two outputs; and what the packing and the host refuse.
#include "cuda/conv_problems.hpp"
#include "engine/cuda/kernels/tma_conv.hpp"

namespace gantry::cuda::test {
namespace {

class TmaConvKernel : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    int major = 0, minor = 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    if (major != 9 || minor != 0) GTEST_SKIP() << "needs a GPU of compute capability 9.0";
  }
};

Guarded<__half> packed(const std::vector<float>& weights, const ConvShape& s, const TmaConvVariant& variant) {
  return Guarded<__half>(pack_tma_weights(weights.data(), s.cout, s.kernel, s.cin, variant.bn, variant.ck));
}

void run_case(const TmaConvVariant& variant, const ConvCase& c) {
  const OneConv conv(c, variant.kernel, variant.stride);
  const std::string what = describe(variant.name, conv.shape);
  const auto d_weights = packed(conv.weights, conv.shape, variant);
  const Guarded<float> d_bias(padded_bias(conv.bias, variant.bn));
  const ConvArgs args = conv.args(d_weights, d_bias);
  if (!tma_conv_fits(variant, args)) {
    EXPECT_TRUE(variant.stride == 2 && c.w % 2 != 0) << what << " ought to run";
    return;
  }
  check(launch_tma_conv(variant, args, launch_shape(c.small), nullptr), what.c_str());
  conv.expect(what);
}

TEST_F(TmaConvKernel, EveryVariantMatchesTheReferenceOnEveryShape) {
  const ConvCase cases[] = {
      {1, 1, 2, 8, 8, true, false, 0, 0},           {1, 2, 3, 16, 16, false, false, 8, 8},
      {2, 7, 6, 24, 40, true, true, 0, 16},         {1, 20, 20, 64, 64, true, true, 64, 0},
      {3, 13, 22, 32, 80, true, false, 0, 0},       {1, 33, 48, 96, 32, true, false, 16, 0},
      {2, 20, 20, 128, 144, false, true, 0, 32},    {1, 40, 40, 192, 128, true, false, 0, 0},
      {2, 16, 16, 512, 256, false, false, 0, 0},    {2, 40, 40, 64, 64, true, true, 0, 0, true},
      {3, 28, 44, 80, 96, true, false, 8, 0, true}, {2, 20, 20, 448, 288, true, true, 0, 8, true},
  };
  for (const auto& [kernel, stride] : kConvKinds)
    for (const TmaConvVariant& variant : tma_conv_variants(kernel, stride)) {
      if (variant.tail) continue;
      for (const ConvCase& c : cases) {
        if (too_large(c.n * c.h * c.w)) continue;
        run_case(variant, c);
        if (HasFatalFailure()) return;
      }
    }
}

TEST_F(TmaConvKernel, ReadsSeveralSourcesAndUpsamples) {
  // The third source's channels end inside a slab.
  for (const auto& [n, h, w] : {std::array{2, 12, 20}, std::array{1, 2, 2}, std::array{3, 26, 38}}) {
    if (too_large(n * h * w)) continue;
    const SeveralSources sources(n, h, w, {128, 64, 40}, 128, static_cast<std::uint64_t>(11 + h));
    for (const auto& [kernel, stride] : kConvKinds) {
      const auto kind = sources.kind(kernel, stride);
      for (const TmaConvVariant& variant : tma_conv_variants(kernel, stride)) {
        if (variant.tail) continue;
        const auto d_weights = packed(kind.weights, kind.shape, variant);
        const Guarded<float> d_bias(padded_bias(kind.bias, variant.bn));
        const std::string name = describe(variant.name, kind.shape);
        const auto launch = [&, few_blocks = h == 26](const ConvArgs& args) {
          EXPECT_TRUE(tma_conv_fits(variant, args)) << name;
          check(launch_tma_conv(variant, args, launch_shape(few_blocks), nullptr), name.c_str());
          return !HasFailure();
        };
        sources.expect(kind, kernel == 1, d_weights, d_bias, launch, name);  // only 1×1 enlarges
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(TmaConvKernel, TailIsThePointwiseBehindIt) {
  for (const int tail : kTails)
    for (const auto& [n, h, w, cin] : kTailCases) {
      if (too_large(n * h * w)) continue;
      const TailConv conv(n, h, w, cin, tail);
      int run = 0;
      for (const TmaConvVariant& variant : tma_conv_variants(3, 1)) {
        if (!variant.tail) continue;
        const auto d_weights = packed(conv.weights, conv.shape, variant);
        const Guarded<float> d_bias(conv.bias);
        const Guarded<__half> d_out(conv.out_size());
        const ConvArgs args = conv.args(d_weights, d_bias, d_out);
        ASSERT_TRUE(tma_conv_fits(variant, args)) << variant.name;
        check(launch_tma_conv(variant, args, launch_shape(n == 2), nullptr), variant.name);
        conv.expect(d_out, variant.name);
        ++run;
      }
      EXPECT_GT(run, 0);
    }
}

TEST_F(TmaConvKernel, RepeatsBitForBitAndDoesNotDependOnTheBatch) {
  const int n = 3, h = 20, w = 20, cin = 128, cout = 128;
  Values values(5);
  const auto one = values.halves(static_cast<std::size_t>(h) * w * cin, -2, 2);
  std::vector<__half> in;
  for (int i = 0; i < n; ++i) in.insert(in.end(), one.begin(), one.end());
  const Guarded<__half> d_in(in);
  for (const auto& [kernel, stride] : kConvKinds) {
    const float range = weight_range(kernel * kernel * cin);
    const auto weights = values.floats(static_cast<std::size_t>(cout) * kernel * kernel * cin, -range, range);
    for (const TmaConvVariant& variant : tma_conv_variants(kernel, stride)) {
      if (variant.tail) continue;
      const Guarded<__half> d_weights(pack_tma_weights(weights.data(), cout, kernel, cin, variant.bn, variant.ck));
      const Guarded<float> d_bias(std::vector<float>(static_cast<std::size_t>(round_up(cout, variant.bn)), 0.5F));
      const std::size_t image = static_cast<std::size_t>(h / stride) * (w / stride) * cout;
      std::vector<std::vector<__half>> runs;
      for (int run = 0; run < 2; ++run) {
        const Guarded<__half> d_out(image * n);
        ConvArgs args;
        args.sources[0] = {d_in.data(), cin, 0};
        args.n = n, args.h = h, args.w = w, args.cin = cin, args.oh = h / stride, args.ow = w / stride;
        args.cout = cout, args.out = d_out.data(), args.out_pitch = cout;
        args.weights = d_weights.data(), args.bias = d_bias.data(), args.silu = 1;
        check(launch_tma_conv(variant, args, launch_shape(run == 1), nullptr), variant.name);
        runs.push_back(d_out.download());
      }
      const auto same = [&](const __half* a, const __half* b) {
        return std::memcmp(a, b, image * sizeof(__half)) == 0;
      };
      EXPECT_TRUE(same(runs[0].data(), runs[0].data() + image)) << variant.name << ": the second image differs";
      EXPECT_TRUE(same(runs[0].data(), runs[0].data() + 2 * image)) << variant.name << ": the third image differs";
      for (int i = 0; i < n; ++i)
        EXPECT_TRUE(same(runs[0].data() + i * image, runs[1].data() + i * image)) << variant.name << ": runs differ";
    }
  }
}

// --- without a GPU
// ----------------------------------------------------------------------------------------------------

TEST(TmaConv, PacksEveryWeightOnceInTheOrderThatItIsRead) {
  // Weights count up, so that each element's place can be told from its value.
  for (const auto& [kernel, bn, ck] : {std::array{1, 64, 64}, std::array{3, 64, 32}, std::array{3, 128, 64}}) {
    const int cout = bn == 128 ? 40 : 72, cin = ck + 8, taps = kernel * kernel;
    std::vector<float> weights(static_cast<std::size_t>(cout) * taps * cin);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 2039 + 1);
    const auto packed = pack_tma_weights(weights.data(), cout, kernel, cin, bn, ck);
    const int columns = round_up(cout, bn), chunks = 2;
    ASSERT_EQ(packed.size(), static_cast<std::size_t>(columns) * chunks * taps * ck);
    std::size_t zeros = 0;
    for (const __half v : packed) zeros += __half2float(v) == 0.0F;
    EXPECT_EQ(packed.size() - zeros, weights.size()) << "every weight has one place, the rest is zero";
    // Output channel 13 lies in row 19 of its block: group 0, tile 13 % 8 / 2 = 2, column 13 / 8 * 2 + 13 % 2 = 3.
    const int channel = 13, row = 2 * 8 + 3, c = ck + 5, tap_y = kernel / 2, tap_x = kernel - 1;
    const std::size_t step = (static_cast<std::size_t>(1) * kernel + tap_x) * kernel + tap_y;
    const int unit = (5 / 8) ^ (ck == 64 ? row % 8 : row / 2 % 4);
    EXPECT_EQ(__half2float(packed[step * bn * ck + static_cast<std::size_t>(row * ck + unit * 8 + 5)]),
              __half2float(__float2half(
                  weights[(static_cast<std::size_t>(channel) * taps + tap_y * kernel + tap_x) * cin + c])));
  }
}

TEST(TmaConv, RefusesWhatItCannotRun) {
  const TmaConvVariant& pointwise = tma_conv_variants(1, 1)[0];
  const TmaConvVariant& square = tma_conv_variants(3, 1)[0];
  const TmaConvVariant& halving = tma_conv_variants(3, 2)[0];
  ConvArgs args;
  args.n = 1, args.h = args.w = args.oh = args.ow = 8, args.cin = args.cout = 128;
  ASSERT_TRUE(tma_conv_fits(pointwise, args) && tma_conv_fits(square, args) && tma_conv_fits(halving, args));
  const auto with = [&](auto&& change) {
    ConvArgs changed = args;
    change(changed);
    return changed;
  };
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.cin = 12; })));
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.cout = 20; })));
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.source_begin[1] = 24; }))) << "inside a slab";
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.out_split = 40; }))) << "inside a group of channels";
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.tail_cout = 64; }))) << "it has no tail";
  EXPECT_TRUE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.sources[0].upsample = 1; })));
  EXPECT_FALSE(tma_conv_fits(square, with([](ConvArgs& a) { a.sources[0].upsample = 1; })));
  EXPECT_FALSE(tma_conv_fits(pointwise, with([](ConvArgs& a) { a.sources[0].upsample = 1, a.w = 7; })));
  EXPECT_FALSE(tma_conv_fits(halving, with([](ConvArgs& a) { a.w = 7; }))) << "columns come in pairs";
  EXPECT_TRUE(tma_conv_variants(5, 1).empty());
}

}  // namespace
}  // namespace gantry::cuda::test
