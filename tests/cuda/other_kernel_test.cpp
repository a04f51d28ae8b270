// Depthwise, pools, attention and plain kernels against plain references.
#include <array>
#include <memory>

#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/attention.hpp"
#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/kernels/depthwise_pointwise.hpp"
#include "engine/cuda/kernels/plain.hpp"
#include "engine/cuda/kernels/pool.hpp"

namespace gantry::cuda::test {
namespace {

class OtherKernel : public GpuTest {};

std::vector<float> padded(std::vector<float> values, int multiple) {
  values.resize(static_cast<std::size_t>(round_up(static_cast<int>(values.size()), multiple)), 0.0F);
  return values;
}

TEST_F(OtherKernel, DepthwisePointwiseIsItsConvolutions) {
  for (const DepthwisePointwiseVariant& variant : depthwise_pointwise_variants())
    for (const auto& [n, h, w, cin] :
         {std::array{1, 1, 1, 8}, std::array{2, 20, 20, 80}, std::array{1, 37, 21, 64}, std::array{1, 9, 40, 256}})
      for (const int tail : {0, 80, 8}) {
        if (too_large(n * h * w)) continue;
        const int cout = variant.bn;
        const ConvShape dw{n, h, w, cin, cin, 3, 1}, pw{n, h, w, cin, cout, 1, 1}, behind{n, h, w, cout, tail, 1, 1};
        Values values(static_cast<std::uint64_t>(h + cin + tail));
        const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * cin, -2, 2));
        const auto w1 = through_half(values.floats(static_cast<std::size_t>(cin) * 9, -0.6F, 0.6F));
        const auto b1 = values.floats(static_cast<std::size_t>(cin), -1, 1);
        const float range = 1.7F / std::sqrt(static_cast<float>(cin)),
                    range2 = 1.7F / std::sqrt(static_cast<float>(cout));
        const auto w2 = through_half(values.floats(static_cast<std::size_t>(cout) * cin, -range, range));
        const auto b2 = values.floats(static_cast<std::size_t>(cout), -1, 1);
        auto want = conv_ref(pw, through_half(conv_ref(dw, in, w1, b1, true, true)), w2, b2, true);
        const int result = tail > 0 ? tail : cout;
        std::vector<float> w3(static_cast<std::size_t>(std::max(tail, 1)) * cout),
            b3(static_cast<std::size_t>(std::max(tail, 1)));
        if (tail > 0) {
          w3 = through_half(values.floats(w3.size(), -range2, range2));
          b3 = values.floats(b3.size(), -1, 1);
          want = conv_ref(behind, through_half(want), w3, b3, false);
        }
        const int wide = round_up(cin, 32);
        std::vector<__half> taps(static_cast<std::size_t>(9) * wide, __half(0.0F));
        for (int c = 0; c < cin; ++c)
          for (int t = 0; t < 9; ++t)
            taps[static_cast<std::size_t>(t * wide + c)] = __float2half(w1[static_cast<std::size_t>(c * 9 + t)]);
        Guarded<__half> d_in(lay_out(in, cin, cin + 8, 0)), d_taps(taps);
        Guarded<float> d_b1(padded(b1, 32)), d_b2(b2), d_b3(padded(b3, 16));
        Guarded<__half> d_w2(pack_conv_weights(w2.data(), cout, 1, cin, variant.bn, variant.group));
        Guarded<__half> d_w3(pack_conv_weights(w3.data(), std::max(tail, 1), 1, cout, 16, 16));
        const int pitch = result + 8;
        Guarded<__half> d_out(static_cast<std::size_t>(n) * h * w * pitch);
        DepthwisePointwiseArgs args;
        args.in = d_in.data(), args.in_pitch = cin + 8, args.n = n, args.h = h, args.w = w, args.cin = cin;
        args.out = d_out.data(), args.out_pitch = pitch, args.cout = cout, args.depthwise = d_taps.data();
        args.depthwise_bias = d_b1.data(), args.depthwise_silu = 1, args.weights = d_w2.data(), args.bias = d_b2.data();
        args.silu = 1;
        if (tail > 0) args.tail_weights = d_w3.data(), args.tail_bias = d_b3.data(), args.tail_cout = tail;
        if (!depthwise_pointwise_fits(variant, args)) continue;
        const std::string what = std::string("dw+pw ") + variant.name + " " + std::to_string(h) + "x" +
                                 std::to_string(w) + "x" + std::to_string(cin) + " tail " + std::to_string(tail);
        check(launch_depthwise_pointwise(variant, args, launch_shape(n == 2), nullptr), what.c_str());
        expect_rows_near(d_out.download(), pitch, 0, result, want, 1.0 / 256, 4e-3, what);
        d_out.verify("out");
      }
}

TEST_F(OtherKernel, AttentionMatchesTheReference) {
  for (const auto& [n, h, w, heads] : {std::array{1, 1, 1, 1}, std::array{2, 20, 20, 2}, std::array{1, 12, 20, 4},
                                       std::array{1, 5, 7, 2}, std::array{1, 40, 24, 1}}) {
    if (too_large(n * h * w)) continue;
    const int tokens = h * w, in_channels = heads * 128, out_channels = heads * 64, pitch = in_channels + 8;
    Values values(static_cast<std::uint64_t>(tokens));
    const auto qkv = through_half(values.floats(static_cast<std::size_t>(n) * tokens * in_channels, -2, 2));
    const auto position = values.floats(static_cast<std::size_t>(9) * out_channels, -0.3F, 0.3F);
    const auto bias = values.floats(static_cast<std::size_t>(out_channels), -1, 1);
    const float scale = 0.17677669F;
    std::vector<float> want(static_cast<std::size_t>(n) * tokens * out_channels);
    parallel_for(n * tokens, [&](int row) {
      const int image = row / tokens, p = row % tokens;
      const auto at = [&](int token, int head, int c) {
        return qkv[(static_cast<std::size_t>(image) * tokens + token) * in_channels + head * 128 + c];
      };
      std::vector<double> score(static_cast<std::size_t>(tokens));
      for (int head = 0; head < heads; ++head) {
        double high = -1e30, total = 0;
        for (int j = 0; j < tokens; ++j) {
          double dot = 0;
          for (int c = 0; c < 32; ++c) dot += at(p, head, c) * at(j, head, 32 + c);
          score[j] = dot * scale;
          high = std::max(high, score[j]);
        }
        for (double& s : score) total += s = std::exp(s - high);
        for (int c = 0; c < 64; ++c) {
          double sum = 0;
          for (int j = 0; j < tokens; ++j) sum += score[j] / total * at(j, head, 64 + c);
          const int channel = head * 64 + c;
          sum += bias[channel];
          for (int r = 0; r < 3; ++r)
            for (int s = 0; s < 3; ++s) {
              const int y = p / w + r - 1, x = p % w + s - 1;
              if (y < 0 || y >= h || x < 0 || x >= w) continue;
              sum += position[(r * 3 + s) * out_channels + channel] * at(y * w + x, head, 64 + c);
            }
          want[static_cast<std::size_t>(row) * out_channels + channel] = static_cast<float>(sum);
        }
      }
    });
    Guarded<__half> d_in(lay_out(qkv, in_channels, pitch, 0));
    Guarded<float> d_position(position), d_bias(bias);
    for (const AttentionVariant& variant : attention_variants()) {
      Guarded<__half> d_out(static_cast<std::size_t>(n) * tokens * (out_channels + 8));
      AttentionArgs args;
      args.qkv = d_in.data(), args.qkv_pitch = pitch, args.out = d_out.data() + 8, args.out_pitch = out_channels + 8;
      args.n = n, args.h = h, args.w = w, args.heads = heads, args.scale = scale;
      args.position = d_position.data(), args.position_bias = d_bias.data();
      check(launch_attention(variant, args, launch_shape(), nullptr), "attention");
      expect_rows_near(d_out.download(), out_channels + 8, 8, out_channels, want, 1.0 / 256, 4e-3,
                       "attention " + std::to_string(tokens) + ", " + variant.name);
      d_out.verify("out");
    }
  }
}

std::vector<float> pool_ref(const std::vector<float>& in, int n, int h, int w, int c, int k, int stride, int pad) {
  const int oh = (h + 2 * pad - k) / stride + 1, ow = (w + 2 * pad - k) / stride + 1;
  std::vector<float> out(static_cast<std::size_t>(n) * oh * ow * c, -1e30F);
  for (int i = 0; i < n; ++i)
    for (int y = 0; y < oh; ++y)
      for (int x = 0; x < ow; ++x)
        for (int r = 0; r < k; ++r)
          for (int s = 0; s < k; ++s) {
            const int py = y * stride - pad + r, px = x * stride - pad + s;
            if (py < 0 || py >= h || px < 0 || px >= w) continue;
            for (int e = 0; e < c; ++e) {
              float& best = out[((static_cast<std::size_t>(i) * oh + y) * ow + x) * c + e];
              best = std::max(best, in[((static_cast<std::size_t>(i) * h + py) * w + px) * c + e]);
            }
          }
  return out;
}

TEST_F(OtherKernel, PoolChainWorksInPlaceBehindItsInput) {
  for (const auto& [n, h, w, c] :
       {std::array{1, 1, 1, 8}, std::array{2, 20, 20, 128}, std::array{1, 12, 20, 64}, std::array{1, 3, 7, 16}}) {
    Values values(5);
    const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * c, -9, -1));
    Guarded<__half> d(lay_out(in, c, 4 * c, 0));
    PoolChainArgs args;
    args.in = d.data(), args.in_pitch = 4 * c, args.n = n, args.h = h, args.w = w, args.channels = c;
    for (int s = 0; s < 3; ++s) args.out[s] = d.data() + (s + 1) * c, args.out_pitch[s] = 4 * c;
    ASSERT_TRUE(pool_chain_fits(args));
    check(launch_pool_chain(args, launch_shape(), nullptr), "pool chain");
    const auto p1 = pool_ref(in, n, h, w, c, 5, 1, 2), p2 = pool_ref(p1, n, h, w, c, 5, 1, 2),
               p3 = pool_ref(p2, n, h, w, c, 5, 1, 2);
    std::vector<float> want;
    for (std::size_t row = 0; row < in.size() / c; ++row)
      for (const auto* part : {&in, &p1, &p2, &p3})
        want.insert(want.end(), part->begin() + row * c, part->begin() + (row + 1) * c);
    expect_rows_near(d.download(), 4 * c, 0, 4 * c, want, 0, 0, "pool chain");
    d.verify("maps");
  }
}

TEST_F(OtherKernel, MaxPoolMatchesTheReference) {
  for (const auto& [k, stride, pad] : {std::array{2, 2, 0}, std::array{3, 2, 1}, std::array{5, 1, 2}}) {
    const int n = 2, h = 11, w = 14, c = 24;
    Values values(6);
    const auto in = through_half(values.floats(static_cast<std::size_t>(n) * h * w * c, -9, -1));
    MaxPoolArgs args;
    args.n = n, args.h = h, args.w = w, args.oh = (h + 2 * pad - k) / stride + 1,
    args.ow = (w + 2 * pad - k) / stride + 1;
    Guarded<__half> d_in(lay_out(in, c, c, 0)), d_out(static_cast<std::size_t>(n) * args.oh * args.ow * c);
    args.in = d_in.data(), args.in_pitch = c, args.out = d_out.data(), args.out_pitch = c, args.channels = c;
    args.kernel = k, args.stride = stride, args.pad = pad;
    check(launch_max_pool(args, launch_shape(), nullptr), "max pool");
    expect_rows_near(d_out.download(), c, 0, c, pool_ref(in, n, h, w, c, k, stride, pad), 0, 0, "max pool");
    d_out.verify("out");
  }
}

TEST_F(OtherKernel, PlainConvolutionTakesAnyWindow) {
  for (const auto& [kernel, stride, depthwise] :
       {std::array{1, 2, 0}, std::array{5, 1, 0}, std::array{7, 2, 0}, std::array{3, 1, 1}, std::array{3, 2, 1}}) {
    const ConvShape shape{2, 13, 10, 12, 12, kernel, stride};
    Values values(static_cast<std::uint64_t>(kernel));
    const int reduction = kernel * kernel * (depthwise ? 1 : 12);
    const float range = 1.7F / std::sqrt(static_cast<float>(reduction));
    const auto in = through_half(values.floats(static_cast<std::size_t>(2) * 13 * 10 * 12, -2, 2));
    const auto weights = values.floats(static_cast<std::size_t>(12) * reduction, -range, range);
    const auto bias = values.floats(12, -1, 1);
    std::vector<float> laid = weights;
    if (depthwise)
      for (int c = 0; c < 12; ++c)
        for (int t = 0; t < 9; ++t)
          laid[static_cast<std::size_t>(t * 12 + c)] = weights[static_cast<std::size_t>(c * 9 + t)];
    Guarded<__half> d_in(lay_out(in, 12, 16, 0)), d_out(static_cast<std::size_t>(2) * shape.oh() * shape.ow() * 16);
    Guarded<float> d_weights(laid), d_bias(bias);
    PlainConvArgs args;
    args.in = d_in.data(), args.in_pitch = 16, args.n = 2, args.h = 13, args.w = 10, args.cin = 12,
    args.out = d_out.data();
    args.out_pitch = 16, args.oh = shape.oh(), args.ow = shape.ow(), args.cout = 12, args.weights = d_weights.data();
    args.bias = d_bias.data(), args.kernel = kernel, args.stride = stride, args.pad = kernel / 2, args.silu = 1;
    args.depthwise = depthwise;
    check(launch_plain_conv(args, launch_shape(), nullptr), "plain conv");
    expect_rows_near(d_out.download(), 16, 0, 12, conv_ref(shape, in, weights, bias, true, depthwise != 0), 1.0 / 512,
                     2e-3, "plain conv");
    d_out.verify("out");
  }
}

TEST_F(OtherKernel, DepthwiseAloneMatchesTheReference) {
  for (const auto& [n, h, w, c] :
       {std::array{1, 1, 1, 8}, std::array{2, 20, 20, 80}, std::array{1, 37, 21, 64}, std::array{3, 6, 5, 256}}) {
    const ConvShape shape{n, h, w, c, c, 3, 1};
    Values values(static_cast<std::uint64_t>(h));
    const std::size_t elements = static_cast<std::size_t>(n) * h * w * c;
    const auto in = through_half(values.floats(elements, -2, 2)),
               residual = through_half(values.floats(elements, -2, 2));
    const auto weights = values.floats(static_cast<std::size_t>(c) * 9, -0.6F, 0.6F);
    const auto bias = values.floats(static_cast<std::size_t>(c), -1, 1);
    std::vector<float> laid(weights.size());
    for (int e = 0; e < c; ++e)
      for (int t = 0; t < 9; ++t)
        laid[static_cast<std::size_t>(t * c + e)] = weights[static_cast<std::size_t>(e * 9 + t)];
    auto want = conv_ref(shape, in, weights, bias, true, true);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] += residual[i];
    Guarded<__half> d_in(lay_out(in, c, c + 8, 8)), d_residual(lay_out(residual, c, c, 0)),
        d_out(elements / c * (c + 16));
    Guarded<float> d_weights(laid), d_bias(bias);
    PlainConvArgs args;
    args.in = d_in.data() + 8, args.in_pitch = c + 8, args.n = n, args.h = h, args.w = w, args.cin = c;
    args.out = d_out.data(), args.out_pitch = c + 16, args.oh = h, args.ow = w, args.cout = c,
    args.weights = d_weights.data();
    args.bias = d_bias.data(), args.residual = d_residual.data(), args.residual_pitch = c, args.kernel = 3,
    args.pad = 1;
    args.silu = 1, args.depthwise = 1;
    ASSERT_TRUE(depthwise_fits(args));
    check(launch_depthwise(args, launch_shape(), nullptr), "depthwise");
    expect_rows_near(d_out.download(), c + 16, 0, c, want, 1.0 / 512, 3e-3, "depthwise");
    d_out.verify("out");
    args.stride = 2;
    EXPECT_FALSE(depthwise_fits(args));
  }
}

}  // namespace
}  // namespace gantry::cuda::test
