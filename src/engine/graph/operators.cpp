#include "engine/graph/operators.hpp"

#include <algorithm>

#include "gantry/core/errors.hpp"

namespace gantry::graph {

void Call::fail(const std::string& what) const {
  throw ModelError(source + ": " + node.op + " '" + node.name + "': " + what);
}

const Operator* find_operator(std::string_view name) noexcept {
  for (const auto table : {operators::shape_operators(), operators::math_operators(), operators::quantize_operators()})
    for (const Operator& op : table)
      if (op.name == name) return &op;
  return nullptr;
}

std::vector<std::string> supported_operators() {
  std::vector<std::string> names{"Constant"};
  for (const auto table : {operators::shape_operators(), operators::math_operators(), operators::quantize_operators()})
    for (const Operator& op : table) names.emplace_back(op.name);
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

/// Sizes that damage makes: negative, empty where a map is meant, or beyond what any picture needs.
void require_sane(const Call& call, const Known& result) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  std::int64_t count = 1;
  for (const std::int64_t d : result.dims) {
    if (d < 0 || (d > 0 && count > kMost / d))
      call.fail("computes a tensor of the impossible size " + to_string(result.dims));
    count *= d;
  }
  if (count == 0 && result.is_float && result.dims.size() == 4)
    call.fail("computes an empty map " + to_string(result.dims));
}

}  // namespace

std::vector<Known> infer_node(const Call& call, std::span<const Known* const> in) {
  const Operator* op = find_operator(call.node.op);
  if (op == nullptr) call.fail("the operator is not supported");
  std::vector<Known> out = op->infer(call, in);
  if (out.size() < call.node.outputs.size())
    call.fail("has " + std::to_string(call.node.outputs.size()) + " outputs where it computes " +
              std::to_string(out.size()));
  for (const Known& result : out) require_sane(call, result);
  return out;
}

std::vector<Tensor> evaluate_node(const Call& call, std::span<const Tensor* const> in) {
  std::vector<Known> known(in.size());
  std::vector<const Known*> pointers(in.size(), nullptr);
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] == nullptr) continue;
    known[i] = {in[i]->dims, in[i]->is_float(), in[i]};
    pointers[i] = &known[i];
  }
  std::vector<Tensor> out;
  for (Known& result : infer_node(call, pointers))
    out.push_back(Tensor::zeros(std::move(result.dims), result.is_float));
  find_operator(call.node.op)->compute(call, in, out);
  return out;
}

std::size_t axis_of(const Call& call, std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n)
    call.fail("axis " + std::to_string(axis) + " of a tensor with " + std::to_string(rank) + " dimensions");
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

}  // namespace gantry::graph
