#pragma once
// What each ONNX operator means: the size of its results, and the results themselves in float32, plainly computed. The
// table is also the list of supported operators.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/engine/graph/graph.hpp"

namespace gantry::graph {

/// A tensor as shape inference knows it. `constant` is null where only its size is known.
struct Known {
  Dims dims;
  bool is_float = true;
  const Tensor* constant = nullptr;
};

/// One node with what it needs to be judged by.
struct Call {
  const Node& node;
  int opset;
  const std::string& source;
  [[noreturn]] void fail(const std::string& what) const;  ///< throws ModelError naming file, operator and node
};

/// In both, an optional input that is left out is a null pointer.
using Infer = std::vector<Known> (*)(const Call& call, std::span<const Known* const> in);
/// `out` holds zeros of the inferred sizes.
using Compute = void (*)(const Call& call, std::span<const Tensor* const> in, std::span<Tensor> out);

/// What the importer notes at a QuantizeLinear whose zero point is a signed byte: tensors in memory don't say.
inline constexpr std::string_view kSignedAttribute = "signed";

struct Operator {
  std::string_view name;
  std::size_t min_inputs;
  std::size_t max_inputs;
  Infer infer;
  Compute compute;
};

[[nodiscard]] const Operator* find_operator(std::string_view name) noexcept;

/// Sizes of a node's results. @throws ModelError
[[nodiscard]] std::vector<Known> infer_node(const Call& call, std::span<const Known* const> in);
/// A node's results. @throws ModelError
[[nodiscard]] std::vector<Tensor> evaluate_node(const Call& call, std::span<const Tensor* const> in);

// Helpers that operators and graph passes share.
/// Geometry of a 2-D convolution or pool after auto_pad and defaults.
struct Window {
  std::int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  std::int64_t top, left, bottom, right;
};
[[nodiscard]] Window window_of(const Call& call, const Dims& in, std::int64_t kernel_h, std::int64_t kernel_w);
/// `axis` counted from the front. @throws ModelError where it is outside -rank … rank - 1
[[nodiscard]] std::size_t axis_of(const Call& call, std::int64_t axis, std::size_t rank);

namespace operators {  // one function an operator group, filled in operators_*.cpp
[[nodiscard]] std::span<const Operator> shape_operators() noexcept;
[[nodiscard]] std::span<const Operator> math_operators() noexcept;
[[nodiscard]] std::span<const Operator> quantize_operators() noexcept;
}  // namespace operators

}  // namespace gantry::graph
