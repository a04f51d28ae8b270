// The fused ops one by one against the plainest loops in double, over odd shapes, pitches and views, with sentinels
// around what they may write.
#include "gantry/engine/graph/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <random>

#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

constexpr float kSentinel = -12345.0F;

class Noise {
 public:
  explicit Noise(unsigned seed) : random_(seed) {}
  float operator()() { return static_cast<float>(random_() >> 8) * 0x1p-23F - 1.0F; }
  std::vector<float> many(std::size_t count) {
    std::vector<float> values(count);
    for (float& v : values) v = (*this)();
    return values;
  }

 private:
  std::mt19937 random_;
};

/// A map inside a wider buffer, everything around it sentinels.
struct Field {
  Field(int height, int width, int channels, int channel, int pitch)
      : values(static_cast<std::size_t>(height * width * pitch + 2 * kMargin), kSentinel),
        map{values.data() + kMargin + channel, height, width, channels, pitch, 1} {}
  static constexpr int kMargin = 64;
  std::vector<float> values;
  Map map;

  void fill(Noise& noise) {
    for (int y = 0; y < map.height; ++y)
      for (int x = 0; x < map.width; ++x)
        for (int c = 0; c < map.channels; ++c) map.at(y, x)[c] = noise();
  }
  void expect_only_map_written() const {
    std::vector<bool> inside(values.size(), false);
    for (int y = 0; y < map.height; ++y)
      for (int x = 0; x < map.width; ++x)
        for (int c = 0; c < map.channels; ++c)
          inside[static_cast<std::size_t>(map.at(y, x) + c - values.data())] = true;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (inside[i]) {
        ASSERT_NE(values[i], kSentinel) << "not written: " << i;
      } else {
        ASSERT_EQ(values[i], kSentinel) << "written outside: " << i;
      }
    }
  }
};

std::shared_ptr<Weights> weights_of(Noise& noise, int out, int kernel, int in) {
  auto weights = std::make_shared<Weights>();
  weights->out = out;
  weights->in = in;
  weights->kernel_h = weights->kernel_w = kernel;
  weights->values = noise.many(static_cast<std::size_t>(out * kernel * kernel * in));
  weights->bias = noise.many(static_cast<std::size_t>(out));
  return weights;
}

struct ConvCase {
  int height, width;          // of the input as the op sees it
  std::vector<int> channels;  // of each view; negative: stored at half the size
  int out, kernel, stride;
  bool depthwise = false, silu = false, residual = false;
};
void PrintTo(const ConvCase& c, std::ostream* out) {
  *out << c.height << "x" << c.width << " k" << c.kernel << " s" << c.stride << " out " << c.out;
}
class ConvReference : public testing::TestWithParam<ConvCase> {};

TEST_P(ConvReference, MatchesPlainLoops) {
  const ConvCase& t = GetParam();
  Noise noise(11);
  std::vector<Field> fields;
  int channels = 0;
  for (const int c : t.channels) {
    const int scale = c < 0 ? 2 : 1;
    fields.emplace_back(t.height / scale, t.width / scale, std::abs(c), 3, std::abs(c) + 5);
    fields.back().fill(noise);
    fields.back().map.upsample = scale;
    channels += std::abs(c);
  }
  ConvOp op;
  op.weights = weights_of(noise, t.out, t.kernel, t.depthwise ? 1 : channels);
  op.stride = t.stride;
  op.pad = t.kernel / 2;
  op.groups = t.depthwise ? channels : 1;
  op.activation = t.silu ? Activation::kSilu : Activation::kNone;
  if (t.residual) op.residual = View{};
  const int out_h = (t.height + 2 * op.pad - t.kernel) / t.stride + 1;
  const int out_w = (t.width + 2 * op.pad - t.kernel) / t.stride + 1;
  Field added(out_h, out_w, t.out, 1, t.out + 2);
  added.fill(noise);
  Field out(out_h, out_w, t.out, 2, t.out + 7);
  std::vector<ConstMap> inputs(fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) inputs[i] = fields[i].map;
  const ConstMap residual = added.map;
  conv_reference(op, inputs, t.residual ? &residual : nullptr, out.map);
  out.expect_only_map_written();

  const auto input = [&](int y, int x, int c) -> double {
    if (y < 0 || x < 0 || y >= t.height || x >= t.width) return 0;
    for (const ConstMap& map : inputs) {
      if (c < map.channels) return map.at(y / map.upsample, x / map.upsample)[c];
      c -= map.channels;
    }
    return 0;
  };
  for (int y = 0; y < out_h; ++y)
    for (int x = 0; x < out_w; ++x)
      for (int o = 0; o < t.out; ++o) {
        double sum = op.weights->bias[static_cast<std::size_t>(o)];
        for (int ky = 0; ky < t.kernel; ++ky)
          for (int kx = 0; kx < t.kernel; ++kx)
            for (int c = 0; c < op.weights->in; ++c)
              sum +=
                  op.weights
                      ->values[static_cast<std::size_t>(((o * t.kernel + ky) * t.kernel + kx) * op.weights->in + c)] *
                  input(y * t.stride + ky - op.pad, x * t.stride + kx - op.pad, t.depthwise ? o : c);
        if (t.silu) sum /= 1 + std::exp(-sum);
        if (t.residual) sum += added.map.at(y, x)[o];
        ASSERT_NEAR(out.map.at(y, x)[o], sum, 2e-5 * std::max(1.0, std::abs(sum))) << y << "," << x << "," << o;
      }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ConvReference,
    testing::Values(ConvCase{1, 1, {1}, 1, 1, 1}, ConvCase{1, 1, {5}, 3, 3, 1}, ConvCase{7, 5, {3}, 16, 3, 2},
                    ConvCase{9, 11, {17}, 33, 3, 1, false, true, true}, ConvCase{6, 8, {-4, 9}, 15, 1, 1, false, true},
                    ConvCase{4, 6, {-3, -5, 2}, 7, 1, 1}, ConvCase{13, 49, {8}, 24, 1, 1, false, false, true},
                    ConvCase{12, 12, {2}, 5, 6, 2}, ConvCase{5, 3, {13}, 13, 3, 1, true, true},
                    ConvCase{8, 8, {16}, 16, 3, 2, true}, ConvCase{10, 10, {-6}, 9, 3, 1}));

TEST(ConvReferenceContract, RefusesWhatDoesNotFit) {
  Noise noise(1);
  Field in(4, 4, 3, 0, 3), out(4, 4, 8, 0, 8), small(4, 3, 8, 0, 8);
  ConvOp op;
  op.weights = weights_of(noise, 8, 3, 3);
  op.pad = 1;
  const ConstMap view = in.map;
  EXPECT_NO_THROW(conv_reference(op, {&view, 1}, nullptr, out.map));
  EXPECT_THROW(conv_reference(op, {&view, 1}, nullptr, small.map), PreconditionError);
  EXPECT_THROW(conv_reference(op, {&view, 1}, &view, out.map), PreconditionError);
  op.weights = weights_of(noise, 8, 3, 4);
  EXPECT_THROW(conv_reference(op, {&view, 1}, nullptr, out.map), PreconditionError);
}

TEST(PoolChainReference, EqualsLargerWindowsAndLeavesTheRestAlone) {
  for (const auto& [height, width, channels] : {std::tuple{1, 1, 1}, {7, 5, 3}, {20, 12, 9}}) {
    Noise noise(5);
    Field field(height, width, channels, 0, 4 * channels);  // outputs lie behind the input, as in SPPF
    field.fill(noise);
    std::vector<Map> outputs;
    for (int i = 1; i <= 3; ++i) {
      outputs.push_back(field.map);
      outputs.back().data += std::ptrdiff_t{i} * channels;
    }
    pool_chain_reference({5, 3}, field.map, outputs);
    for (int i = 0; i < 3; ++i)
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
          for (int c = 0; c < channels; ++c) {
            const int reach = 2 * (i + 1);  // three chained windows of 5 see 5, 9 and 13
            float top = -10;
            for (int py = std::max(0, y - reach); py <= std::min(height - 1, y + reach); ++py)
              for (int px = std::max(0, x - reach); px <= std::min(width - 1, x + reach); ++px)
                top = std::max(top, field.map.at(py, px)[c]);
            ASSERT_EQ(outputs[static_cast<std::size_t>(i)].at(y, x)[c], top);
          }
  }
}

TEST(MaxPoolReference, HonoursStrideAndPadding) {
  Noise noise(6);
  Field in(7, 6, 3, 1, 5), out(4, 3, 3, 2, 6);
  in.fill(noise);
  max_pool_reference({3, 2, 1}, in.map, out.map);
  out.expect_only_map_written();
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 3; ++x)
      for (int c = 0; c < 3; ++c) {
        float top = -10;
        for (int py = std::max(0, 2 * y - 1); py <= std::min(6, 2 * y + 1); ++py)
          for (int px = std::max(0, 2 * x - 1); px <= std::min(5, 2 * x + 1); ++px)
            top = std::max(top, in.map.at(py, px)[c]);
        ASSERT_EQ(out.map.at(y, x)[c], top);
      }
}

TEST(AttentionReference, MatchesPlainLoops) {
  for (const auto& [height, width, heads, key, head] : {std::tuple{1, 1, 1, 1, 1}, {3, 5, 2, 4, 8}, {6, 7, 3, 5, 7}}) {
    Noise noise(8);
    const int per_head = 2 * key + head;
    Field in(height, width, heads * per_head, 2, heads * per_head + 6),
        out(height, width, heads * head, 1, heads * head + 3);
    in.fill(noise);
    const AttentionOp op{heads, key, head, 0.7F, weights_of(noise, heads * head, 3, 1)};
    attention_reference(op, in.map, out.map);
    out.expect_only_map_written();
    const int pixels = height * width;
    const auto at = [&](int pixel, int h, int c) {
      return static_cast<double>(in.map.data[pixel * in.map.pitch + h * per_head + c]);
    };
    for (int p = 0; p < pixels; ++p)
      for (int h = 0; h < heads; ++h)
        for (int d = 0; d < head; ++d) {
          double total = 0, sum = 0;
          for (int j = 0; j < pixels; ++j) {
            double dot = 0;
            for (int k = 0; k < key; ++k) dot += at(p, h, k) * at(j, h, key + k);
            total += std::exp(0.7 * dot);
            sum += std::exp(0.7 * dot) * at(j, h, 2 * key + d);
          }
          const auto channel = static_cast<std::size_t>(h * head + d);
          double place = op.position->bias[channel];
          for (int ky = 0; ky < 3; ++ky)
            for (int kx = 0; kx < 3; ++kx) {
              const int y = p / width + ky - 1, x = p % width + kx - 1;
              if (y < 0 || x < 0 || y >= height || x >= width) continue;
              place += op.position->values[channel * 9 + static_cast<std::size_t>(ky * 3 + kx)] *
                       at(y * width + x, h, 2 * key + d);
            }
          ASSERT_NEAR(out.map.data[p * out.map.pitch + static_cast<std::ptrdiff_t>(channel)], sum / total + place,
                      2e-5);
        }
  }
}

TEST(AttentionReference, SurvivesLargeScores) {
  Noise noise(9);
  Field in(4, 4, 12, 0, 12), out(4, 4, 4, 0, 4);
  in.fill(noise);
  for (float& v : in.values) v *= 300;  // exp of these alone would overflow
  attention_reference({1, 4, 4, 1, weights_of(noise, 4, 3, 1)}, in.map, out.map);
  for (const float v : out.values) EXPECT_TRUE(std::isfinite(v));
}

TEST(AddAndCopyReference, FollowTheViews) {
  Noise noise(10);
  Field a(4, 6, 5, 1, 8), b(4, 6, 5, 0, 5), sum(4, 6, 5, 2, 9), large(8, 12, 5, 3, 11);
  a.fill(noise);
  b.fill(noise);
  add_reference(a.map, b.map, sum.map);
  sum.expect_only_map_written();
  Map twice = a.map;
  twice.upsample = 2;
  copy_reference(twice, large.map);
  large.expect_only_map_written();
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 12; ++x)
      for (int c = 0; c < 5; ++c) {
        ASSERT_EQ(sum.map.at(y / 2, x / 2)[c], a.map.at(y / 2, x / 2)[c] + b.map.at(y / 2, x / 2)[c]);
        ASSERT_EQ(large.map.at(y, x)[c], a.map.at(y / 2, x / 2)[c]);
      }
}

TEST(DetectReference, DecodesOneCellAndSuppressesItsNeighbour) {
  DetectOp op{2, 16, {8}};
  Field boxes(2, 3, 64, 0, 72), classes(2, 3, 2, 1, 8);
  for (int y = 0; y < 2; ++y)
    for (int x = 0; x < 3; ++x) {
      std::fill_n(boxes.map.at(y, x), 64, 0.0F);
      std::fill_n(classes.map.at(y, x), 2, -20.0F);
    }
  for (const int x : {1, 2}) {
    for (int side = 0; side < 4; ++side)  // left 2 and right 1 in cell 1, one less and one more in cell 2: the same box
      boxes.map.at(0, x)[side * 16 + (side == 0 ? 1 + x : side == 2 ? 4 - x : 1)] = 60;
    classes.map.at(0, x)[1] = x == 1 ? 2.0F : 1.0F;
  }
  const ConstMap maps[] = {boxes.map, classes.map};
  const Detections found = detect_reference(op, maps, {0.25F, false}, {});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].class_id, 1);
  EXPECT_NEAR(found[0].confidence, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(found[0].box.x1, (1.5 - 2) * 8, 1e-4);
  EXPECT_NEAR(found[0].box.x2, (1.5 + 3) * 8, 1e-4);
  EXPECT_NEAR(found[0].box.y1, (0.5 - 1) * 8, 1e-4);
  EXPECT_NEAR(found[0].box.y2, (0.5 + 1) * 8, 1e-4);
}

}  // namespace
}  // namespace gantry::graph
