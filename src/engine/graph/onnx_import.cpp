#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <unordered_set>

#include "engine/graph/operators.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/graph.hpp"

namespace gantry::graph {
namespace {

constexpr int kOldestOpset = 12;
constexpr int kNewestOpset = 20;

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  std::uint32_t exponent = (half >> 10) & 0x1FU;
  std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    exponent = 1;
    while ((mantissa & 0x400U) == 0) {
      mantissa <<= 1;
      --exponent;  // wraps below zero on purpose: the bias below brings it back
    }
    mantissa &= 0x3FFU;
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

/// Copies `raw` into `out` element by element; the file is little-endian, like every machine that Gantry runs on.
template <typename Stored, typename Held, typename Convert>
void copy_raw(const std::string& raw, std::vector<Held>& out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, raw.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

class TensorReader {
 public:
  TensorReader(const onnx::TensorProto& proto, std::string where) : proto_(proto), where_(std::move(where)) {}

  Tensor read() const {
    using P = onnx::TensorProto;
    if (proto_.data_location() == P::EXTERNAL)
      throw ModelError(where_ + " keeps its data in another file; export the model as one file (below 2 GB)");
    switch (proto_.data_type()) {
      case P::FLOAT:
        return fill<float, float>(proto_.float_data());
      case P::DOUBLE:
        return fill<double, float>(proto_.double_data());
      case P::FLOAT16:
        return fill<std::uint16_t, float>(proto_.int32_data(), half_to_float);
      case P::INT64:
        return fill<std::int64_t, std::int64_t>(proto_.int64_data());
      case P::INT32:
        return fill<std::int32_t, std::int64_t>(proto_.int32_data());
      case P::INT8:
        return fill<std::int8_t, std::int64_t>(proto_.int32_data());
      case P::UINT8:
        return fill<std::uint8_t, std::int64_t>(proto_.int32_data());
      case P::BOOL:
        return fill<std::uint8_t, std::int64_t>(proto_.int32_data());
      default:
        throw ModelError(where_ + " has element type " + std::to_string(proto_.data_type()) +
                         "; supported are float, double, float16, int64, int32, int8, uint8 and bool");
    }
  }

 private:
  Dims dims() const {
    Dims dims(proto_.dims().begin(), proto_.dims().end());
    std::int64_t count = 1;
    for (const std::int64_t d : dims) {
      if (d < 0 || (d > 0 && count > std::numeric_limits<std::int32_t>::max() / d))
        throw ModelError(where_ + " has the impossible size " + to_string(dims));
      count *= d;
    }
    return dims;
  }

  template <typename Stored, typename Held, typename Repeated, typename Convert>
  Tensor fill(const Repeated& typed, Convert convert) const {
    const Dims size = dims();
    const auto count = static_cast<std::size_t>(element_count(size));
    const bool raw = proto_.has_raw_data();
    const std::size_t have = raw ? proto_.raw_data().size() / sizeof(Stored) : static_cast<std::size_t>(typed.size());
    if (have != count || (raw && proto_.raw_data().size() % sizeof(Stored) != 0))
      throw ModelError(where_ + " says " + to_string(size) + " and holds " + std::to_string(have) +
                       " elements; the file is damaged");
    Tensor tensor = Tensor::zeros(size, std::is_same_v<Held, float>);
    auto& out = std::get<std::vector<Held>>(tensor.values);
    if (raw) {
      copy_raw<Stored>(proto_.raw_data(), out, convert);
    } else {
      for (std::size_t i = 0; i < count; ++i) out[i] = convert(static_cast<Stored>(typed[static_cast<int>(i)]));
    }
    return tensor;
  }
  template <typename Stored, typename Held, typename Repeated>
  Tensor fill(const Repeated& typed) const {
    return fill<Stored, Held>(typed, [](Stored v) { return static_cast<Held>(v); });
  }

  const onnx::TensorProto& proto_;
  std::string where_;
};

Dims port_dims(const onnx::ValueInfoProto& info) {
  Dims dims;
  for (const auto& d : info.type().tensor_type().shape().dim())
    dims.push_back(d.has_dim_value() && d.dim_value() > 0 ? d.dim_value() : -1);
  return dims;
}

class Importer {
 public:
  Importer(const onnx::ModelProto& model, const std::string& source) : proto_(model.graph()) {
    graph_.source = source;
    for (const auto& set : model.opset_import())
      if (set.domain().empty() || set.domain() == "ai.onnx") graph_.opset = static_cast<int>(set.version());
    if (graph_.opset == 0) throw ModelError(source + ": no operator set is named; the file is damaged or not ONNX");
    if (graph_.opset < kOldestOpset || graph_.opset > kNewestOpset)
      throw ModelError(source + ": opset " + std::to_string(graph_.opset) + "; export it with an opset from " +
                       std::to_string(kOldestOpset) + " to " + std::to_string(kNewestOpset) + " (opset=18)");
    for (const auto& property : model.metadata_props()) graph_.metadata[property.key()] = property.value();
  }

  Graph run() {
    for (const auto& tensor : proto_.initializer())
      define_constant(tensor.name(), TensorReader(tensor, where("constant", tensor.name())).read(),
                      tensor.data_type() == onnx::TensorProto::INT8);
    read_ports();
    for (const auto& node : proto_.node()) read_node(node);
    sort();
    for (const Port& port : graph_.outputs)
      if (!defined_.contains(port.name)) fail("output '" + port.name + "' is computed by no node");
    return std::move(graph_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw ModelError(graph_.source + ": " + what); }
  std::string where(const char* kind, const std::string& name) const {
    return graph_.source + ": " + kind + " '" + name + "'";
  }

  void define(const std::string& name) {
    if (!defined_.insert(name).second) fail("tensor '" + name + "' is defined twice");
  }
  void define_constant(const std::string& name, Tensor tensor, bool signed_bytes = false) {
    define(name);
    if (signed_bytes) signed_bytes_.insert(name);
    graph_.constants.emplace(name, std::make_shared<const Tensor>(std::move(tensor)));
  }

  void read_ports() {
    bool found = false;
    for (const auto& input : proto_.input()) {
      if (graph_.constants.contains(input.name())) continue;  // old files list their initialisers among the inputs
      if (found) fail("has more than one input ('" + graph_.input.name + "', '" + input.name() + "')");
      found = true;
      const int type = input.type().tensor_type().elem_type();
      if (type != onnx::TensorProto::FLOAT)
        fail("input '" + input.name() +
             "' isn't float32; export without half or int8 (Gantry lowers precision itself)");
      graph_.input = {input.name(), port_dims(input)};
      define(input.name());
    }
    if (!found) fail("has no input");
    for (const auto& output : proto_.output()) graph_.outputs.push_back({output.name(), port_dims(output)});
    if (graph_.outputs.empty()) fail("has no output");
  }

  void read_node(const onnx::NodeProto& proto) {
    Node node;
    node.op = proto.op_type();
    node.inputs.assign(proto.input().begin(), proto.input().end());
    node.outputs.assign(proto.output().begin(), proto.output().end());
    if (node.outputs.empty()) fail("node '" + proto.name() + "' has no output");
    node.name = proto.name().empty() ? node.op + " of " + node.outputs.front() : proto.name();
    if (!proto.domain().empty() && proto.domain() != "ai.onnx") node.op = proto.domain() + "." + node.op;
    if (node.op != "Constant" && find_operator(node.op) == nullptr) refuse(node);
    for (const auto& attribute : proto.attribute()) read_attribute(node, attribute);
    if (node.op == "Constant") {
      const auto value = std::find_if(proto.attribute().begin(), proto.attribute().end(),
                                      [](const onnx::AttributeProto& a) { return a.has_t(); });
      add_constant(node, value != proto.attribute().end() && value->t().data_type() == onnx::TensorProto::INT8);
      return;
    }
    while (!node.inputs.empty() && node.inputs.back().empty()) node.inputs.pop_back();
    const Operator& op = *find_operator(node.op);
    const bool complete =
        node.inputs.size() >= op.min_inputs && node.inputs.size() <= op.max_inputs &&
        std::none_of(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(op.min_inputs),
                     [](const std::string& input) { return input.empty(); });
    if (!complete) fail(node.op + " '" + node.name + "' has " + std::to_string(node.inputs.size()) + " inputs");
    if (node.inputs.size() > 2 && signed_bytes_.contains(node.inputs[2]) &&
        (node.op == "QuantizeLinear" || node.op == "DequantizeLinear"))
      node.attributes.insert_or_assign(std::string(kSignedAttribute), std::int64_t{1});
    pending_.push_back(std::move(node));
  }

  [[noreturn]] void refuse(const Node& node) const {
    std::string list;
    for (const std::string& name : supported_operators()) list += (list.empty() ? "" : ", ") + name;
    std::string hint;
    if (node.op == "NonMaxSuppression" || node.op == "TopK" || node.op == "NonZero")
      hint = " Gantry does NMS itself: export with nms=False (and end2end=False).";
    fail("operator " + node.op + " (node '" + node.name + "') is not supported." + hint + " Supported: " + list);
  }

  void read_attribute(Node& node, const onnx::AttributeProto& a) {
    using A = onnx::AttributeProto;
    switch (a.type()) {
      case A::INT:
        node.attributes[a.name()] = static_cast<std::int64_t>(a.i());
        break;
      case A::FLOAT:
        node.attributes[a.name()] = a.f();
        break;
      case A::STRING:
        node.attributes[a.name()] = a.s();
        break;
      case A::INTS:
        node.attributes[a.name()] = std::vector<std::int64_t>(a.ints().begin(), a.ints().end());
        break;
      case A::FLOATS:
        node.attributes[a.name()] = std::vector<float>(a.floats().begin(), a.floats().end());
        break;
      case A::TENSOR:
        node.attributes[a.name()] =
            std::make_shared<const Tensor>(TensorReader(a.t(), where("constant in node", node.name)).read());
        break;
      default:
        fail("node '" + node.name + "': attribute '" + a.name() + "' has a type that isn't supported");
    }
  }

  void add_constant(const Node& node, bool signed_bytes) {
    const auto define_as = [&](Tensor tensor) {
      define_constant(node.outputs.front(), std::move(tensor), signed_bytes);
    };
    for (const auto& [key, value] : node.attributes) {
      if (const auto* tensor = std::get_if<TensorPtr>(&value)) return define_as(**tensor);
      if (const auto* i = std::get_if<std::int64_t>(&value)) return define_as({{}, std::vector{*i}});
      if (const auto* f = std::get_if<float>(&value)) return define_as({{}, std::vector{*f}});
      if (const auto* is = std::get_if<std::vector<std::int64_t>>(&value))
        return define_as({{static_cast<std::int64_t>(is->size())}, *is});
      if (const auto* fs = std::get_if<std::vector<float>>(&value))
        return define_as({{static_cast<std::int64_t>(fs->size())}, *fs});
    }
    fail("Constant '" + node.name + "' holds no value");
  }

  /// Files are sorted by rule; not all writers keep it.
  void sort() {
    std::vector<Node> waiting = std::move(pending_);
    while (!waiting.empty()) {
      std::vector<Node> later;
      const std::size_t before = graph_.nodes.size();
      for (Node& node : waiting) {
        const bool ready = std::all_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& input) {
          return input.empty() || defined_.contains(input);
        });
        if (!ready) {
          later.push_back(std::move(node));
          continue;
        }
        for (const std::string& output : node.outputs)
          if (!output.empty()) define(output);
        graph_.nodes.push_back(std::move(node));
      }
      if (graph_.nodes.size() == before) report_unready(later.front());
      waiting = std::move(later);
    }
  }
  [[noreturn]] void report_unready(const Node& node) const {
    for (const std::string& input : node.inputs)
      if (!input.empty() && !defined_.contains(input))
        fail("node '" + node.name + "' reads '" + input + "', which nothing computes before it");
    fail("node '" + node.name + "' can't be ordered");
  }

  const onnx::GraphProto& proto_;
  Graph graph_;
  std::vector<Node> pending_;
  std::unordered_set<std::string> defined_;
  std::unordered_set<std::string> signed_bytes_;  // constants
};

bool ends_with(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

Graph parse_onnx(std::string_view bytes, const std::string& source) {
  constexpr std::string_view kZip = "PK\003\004";
  if (ends_with(source, ".pt") || bytes.substr(0, kZip.size()) == kZip)
    throw ModelError(source + " is a PyTorch file. Export it once: yolo export model=" + source + " format=onnx");
  if (bytes.empty()) throw ModelError(source + ": the file is empty");
  onnx::ModelProto model;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !model.has_graph())
    throw ModelError(source + ": not a complete ONNX file (" + std::to_string(bytes.size()) +
                     " bytes; it may be truncated). Copy or export it again");
  return Importer(model, source).run();
}

}  // namespace gantry::graph
