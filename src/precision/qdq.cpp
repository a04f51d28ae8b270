#include "precision/qdq.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <unordered_map>

#include "gantry/core/errors.hpp"

namespace gantry::precision {
namespace {

constexpr int kLeastOpset = 13;  // the first whose DequantizeLinear takes a scale a channel

onnx::ModelProto parse(std::string_view bytes, const std::string& source) {
  onnx::ModelProto model;
  if (!model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !model.has_graph())
    throw ModelError(source + ": not a complete ONNX file");
  return model;
}

/// The importer's rule for nodes without a name.
std::string name_of(const onnx::NodeProto& node) {
  return node.name().empty() ? node.op_type() + " of " + node.output(0) : node.name();
}

class Writer {
 public:
  Writer(onnx::ModelProto& model, const std::string& source, Storage8 storage)
      : graph_(*model.mutable_graph()), storage_(storage) {
    for (const auto& node : graph_.node())
      if (node.op_type() == "BatchNormalization")
        throw ModelError(source + ": has batch norms that were not folded into its convolutions ('" + name_of(node) +
                         "'); export it with Ultralytics' default settings, which fold them");
  }

  void run(const Scheme& scheme, const Quantization& quantization) {
    const std::vector<bool> active = quantization.active_tensors(scheme);
    for (std::size_t i = 0; i < active.size(); ++i)
      if (active[i]) quantizers_[scheme.tensors[i]] = quantization.groups[static_cast<std::size_t>(scheme.group_of[i])];
    for (std::size_t i = 0; i < scheme.layers.size(); ++i)
      if (quantization.in_8_bits[i]) layers_[scheme.layers[i].node] = &quantization.layers[i];

    if (const auto input = quantizers_.find(graph_.input(0).name()); input != quantizers_.end())
      add_pair(input->first, input->second);
    for (auto& node : *graph_.mutable_node()) {
      const auto layer = layers_.find(name_of(node));
      if (layer != layers_.end()) lower_weights(node, *layer->second);
      for (auto& name : *node.mutable_input())
        if (quantizers_.contains(name)) name = restored(name);
      *nodes_.Add() = node;
      for (const auto& output : node.output())
        if (const auto quantizer = quantizers_.find(output); quantizer != quantizers_.end())
          add_pair(output, quantizer->second);
    }
    graph_.mutable_node()->Swap(&nodes_);
    drop_unread();
  }

 private:
  static std::string restored(const std::string& tensor) { return tensor + "/dequantized"; }

  onnx::TensorProto& constant(const std::string& name, int type, const graph::Dims& dims) {
    auto& tensor = *graph_.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(type);
    for (const auto d : dims) tensor.add_dims(d);
    return tensor;
  }
  void add_floats(const std::string& name, const graph::Dims& dims, const std::vector<float>& values) {
    constant(name, onnx::TensorProto::FLOAT, dims)
        .set_raw_data(values.data(), values.size() * sizeof(float));  // little-endian, like the file
  }

  void add_node(const char* op, const std::vector<std::string>& inputs, const std::string& output) {
    auto& node = *nodes_.Add();
    node.set_op_type(op);
    node.set_name(output + "/" + op);
    for (const auto& input : inputs) node.add_input(input);
    node.add_output(output);
  }

  void add_pair(const std::string& tensor, const Quantizer& quantizer) {
    const bool shifted = quantizer.lowest < 0 && storage_ == Storage8::kUnsigned;
    const bool is_signed = quantizer.lowest < 0 && !shifted;
    const int zero_point = quantizer.zero_point + (shifted ? -quantizer.lowest : 0);
    const std::string scale = tensor + "/scale";
    const std::string zero = tensor + "/zero_point";
    add_floats(scale, {}, {quantizer.scale});
    const char byte = static_cast<char>(zero_point);
    constant(zero, is_signed ? onnx::TensorProto::INT8 : onnx::TensorProto::UINT8, {}).set_raw_data(&byte, 1);
    add_node("QuantizeLinear", {tensor, scale, zero}, tensor + "/quantized");
    add_node("DequantizeLinear", {tensor + "/quantized", scale, zero}, restored(tensor));
  }

  void lower_weights(onnx::NodeProto& node, const LayerParameters& parameters) {
    const auto& dims = parameters.weights.dims;
    const std::string base = name_of(node) + "/weight";
    const auto channels = static_cast<std::int64_t>(parameters.weights.scales.size());
    constant(base + "/quantized", onnx::TensorProto::INT8, dims)
        .set_raw_data(parameters.weights.values.data(), parameters.weights.values.size());
    add_floats(base + "/scale", {channels}, parameters.weights.scales);
    const std::string zeros(static_cast<std::size_t>(channels), '\0');
    constant(base + "/zero_point", onnx::TensorProto::INT8, {channels}).set_raw_data(zeros);
    add_node("DequantizeLinear", {base + "/quantized", base + "/scale", base + "/zero_point"}, base);
    auto& axis = *nodes_.Mutable(nodes_.size() - 1)->add_attribute();
    axis.set_name("axis");
    axis.set_type(onnx::AttributeProto::INT);
    axis.set_i(0);
    node.set_input(1, base);
    if (parameters.bias.empty()) return;
    const std::string bias = name_of(node) + "/bias";
    add_floats(bias, {static_cast<std::int64_t>(parameters.bias.size())}, parameters.bias);
    node.set_input(2, bias);
  }

  /// What only fed the float weights (constants, the nodes that widened them) goes.
  void drop_unread() {
    auto& nodes = *graph_.mutable_node();
    for (;;) {
      const std::set<std::string> read = names_read();
      const auto end = std::stable_partition(nodes.begin(), nodes.end(), [&](const auto& node) {
        return std::any_of(node.output().begin(), node.output().end(),
                           [&](const std::string& output) { return read.contains(output); });
      });
      if (end == nodes.end()) break;
      nodes.erase(end, nodes.end());
    }
    const std::set<std::string> read = names_read();
    auto& all = *graph_.mutable_initializer();
    const auto end =
        std::stable_partition(all.begin(), all.end(), [&](const auto& tensor) { return read.contains(tensor.name()); });
    all.erase(end, all.end());
  }
  [[nodiscard]] std::set<std::string> names_read() const {
    std::set<std::string> read;
    for (const auto& node : graph_.node()) read.insert(node.input().begin(), node.input().end());
    for (const auto& output : graph_.output()) read.insert(output.name());
    return read;
  }

  onnx::GraphProto& graph_;
  Storage8 storage_;
  std::unordered_map<std::string, Quantizer> quantizers_;
  std::unordered_map<std::string, const LayerParameters*> layers_;
  google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes_;
};

}  // namespace

void refuse_quantized(std::string_view onnx_bytes, const std::string& source) {
  const onnx::ModelProto model = parse(onnx_bytes, source);
  for (const auto& node : model.graph().node()) {
    const std::string& op = node.op_type();
    if (op != "QuantizeLinear" && op != "DequantizeLinear" && op != "FakeQuantize" && op != "ConvInteger" &&
        op != "QLinearConv")
      continue;
    throw ModelError(source + ": is quantised already (" + op + " '" + name_of(node) +
                     "'); rounding twice loses twice. Give the float32 model that it was made from");
  }
}

std::string write_qdq(std::string_view onnx_bytes, const std::string& source, const Scheme& scheme,
                      const Quantization& quantization, Storage8 storage,
                      const std::map<std::string, std::string>& metadata) {
  onnx::ModelProto model = parse(onnx_bytes, source);
  for (const auto& set : model.opset_import())
    if ((set.domain().empty() || set.domain() == "ai.onnx") && set.version() < kLeastOpset)
      throw ModelError(source + ": opset " + std::to_string(set.version()) +
                       " can't hold weights with a scale a channel; export it with opset=18");
  Writer(model, source, storage).run(scheme, quantization);
  model.mutable_graph()->mutable_value_info()->Clear();
  for (const auto& [key, value] : metadata) {
    auto& property = *model.add_metadata_props();
    property.set_key(key);
    property.set_value(value);
  }
  return model.SerializeAsString();
}

std::map<std::string, std::string> read_metadata(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw ModelError(path + ": can't be opened");
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::map<std::string, std::string> properties;
  const onnx::ModelProto model = parse(bytes, path);
  for (const auto& property : model.metadata_props()) properties[property.key()] = property.value();
  return properties;
}

}  // namespace gantry::precision
