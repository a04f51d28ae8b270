#include "gantry/engine/graph/graph.hpp"

#include <functional>
#include <numeric>

#include "gantry/core/errors.hpp"

namespace gantry::graph {

std::int64_t element_count(const Dims& dims) noexcept {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i)
    text += (i == 0 ? "" : ", ") + (dims[i] < 0 ? std::string("?") : std::to_string(dims[i]));
  return text + "]";
}

Tensor Tensor::zeros(Dims dims, bool is_float) {
  Tensor tensor;
  const auto count = static_cast<std::size_t>(element_count(dims));
  tensor.dims = std::move(dims);
  if (is_float) {
    tensor.values.emplace<0>(count);
  } else {
    tensor.values.emplace<1>(count);
  }
  return tensor;
}

namespace {

template <typename T>
T attribute(const Node& node, std::string_view key, T otherwise) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return otherwise;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr)
    throw ModelError(node.op + " '" + node.name + "': attribute '" + std::string(key) + "' has the wrong type");
  return *value;
}

}  // namespace

std::int64_t Node::integer(std::string_view key, std::int64_t otherwise) const {
  return attribute<std::int64_t>(*this, key, otherwise);
}
float Node::real(std::string_view key, float otherwise) const {
  return attribute<float>(*this, key, otherwise);
}
std::string Node::text(std::string_view key, std::string_view otherwise) const {
  return attribute<std::string>(*this, key, std::string(otherwise));
}
std::vector<std::int64_t> Node::integers(std::string_view key, std::vector<std::int64_t> otherwise) const {
  return attribute<std::vector<std::int64_t>>(*this, key, std::move(otherwise));
}

const Tensor* Graph::constant(const std::string& name) const noexcept {
  const auto found = constants.find(name);
  return found == constants.end() ? nullptr : found->second.get();
}

}  // namespace gantry::graph
