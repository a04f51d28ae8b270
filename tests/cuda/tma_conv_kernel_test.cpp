// The convolutions fed by bulk tensor copies against the plain reference: every compiled variant over a table of shapes
// from one pixel to ragged units, several sources, upsampling, two outputs; and what the packing and the host refuse.
#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/tma_conv.hpp"

namespace gantry::cuda::test {
namespace {

constexpr double kRelative = 1.0 / 512, kAbsolute = 3e-3;
constexpr std::pair<int, int> kKinds[] = {{1, 1}, {3, 1}, {3, 2}};

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

struct ConvCase {
  int n, h, w, cin, cout;
  bool silu, residual;
  int in_gap, out_gap;  // channels before the view in its buffer
  bool small = false;   // few blocks, so that each walks over many tiles
};

void run_case(const TmaConvVariant& variant, const ConvCase& c) {
  const ConvShape shape{c.n, c.h, c.w, c.cin, c.cout, variant.kernel, variant.stride};
  const std::string what = std::string(variant.name) + " " + std::to_string(variant.kernel) + "s" +
                           std::to_string(variant.stride) + " " + std::to_string(c.n) + "x" + std::to_string(c.h) +
                           "x" + std::to_string(c.w) + "x" + std::to_string(c.cin) + "->" + std::to_string(c.cout);
  Values values(static_cast<std::uint64_t>(c.h * 1000 + c.w * 10 + c.cin));
  const int taps = variant.kernel * variant.kernel;
  const float range = weight_range(taps * c.cin);
  const std::size_t in_pixels = static_cast<std::size_t>(c.n) * c.h * c.w;
  const std::size_t out_pixels = static_cast<std::size_t>(c.n) * shape.oh() * shape.ow();
  const auto in = through_half(values.floats(in_pixels * c.cin, -2, 2));
  const auto weights = through_half(values.floats(static_cast<std::size_t>(c.cout) * taps * c.cin, -range, range));
  const auto bias = values.floats(static_cast<std::size_t>(c.cout), -1, 1);
  const auto residual = through_half(values.floats(out_pixels * c.cout, -2, 2));
  const int in_pitch = c.in_gap + c.cin + 8, out_pitch = c.out_gap + c.cout + 16;
  Guarded<__half> d_in(lay_out(in, c.cin, in_pitch, c.in_gap)), d_out(out_pixels * out_pitch);
  Guarded<__half> d_residual(lay_out(residual, c.cout, c.cout, 0));
  Guarded<__half> d_weights(pack_tma_weights(weights.data(), c.cout, variant.kernel, c.cin, variant.bn, variant.ck));
  Guarded<float> d_bias(padded_bias(bias, variant.bn));
  ConvArgs args;
  args.sources[0] = {d_in.data() + c.in_gap, in_pitch, 0};
  args.n = c.n, args.h = c.h, args.w = c.w, args.cin = c.cin;
  args.oh = shape.oh(), args.ow = shape.ow(), args.cout = c.cout;
  args.out = d_out.data() + c.out_gap, args.out_pitch = out_pitch;
  args.weights = d_weights.data(), args.bias = d_bias.data(), args.silu = c.silu;
  if (c.residual) args.residual = d_residual.data(), args.residual_pitch = c.cout;
  if (!tma_conv_fits(variant, args)) {
    EXPECT_TRUE(variant.stride == 2 && c.w % 2 != 0) << what << " ought to run";
    return;
  }
  check(launch_tma_conv(variant, args, launch_shape(c.small), nullptr), what.c_str());
  check(cudaDeviceSynchronize(), what.c_str());
  auto want = conv_ref(shape, in, weights, bias, c.silu);
  if (c.residual)
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += residual[i];
  expect_rows_near(d_out.download(), out_pitch, c.out_gap, c.cout, want, kRelative, kAbsolute, what);
  d_out.verify("out");
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
  for (const auto& [kernel, stride] : kKinds)
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
  // A half-size source (1×1 only), a plain one, and one behind a gap whose channels end inside a slab.
  for (const auto& [n, h, w] : {std::array{2, 12, 20}, std::array{1, 2, 2}, std::array{3, 26, 38}}) {
    if (too_large(n * h * w)) continue;
    const int c0 = 128, c1 = 64, c2 = 40, cin = c0 + c1 + c2, cout = 128;
    Values values(static_cast<std::uint64_t>(11 + h));
    const std::size_t pixels = static_cast<std::size_t>(n) * h * w;
    const auto half_size = through_half(values.floats(pixels / 4 * c0, -2, 2));
    const auto second = through_half(values.floats(pixels * c1, -2, 2));
    const auto third = through_half(values.floats(pixels * c2, -2, 2));
    std::vector<float> in(pixels * cin), wide(pixels * c0);
    for (int i = 0; i < n; ++i)
      for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
          const std::size_t pixel = (static_cast<std::size_t>(i) * h + y) * w + x;
          const std::size_t half_pixel = (static_cast<std::size_t>(i) * (h / 2) + y / 2) * (w / 2) + x / 2;
          std::copy_n(&half_size[half_pixel * c0], c0, &in[pixel * cin]);
          std::copy_n(&half_size[half_pixel * c0], c0, &wide[pixel * c0]);
          std::copy_n(&second[pixel * c1], c1, &in[pixel * cin + c0]);
          std::copy_n(&third[pixel * c2], c2, &in[pixel * cin + c0 + c1]);
        }
    Guarded<__half> d_half(lay_out(half_size, c0, c0, 0)), d_wide(lay_out(wide, c0, c0, 0));
    Guarded<__half> d1(lay_out(second, c1, c1, 0)), d2(lay_out(third, c2, c2 + 24, 24));
    for (const auto& [kernel, stride] : kKinds) {
      const ConvShape shape{n, h, w, cin, cout, kernel, stride};
      const int taps = kernel * kernel;
      const float range = weight_range(taps * cin);
      const auto weights = through_half(values.floats(static_cast<std::size_t>(cout) * taps * cin, -range, range));
      const auto bias = values.floats(cout, -1, 1);
      const auto want = conv_ref(shape, in, weights, bias, true);
      for (const TmaConvVariant& variant : tma_conv_variants(kernel, stride)) {
        if (variant.tail) continue;
        Guarded<__half> d_weights(pack_tma_weights(weights.data(), cout, kernel, cin, variant.bn, variant.ck));
        Guarded<float> d_bias(padded_bias(bias, variant.bn));
        Guarded<__half> d_out(want.size()), d_low(want.size() / 2), d_high(want.size() / 2);
        const std::string name = std::string(variant.name) + " " + std::to_string(h) + "x" + std::to_string(w);
        ConvArgs args;
        args.sources[0] = {kernel == 1 ? d_half.data() : d_wide.data(), c0, kernel == 1 ? 1 : 0};
        args.sources[1] = {d1.data(), c1, 0}, args.sources[2] = {d2.data() + 24, c2 + 24, 0};
        args.source_begin[1] = c0, args.source_begin[2] = c0 + c1;
        args.n = n, args.h = h, args.w = w, args.cin = cin, args.oh = shape.oh(), args.ow = shape.ow();
        args.cout = cout, args.out = d_out.data(), args.out_pitch = cout;
        args.weights = d_weights.data(), args.bias = d_bias.data(), args.silu = 1;
        ASSERT_TRUE(tma_conv_fits(variant, args)) << name;
        check(launch_tma_conv(variant, args, launch_shape(h == 26), nullptr), name.c_str());
        expect_rows_near(d_out.download(), cout, 0, cout, want, kRelative, kAbsolute, name);
        // The same, its two halves of channels to two places.
        args.out = d_low.data(), args.out_pitch = cout / 2, args.out2 = d_high.data(), args.out2_pitch = cout / 2;
        args.out_split = cout / 2;
        check(launch_tma_conv(variant, args, launch_shape(), nullptr), name.c_str());
        std::vector<float> low, high;
        for (std::size_t i = 0; i < want.size(); ++i) (i % cout < cout / 2 ? low : high).push_back(want[i]);
        expect_rows_near(d_low.download(), cout / 2, 0, cout / 2, low, kRelative, kAbsolute, name + " first half");
        expect_rows_near(d_high.download(), cout / 2, 0, cout / 2, high, kRelative, kAbsolute, name + " second half");
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(TmaConvKernel, TailIsThePointwiseBehindIt) {
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
      int run = 0;
      for (const TmaConvVariant& variant : tma_conv_variants(3, 1)) {
        if (!variant.tail) continue;
        Guarded<__half> d_weights(pack_tma_weights(weights.data(), 64, 3, cin, variant.bn, variant.ck));
        Guarded<float> d_bias(bias);
        Guarded<__half> d_out(static_cast<std::size_t>(n) * h * w * (tail + 8));
        ConvArgs args;
        args.sources[0] = {d_in.data(), cin, 0};
        args.n = n, args.h = h, args.w = w, args.cin = cin, args.oh = h, args.ow = w, args.cout = 64;
        args.out = d_out.data(), args.out_pitch = tail + 8, args.weights = d_weights.data(), args.bias = d_bias.data();
        args.silu = 1, args.tail_weights = d_weights2.data(), args.tail_bias = d_bias2.data(), args.tail_cout = tail;
        ASSERT_TRUE(tma_conv_fits(variant, args)) << variant.name;
        check(launch_tma_conv(variant, args, launch_shape(n == 2), nullptr), variant.name);
        expect_rows_near(d_out.download(), tail + 8, 0, tail, want, kRelative, 2 * kAbsolute, variant.name);
        d_out.verify("out");
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
  for (const auto& [kernel, stride] : kKinds) {
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
