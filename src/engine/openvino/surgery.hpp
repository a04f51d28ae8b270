#pragma once
// What Gantry changes in an exported graph before it compiles it.
#include <memory>
#include <openvino/core/model.hpp>
#include <vector>

namespace gantry::engine::openvino {

/// One stride of the detection head, as it leaves its last convolutions.
struct RawMaps {
  ov::Output<ov::Node> distances;  ///< [batch, 64, height, width]
  ov::Output<ov::Node> scores;     ///< [batch, classes, height, width]
};

/// The head's raw maps, small strides first, or nothing where the head is built in another way. Wants static shapes.
[[nodiscard]] std::vector<RawMaps> find_raw_maps(const ov::Model& model, int classes, std::size_t anchors);

/// A model that ends in the raw maps and has the same parameters.
[[nodiscard]] std::shared_ptr<ov::Model> cut_at(const ov::Model& model, const std::vector<RawMaps>& maps);

/// Exporters write the picture's size into the Reshapes around attention. Replaces those constants by what they mean,
/// so that model.reshape() reaches them. Wants static shapes at the exported size.
void free_attention_shapes(const ov::Model& model);

}  // namespace gantry::engine::openvino
