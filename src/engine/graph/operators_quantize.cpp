// To 8-bit steps and back.
#include <algorithm>
#include <array>

#include "engine/graph/operators.hpp"

namespace gantry::graph::operators {
namespace {

using In = std::span<const Known* const>;
using Values = std::span<const Tensor* const>;

/// One scale for all, or one for each slice along `axis`; zero points likewise, or none.
void require_scales(const Call& call, In in) {
  const Dims& x = in[0]->dims;
  const std::int64_t count = element_count(in[1]->dims);
  const bool per_slice =
      in[1]->dims.size() == 1 && !x.empty() && count == x[axis_of(call, call.node.integer("axis", 1), x.size())];
  if (!in[1]->is_float || (count != 1 && !per_slice)) call.fail("needs one float scale, or one for each slice");
  if (in.size() > 2 && (in[2]->is_float || element_count(in[2]->dims) != count))
    call.fail("needs as many whole zero points as scales");
}

std::vector<Known> infer_quantize(const Call& call, In in) {
  if (!in[0]->is_float) call.fail("needs a float tensor");
  require_scales(call, in);
  return {{in[0]->dims, false, nullptr}};
}
std::vector<Known> infer_dequantize(const Call& call, In in) {
  if (in[0]->is_float) call.fail("needs a tensor of whole numbers");
  require_scales(call, in);
  return {{in[0]->dims, true, nullptr}};
}

/// f(element, scale, zero point) for every element.
template <typename F>
void for_each_scaled(const Call& call, Values in, const F& f) {
  const auto& scales = in[1]->floats();
  std::size_t inner = 1;
  if (scales.size() > 1) {
    const std::size_t axis = axis_of(call, call.node.integer("axis", 1), in[0]->dims.size());
    for (std::size_t d = axis + 1; d < in[0]->dims.size(); ++d) inner *= static_cast<std::size_t>(in[0]->dims[d]);
  }
  const auto count = static_cast<std::size_t>(element_count(in[0]->dims));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t slice = i / inner % scales.size();
    f(i, scales[slice], in.size() > 2 ? in[2]->ints()[slice] : 0);
  }
}

void compute_quantize(const Call& call, Values in, std::span<Tensor> out) {
  const bool is_signed = call.node.integer(kSignedAttribute, 0) != 0;
  for_each_scaled(call, in, [&](std::size_t i, float scale, std::int64_t zero) {
    const Quantizer quantizer{scale, static_cast<int>(zero), is_signed ? -128 : 0, is_signed ? 127 : 255};
    out[0].ints()[i] = quantizer.quantize(in[0]->floats()[i]);
  });
}
void compute_dequantize(const Call& call, Values in, std::span<Tensor> out) {
  for_each_scaled(call, in, [&](std::size_t i, float scale, std::int64_t zero) {
    out[0].floats()[i] = static_cast<float>(in[0]->ints()[i] - zero) * scale;
  });
}

constexpr std::array kOperators{
    Operator{"QuantizeLinear", 2, 3, infer_quantize, compute_quantize},
    Operator{"DequantizeLinear", 2, 3, infer_dequantize, compute_dequantize},
};

}  // namespace

std::span<const Operator> quantize_operators() noexcept {
  return kOperators;
}

}  // namespace gantry::graph::operators
