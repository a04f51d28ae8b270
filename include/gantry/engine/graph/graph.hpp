#pragma once
// An ONNX graph in memory, as exported: nodes in topological order, constants, names. Plain data, no protobuf.
// Read-only after import, so it may be shared between threads. Owner: engine/graph.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "gantry/engine/graph/quantizer.hpp"

namespace gantry::graph {

using Dims = std::vector<std::int64_t>;
[[nodiscard]] std::int64_t element_count(const Dims& dims) noexcept;
[[nodiscard]] std::string to_string(const Dims& dims);  ///< "[1, 3, 640, 640]"

/// A dense row-major array. Every float type is held as float, every integer and bool as int64. No dims: a scalar.
struct Tensor {
  Dims dims;
  std::variant<std::vector<float>, std::vector<std::int64_t>> values;

  [[nodiscard]] bool is_float() const noexcept { return values.index() == 0; }
  [[nodiscard]] std::vector<float>& floats() { return std::get<0>(values); }
  [[nodiscard]] const std::vector<float>& floats() const { return std::get<0>(values); }
  [[nodiscard]] std::vector<std::int64_t>& ints() { return std::get<1>(values); }
  [[nodiscard]] const std::vector<std::int64_t>& ints() const { return std::get<1>(values); }

  /// Zeros of that size.
  [[nodiscard]] static Tensor zeros(Dims dims, bool is_float);
};
using TensorPtr = std::shared_ptr<const Tensor>;

using Attribute =
    std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>, TensorPtr>;

struct Node {
  std::string op;                   ///< "Conv"
  std::string name;                 ///< as in the file; "Conv of <output>" where the file has none
  std::vector<std::string> inputs;  ///< tensor names; empty: an optional input that is left out
  std::vector<std::string> outputs;
  std::map<std::string, Attribute, std::less<>> attributes;

  /// The attribute, or `otherwise` where it is absent. @throws ModelError where it has another type.
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t otherwise) const;
  [[nodiscard]] float real(std::string_view key, float otherwise) const;
  [[nodiscard]] std::string text(std::string_view key, std::string_view otherwise) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key, std::vector<std::int64_t> otherwise) const;
};

/// A graph input or output; -1 is a dimension that the file leaves open.
struct Port {
  std::string name;
  Dims dims;
};

struct Graph {
  std::string source;  ///< the file's name, for messages
  int opset = 0;
  std::vector<Node> nodes;
  std::unordered_map<std::string, TensorPtr> constants;
  Port input;
  std::vector<Port> outputs;
  std::map<std::string, std::string> metadata;
  /// Of a quantised file once fold_quantizers() has seen it: tensors that are rounded as soon as they are computed, and
  /// constants (held as floats like all others) that are 8-bit steps in the file.
  std::unordered_map<std::string, Quantizer> quantizers;
  std::unordered_map<std::string, std::shared_ptr<const QuantizedConstant>> quantized_constants;

  [[nodiscard]] const Tensor* constant(const std::string& name) const noexcept;
};

/// Reads an ONNX file's bytes; `source` names it in messages. Checks what the rest of this folder relies on: one float
/// input, every tensor defined once and before its use, constants as large as they say. @throws ModelError
[[nodiscard]] Graph parse_onnx(std::string_view bytes, const std::string& source);

/// The operators that evaluation, planning or both understand, sorted.
[[nodiscard]] std::vector<std::string> supported_operators();

}  // namespace gantry::graph
