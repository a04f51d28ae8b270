#pragma once
// How many results of a quantised plan, run by the CpuExecutor, lie within one step of a float32 run of the file.
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "gantry/engine/graph/executor.hpp"
#include "gantry/engine/graph/interpreter.hpp"

namespace gantry::precision {

using TensorsByName = std::map<std::string, graph::Tensor>;

/// Everything that a graph computes from one picture.
inline TensorsByName run_graph(const graph::Graph& graph, const graph::Tensor& picture) {
  TensorsByName tensors;
  static_cast<void>(graph::Interpreter(graph).run(picture, [&](const graph::Node&, const std::string& name,
                                                               const graph::Tensor& value) { tensors[name] = value; }));
  return tensors;
}

struct Agreement {
  std::size_t results = 0, equal = 0, within_a_step = 0;
  std::size_t rounded = 0;  ///< results of the ops whose outputs are rounded
  [[nodiscard]] double share(std::size_t count) const {
    return static_cast<double>(count) / static_cast<double>(results);
  }
};

/// `expected` holds each of the plan's tensors as the file's readers see it. A result that isn't rounded has no step of
/// its own: a 127th of the map's largest value stands for it.
inline Agreement compare_plan(const graph::Plan& plan, const graph::Tensor& picture, const TensorsByName& expected) {
  Agreement agreement;
  graph::CpuExecutor executor(plan);
  executor.run(picture.floats(), 1, [&](int index, int image) {
    const graph::Op& op = executor.plan().ops[static_cast<std::size_t>(index)];
    for (std::size_t i = 0; i < op.tensors.size(); ++i) {
      const graph::ConstMap found = executor.map(op.outputs[i], image);
      const std::vector<float>& wanted = expected.at(op.tensors[i]).floats();
      float step = 0;
      for (const float value : wanted) step = std::max(step, std::abs(value) / 127);
      if (op.quantizers[i]) step = op.quantizers[i]->scale;
      for (int c = 0; c < found.channels; ++c)
        for (int p = 0; p < found.height * found.width; ++p) {
          const float a = wanted[static_cast<std::size_t>(c * found.height * found.width + p)];
          const float b = found.data[std::ptrdiff_t{p} * found.pitch + c];
          const float difference = std::abs(a - b);
          ++agreement.results;
          agreement.rounded += op.quantizers[i] ? 1 : 0;
          agreement.equal += difference <= 0.001F * step ? 1 : 0;
          agreement.within_a_step += difference <= 1.001F * step ? 1 : 0;
        }
    }
  });
  return agreement;
}

}  // namespace gantry::precision
