// Operators that move, cut and describe tensors.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/graph/operators.hpp"

namespace gantry::graph::operators {
namespace {

using In = std::span<const Known* const>;
using Values = std::span<const Tensor* const>;
using Out = std::span<Tensor>;

Known like(const Known& in, Dims dims) {
  return {std::move(dims), in.is_float, nullptr};
}

/// The integers of an input that must be known while the graph is read.
const std::vector<std::int64_t>& constant_ints(const Call& call, In in, std::size_t index, const char* what) {
  if (in[index]->constant == nullptr)
    call.fail(std::string(what) + " depends on the picture's contents; only constants and sizes are supported");
  if (in[index]->is_float) call.fail(std::string(what) + " isn't an integer tensor");
  return in[index]->constant->ints();
}

/// Axes as an input (opset 13 and later) or an attribute.
std::vector<std::int64_t> axes_of(const Call& call, In in) {
  if (in.size() > 1 && in[1] != nullptr) return constant_ints(call, in, 1, "axes");
  return call.node.integers("axes", {});
}

void copy_values(const Tensor& from, Tensor& to) {
  to.values = from.values;
}
void copy_first(const Call& /*call*/, Values in, Out out) {
  copy_values(*in[0], out[0]);
}

template <typename F>
void visit_pair(const Tensor& in, Tensor& out, F f) {
  if (in.is_float()) {
    f(in.floats(), out.floats());
  } else {
    f(in.ints(), out.ints());
  }
}

// -- Identity, Reshape, Squeeze, Unsqueeze, Flatten: the values stay

std::vector<Known> infer_identity(const Call& /*call*/, In in) {
  return {like(*in[0], in[0]->dims)};
}

std::vector<Known> infer_reshape(const Call& call, In in) {
  const auto& target = constant_ints(call, in, 1, "the new shape");
  const Dims& from = in[0]->dims;
  const bool allow_zero = call.node.integer("allowzero", 0) != 0;
  Dims to = target;
  std::int64_t known = 1;
  std::ptrdiff_t open = -1;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (to[i] == 0 && !allow_zero) {
      if (i >= from.size()) call.fail("copies dimension " + std::to_string(i) + " of " + to_string(from));
      to[i] = from[i];
    }
    if (to[i] == -1 && open < 0) {
      open = static_cast<std::ptrdiff_t>(i);
    } else if (__builtin_mul_overflow(known, to[i], &known)) {
      call.fail("can't make " + to_string(target) + " of " + to_string(from));
    }
  }
  const std::int64_t count = element_count(from);
  if (open >= 0 && known > 0 && count % known == 0) to[static_cast<std::size_t>(open)] = count / known;
  if (std::any_of(to.begin(), to.end(), [](std::int64_t d) { return d < 0; }) || element_count(to) != count)
    call.fail("can't make " + to_string(target) + " of " + to_string(from));
  return {like(*in[0], to)};
}

std::vector<Known> infer_squeeze(const Call& call, In in) {
  Dims dims = in[0]->dims;
  std::vector<bool> drop(dims.size(), false);
  const auto axes = axes_of(call, in);
  for (const std::int64_t a : axes) drop[axis_of(call, a, dims.size())] = true;
  Dims kept;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (axes.empty() ? dims[i] == 1 : drop[i]) {
      if (dims[i] != 1) call.fail("squeezes a dimension of " + std::to_string(dims[i]));
    } else {
      kept.push_back(dims[i]);
    }
  }
  return {like(*in[0], kept)};
}

std::vector<Known> infer_unsqueeze(const Call& call, In in) {
  const auto axes = axes_of(call, in);
  const std::size_t rank = in[0]->dims.size() + axes.size();
  std::vector<bool> fresh(rank, false);
  for (const std::int64_t a : axes) fresh[axis_of(call, a, rank)] = true;
  if (static_cast<std::size_t>(std::count(fresh.begin(), fresh.end(), true)) != axes.size())
    call.fail("repeats an axis");
  Dims dims;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) dims.push_back(fresh[i] ? 1 : in[0]->dims[next++]);
  return {like(*in[0], dims)};
}

// -- Shape, Gather, Slice, Concat, Split, Transpose, Expand

std::vector<Known> infer_shape(const Call& call, In in) {
  const auto rank = static_cast<std::int64_t>(in[0]->dims.size());
  const auto clamp = [rank](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t begin = clamp(call.node.integer("start", 0));
  const std::int64_t end = clamp(call.node.integer("end", rank));
  return {{{std::max<std::int64_t>(0, end - begin)}, false, nullptr}};
}
void compute_shape(const Call& call, Values in, Out out) {
  const auto rank = static_cast<std::int64_t>(in[0]->dims.size());
  const std::int64_t start = call.node.integer("start", 0);
  const std::int64_t begin = std::clamp<std::int64_t>(start < 0 ? start + rank : start, 0, rank);
  for (std::size_t i = 0; i < out[0].ints().size(); ++i)
    out[0].ints()[i] = in[0]->dims[static_cast<std::size_t>(begin) + i];
}

std::vector<Known> infer_gather(const Call& call, In in) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  if (in[1]->is_float) call.fail("indices aren't integers");
  Dims dims(in[0]->dims.begin(), in[0]->dims.begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), in[1]->dims.begin(), in[1]->dims.end());
  dims.insert(dims.end(), in[0]->dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, in[0]->dims.end());
  return {like(*in[0], dims)};
}
void compute_gather(const Call& call, Values in, Out out) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  const std::int64_t size = in[0]->dims[axis];
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < in[0]->dims.size(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : in[0]->dims[i];
  visit_pair(*in[0], out[0], [&](const auto& from, auto& to) {
    auto next = to.begin();
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t index : in[1]->ints()) {
        if (index < 0) index += size;
        if (index < 0 || index >= size) call.fail("index " + std::to_string(index) + " of " + std::to_string(size));
        next = std::copy_n(from.begin() + (o * size + index) * inner, inner, next);
      }
  });
}

struct Range1 {
  std::int64_t start, step, count;
};
std::vector<Range1> slice_ranges(const Call& call, const Dims& dims, std::span<const std::vector<std::int64_t>> args) {
  std::vector<Range1> ranges;
  for (const std::int64_t d : dims) ranges.push_back({0, 1, d});
  const auto& starts = args[0];
  const auto& ends = args[1];
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t axis = axis_of(call, args[2].empty() ? static_cast<std::int64_t>(i) : args[2].at(i), dims.size());
    const std::int64_t step = args[3].empty() ? 1 : args[3].at(i);
    if (step < 1) call.fail("slices backwards, which is not supported");
    const std::int64_t d = dims[axis];
    const std::int64_t start = std::clamp<std::int64_t>(starts[i] < 0 ? starts[i] + d : starts[i], 0, d);
    const std::int64_t end = std::clamp<std::int64_t>(ends.at(i) < 0 ? ends.at(i) + d : ends.at(i), 0, d);
    ranges[axis] = {start, step, std::max<std::int64_t>(0, (end - start + step - 1) / step)};
  }
  return ranges;
}
std::vector<Known> infer_slice(const Call& call, In in) {
  std::array<std::vector<std::int64_t>, 4> args;
  for (std::size_t i = 1; i < in.size(); ++i)
    if (in[i] != nullptr) args[i - 1] = constant_ints(call, in, i, "the cut");
  if (args[0].size() != args[1].size()) call.fail("has starts and ends of different lengths");
  for (std::size_t i = 2; i < 4; ++i)
    if (!args[i].empty() && args[i].size() != args[0].size()) call.fail("has starts and axes of different lengths");
  Dims dims;
  for (const Range1& range : slice_ranges(call, in[0]->dims, args)) dims.push_back(range.count);
  return {like(*in[0], dims)};
}
void compute_slice(const Call& call, Values in, Out out) {
  std::array<std::vector<std::int64_t>, 4> args;
  for (std::size_t i = 1; i < in.size(); ++i)
    if (in[i] != nullptr) args[i - 1] = in[i]->ints();
  const auto ranges = slice_ranges(call, in[0]->dims, args);
  if (element_count(out[0].dims) == 0) return;
  const std::size_t rank = ranges.size();
  std::vector<std::int64_t> stride(rank, 1);
  for (std::size_t i = rank; i-- > 1;) stride[i - 1] = stride[i] * in[0]->dims[i];
  std::int64_t base = 0;
  for (std::size_t i = 0; i < rank; ++i) base += ranges[i].start * stride[i];
  visit_pair(*in[0], out[0], [&](const auto& from, auto& to) {
    std::vector<std::int64_t> at(rank, 0);
    for (auto& value : to) {
      std::int64_t offset = base;
      for (std::size_t i = 0; i < rank; ++i) offset += at[i] * ranges[i].step * stride[i];
      value = from[static_cast<std::size_t>(offset)];
      for (std::size_t i = rank; i-- > 0;) {
        if (++at[i] < ranges[i].count) break;
        at[i] = 0;
      }
    }
  });
}

std::vector<Known> infer_concat(const Call& call, In in) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  Dims dims = in[0]->dims;
  for (std::size_t i = 1; i < in.size(); ++i) {
    if (in[i] == nullptr) call.fail("an input is left out");
    Dims expected = dims;
    if (in[i]->dims.size() == dims.size()) expected[axis] = in[i]->dims[axis];
    if (in[i]->dims != expected || in[i]->is_float != in[0]->is_float)
      call.fail("joins " + to_string(in[0]->dims) + " and " + to_string(in[i]->dims) + " along axis " +
                std::to_string(axis));
    dims[axis] += in[i]->dims[axis];
  }
  return {like(*in[0], dims)};
}
void compute_concat(const Call& call, Values in, Out out) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < out[0].dims.size(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : out[0].dims[i];
  const std::int64_t row = out[0].dims[axis] * inner;
  std::int64_t at = 0;
  for (const Tensor* part : in) {
    const std::int64_t run = part->dims[axis] * inner;
    visit_pair(*part, out[0], [&](const auto& from, auto& to) {
      for (std::int64_t o = 0; o < outer; ++o) std::copy_n(from.begin() + o * run, run, to.begin() + o * row + at);
    });
    at += run;
  }
}

std::vector<Known> infer_split(const Call& call, In in) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  const std::int64_t whole = in[0]->dims[axis];
  std::vector<std::int64_t> sizes =
      in.size() > 1 && in[1] != nullptr ? constant_ints(call, in, 1, "the split") : call.node.integers("split", {});
  if (sizes.empty()) {
    const auto parts = static_cast<std::int64_t>(call.node.outputs.size());
    const std::int64_t each = (whole + parts - 1) / parts;
    for (std::int64_t left = whole; left > 0; left -= each) sizes.push_back(std::min(each, left));
  }
  std::vector<Known> out;
  std::int64_t sum = 0;
  for (const std::int64_t size : sizes) {
    Dims dims = in[0]->dims;
    dims[axis] = size;
    if (size < 0 || size > whole)
      call.fail("splits " + std::to_string(whole) + " into a part of " + std::to_string(size));
    sum += size;
    out.push_back(like(*in[0], dims));
  }
  if (sum != whole) call.fail("splits " + std::to_string(whole) + " into parts that make " + std::to_string(sum));
  return out;
}
void compute_split(const Call& call, Values in, Out out) {
  const std::size_t axis = axis_of(call, call.node.integer("axis", 0), in[0]->dims.size());
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < in[0]->dims.size(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : in[0]->dims[i];
  const std::int64_t row = in[0]->dims[axis] * inner;
  std::int64_t at = 0;
  for (Tensor& part : out) {
    const std::int64_t run = part.dims[axis] * inner;
    visit_pair(*in[0], part, [&](const auto& from, auto& to) {
      for (std::int64_t o = 0; o < outer; ++o) std::copy_n(from.begin() + o * row + at, run, to.begin() + o * run);
    });
    at += run;
  }
}

std::vector<std::size_t> permutation(const Call& call, std::size_t rank) {
  const auto perm = call.node.integers("perm", {});
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < rank; ++i)
    order.push_back(perm.empty() ? rank - 1 - i : axis_of(call, i < perm.size() ? perm[i] : -99, rank));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < rank; ++i)
    if (sorted[i] != i) call.fail("perm isn't a permutation");
  return order;
}
std::vector<Known> infer_transpose(const Call& call, In in) {
  Dims dims;
  for (const std::size_t axis : permutation(call, in[0]->dims.size())) dims.push_back(in[0]->dims[axis]);
  return {like(*in[0], dims)};
}
void compute_transpose(const Call& call, Values in, Out out) {
  const std::size_t rank = in[0]->dims.size();
  const auto order = permutation(call, rank);
  std::vector<std::int64_t> stride(rank, 1);
  for (std::size_t i = rank; i-- > 1;) stride[i - 1] = stride[i] * in[0]->dims[i];
  visit_pair(*in[0], out[0], [&](const auto& from, auto& to) {
    std::vector<std::int64_t> at(rank, 0);
    std::int64_t offset = 0;
    for (auto& value : to) {
      value = from[static_cast<std::size_t>(offset)];
      for (std::size_t i = rank; i-- > 0;) {
        offset += stride[order[i]];
        if (++at[i] < out[0].dims[i]) break;
        offset -= stride[order[i]] * out[0].dims[i];
        at[i] = 0;
      }
    }
  });
}

std::vector<Known> infer_expand(const Call& call, In in) {
  const Dims& to = constant_ints(call, in, 1, "the new shape");
  const Dims& from = in[0]->dims;
  const std::size_t rank = std::max(from.size(), to.size());
  Dims dims(rank, 1);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t a = i + from.size() >= rank ? from[i + from.size() - rank] : 1;
    const std::int64_t b = i + to.size() >= rank ? to[i + to.size() - rank] : 1;
    if (a != b && a != 1 && b != 1) call.fail("can't expand " + to_string(from) + " to " + to_string(to));
    dims[i] = a == 1 ? b : a;
  }
  return {like(*in[0], dims)};
}
void compute_expand(const Call& /*call*/, Values in, Out out) {
  const Dims& dims = out[0].dims;
  const std::size_t rank = dims.size();
  const std::size_t lead = rank - in[0]->dims.size();
  std::vector<std::int64_t> stride(rank, 0);
  std::int64_t step = 1;
  for (std::size_t i = rank; i-- > lead;) {
    const std::int64_t d = in[0]->dims[i - lead];
    stride[i] = d == 1 ? 0 : step;
    step *= d;
  }
  visit_pair(*in[0], out[0], [&](const auto& from, auto& to) {
    std::vector<std::int64_t> at(rank, 0);
    for (auto& value : to) {
      std::int64_t offset = 0;
      for (std::size_t i = 0; i < rank; ++i) offset += at[i] * stride[i];
      value = from[static_cast<std::size_t>(offset)];
      for (std::size_t i = rank; i-- > 0;) {
        if (++at[i] < dims[i]) break;
        at[i] = 0;
      }
    }
  });
}

// -- Range, ConstantOfShape, Cast

double scalar(const Call& call, const Known& known) {
  if (known.constant == nullptr || element_count(known.dims) != 1) call.fail("needs a constant scalar");
  return known.is_float ? static_cast<double>(known.constant->floats()[0])
                        : static_cast<double>(known.constant->ints()[0]);
}
std::vector<Known> infer_range(const Call& call, In in) {
  const double step = scalar(call, *in[2]);
  if (step == 0) call.fail("has step 0");
  const double count = std::ceil((scalar(call, *in[1]) - scalar(call, *in[0])) / step);
  if (!(count < 1e9)) call.fail("is too long");
  return {like(*in[0], {static_cast<std::int64_t>(std::max(0.0, count))})};
}
void compute_range(const Call& /*call*/, Values in, Out out) {
  visit_pair(*in[0], out[0], [&](const auto& from, auto& to) {
    using T = typename std::remove_reference_t<decltype(to)>::value_type;
    const T step = std::get<std::vector<T>>(in[2]->values)[0];
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[0] + static_cast<T>(i) * step;
  });
}

std::vector<Known> infer_constant_of_shape(const Call& call, In in) {
  const auto found = call.node.attributes.find("value");
  const TensorPtr* value = found == call.node.attributes.end() ? nullptr : std::get_if<TensorPtr>(&found->second);
  const Dims& dims = constant_ints(call, in, 0, "the shape");
  for (const std::int64_t d : dims)
    if (d < 0) call.fail("has the negative size " + to_string(dims));
  return {{dims, value == nullptr || (*value)->is_float(), nullptr}};
}
void compute_constant_of_shape(const Call& call, Values /*in*/, Out out) {
  const auto found = call.node.attributes.find("value");
  if (found == call.node.attributes.end()) return;
  const Tensor& value = *std::get<TensorPtr>(found->second);
  visit_pair(value, out[0], [](const auto& from, auto& to) { std::fill(to.begin(), to.end(), from.at(0)); });
}

bool cast_to_float(const Call& call) {
  switch (call.node.integer("to", 0)) {  // TensorProto.DataType
    case 1:                              // float
    case 10:                             // float16
    case 11:
      return true;  // double
    case 2:         // uint8
    case 3:         // int8
    case 6:         // int32
    case 7:         // int64
    case 9:
      return false;  // bool
    default:
      call.fail("casts to type " + std::to_string(call.node.integer("to", 0)) + ", which is not supported");
  }
}
std::vector<Known> infer_cast(const Call& call, In in) {
  return {{in[0]->dims, cast_to_float(call), nullptr}};
}
void compute_cast(const Call& /*call*/, Values in, Out out) {
  const auto convert = [&](const auto& from) {
    if (out[0].is_float()) {
      std::transform(from.begin(), from.end(), out[0].floats().begin(), [](auto v) { return static_cast<float>(v); });
    } else {
      std::transform(from.begin(), from.end(), out[0].ints().begin(),
                     [](auto v) { return static_cast<std::int64_t>(v); });
    }
  };
  std::visit(convert, in[0]->values);
}

constexpr std::size_t kMany = 1024;
constexpr std::array kOperators{
    Operator{"Identity", 1, 1, infer_identity, copy_first},
    Operator{"Reshape", 2, 2, infer_reshape, copy_first},
    Operator{"Squeeze", 1, 2, infer_squeeze, copy_first},
    Operator{"Unsqueeze", 1, 2, infer_unsqueeze, copy_first},
    Operator{"Shape", 1, 1, infer_shape, compute_shape},
    Operator{"Gather", 2, 2, infer_gather, compute_gather},
    Operator{"Slice", 3, 5, infer_slice, compute_slice},
    Operator{"Concat", 1, kMany, infer_concat, compute_concat},
    Operator{"Split", 1, 2, infer_split, compute_split},
    Operator{"Transpose", 1, 1, infer_transpose, compute_transpose},
    Operator{"Expand", 2, 2, infer_expand, compute_expand},
    Operator{"Range", 3, 3, infer_range, compute_range},
    Operator{"ConstantOfShape", 1, 1, infer_constant_of_shape, compute_constant_of_shape},
    Operator{"Cast", 1, 1, infer_cast, compute_cast},
};

}  // namespace

std::span<const Operator> shape_operators() noexcept {
  return kOperators;
}

}  // namespace gantry::graph::operators
