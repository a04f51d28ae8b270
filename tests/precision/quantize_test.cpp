// Quantisation and its gate on a small network, with gates that answer what the test wants.
#include "gantry/precision/quantize.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "graph/onnx_builder.hpp"

namespace gantry::precision {
namespace {

class QuantizeTest : public testing::Test {
 protected:
  QuantizeTest() : bytes_(test::mini_yolo({}).bytes()), model_(graph::Model::parse(bytes_, "mini.onnx")) {
    std::mt19937 random(9);
    samples_.shape = model_.info().native_shape;
    for (int i = 0; i < 24; ++i) {
      Sample sample{"noise", std::vector<std::uint8_t>(3 * 64 * 64)};
      for (auto& byte : sample.planes) byte = static_cast<std::uint8_t>(random());
      samples_.pictures.push_back(std::move(sample));
    }
  }
  [[nodiscard]] static std::size_t floats(const QuantizeResult& result) {
    return static_cast<std::size_t>(std::count_if(result.layers.begin(), result.layers.end(),
                                                  [](const LayerReport& layer) { return !layer.in_8_bits; }));
  }
  /// Holds once a file has `enough` layers fewer in 8 bits than the first one had.
  [[nodiscard]] static Gate gate_that_wants(std::size_t enough) {
    return [enough, first = std::size_t{0}](const std::string& onnx) mutable {
      onnx::ModelProto model;
      EXPECT_TRUE(model.ParseFromString(onnx));
      const auto& all = model.graph().initializer();
      const auto in_8_bits = static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& tensor) {
        return tensor.data_type() == onnx::TensorProto::INT8 && tensor.dims_size() == 4;
      }));
      first = std::max(first, in_8_bits);
      return Measured{first - in_8_bits >= enough ? 1.0 : 0.5, 1, 1};
    };
  }

  std::string bytes_;
  graph::Model model_;
  Samples samples_;
};

TEST_F(QuantizeTest, KeepsEverythingIn8BitsWhereTheGateHolds) {
  const QuantizeResult result = quantize(model_, bytes_, samples_, {}, gate_that_wants(0));
  EXPECT_TRUE(result.passed);
  EXPECT_EQ(floats(result), 0U);
  EXPECT_EQ(result.attempts, 1);
  ASSERT_EQ(result.tried.size(), 8U);
  for (std::size_t i = 1; i < result.tried.size(); ++i) EXPECT_LE(result.tried[0].error, result.tried[i].error);
  for (const LayerReport& layer : result.layers) EXPECT_GT(layer.error, 0) << layer.node;
}

TEST_F(QuantizeTest, LeavesNoMoreInFloatThanTheGateNeedsAndTheWorstFirst) {
  const QuantizeResult result = quantize(model_, bytes_, samples_, {}, gate_that_wants(3));
  EXPECT_TRUE(result.passed);
  EXPECT_EQ(floats(result), 3U);
  double least_float = 1e300;
  double most_8_bits = 0;
  for (const LayerReport& layer : result.layers) {
    const double harm = layer.error / layer.flops;
    if (layer.in_8_bits)
      most_8_bits = std::max(most_8_bits, harm);
    else
      least_float = std::min(least_float, harm);
  }
  EXPECT_GE(least_float, most_8_bits);
}

TEST_F(QuantizeTest, GivesUpAtHalfOfTheNetwork) {
  const QuantizeResult result = quantize(model_, bytes_, samples_, {}, gate_that_wants(1000));
  EXPECT_FALSE(result.passed);
}

TEST_F(QuantizeTest, SymmetricFilesHoldSignedBytes) {
  QuantizeOptions options;
  options.symmetric = true;
  const QuantizeResult result = quantize(model_, bytes_, samples_, options, gate_that_wants(0));
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(result.onnx));
  for (const auto& tensor : model.graph().initializer()) EXPECT_NE(tensor.data_type(), onnx::TensorProto::UINT8);
}

}  // namespace
}  // namespace gantry::precision
