#include "gantry/engine/graph/check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "gantry/core/expects.hpp"
#include "gantry/engine/graph/executor.hpp"
#include "gantry/engine/graph/interpreter.hpp"

namespace gantry::graph {
namespace {

/// The file's own graph runs at the size that it leaves open or was exported for.
bool runs_whole(const Model& model, engine::InputShape shape, int batch) {
  const Dims& dims = model.graph().input.dims;
  const Dims asked{batch, 3, shape.height, shape.width};
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] > 0 && dims[i] != asked[i]) return false;
  return true;
}

}  // namespace

double LayerError::relative() const noexcept {
  return difference / std::max(scale, static_cast<double>(std::numeric_limits<float>::min()));
}

LayerCheck::LayerCheck(const Model& model, const Plan& plan, std::span<const float> images_nchw, int batch) {
  std::set<std::string> wanted;
  for (const Op& op : plan.ops) wanted.insert(op.tensors.begin(), op.tensors.end());
  Tensor input;
  input.dims = {batch, 3, plan.shape.height, plan.shape.width};
  input.values = std::vector<float>(images_nchw.begin(), images_nchw.end());
  const bool whole = runs_whole(model, plan.shape, batch);
  const Interpreter interpreter(whole ? model.graph() : model.raw_graph(plan.shape));
  const auto outputs =
      interpreter.run(input, [&](const Node& /*node*/, const std::string& tensor, const Tensor& value) {
        if (wanted.contains(tensor)) keep(tensor, value);
      });
  if (whole) compare_decode(model, plan, outputs.front());
}

void LayerCheck::keep(const std::string& tensor, const Tensor& value) {
  Kept kept{static_cast<int>(value.dims[2]), static_cast<int>(value.dims[3]), static_cast<int>(value.dims[1]), {}};
  const auto channels = static_cast<std::size_t>(kept.channels);
  const std::size_t pixels = static_cast<std::size_t>(kept.height) * static_cast<std::size_t>(kept.width);
  kept.values.resize(value.floats().size());
  for (std::size_t n = 0; n < static_cast<std::size_t>(value.dims[0]); ++n)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t p = 0; p < pixels; ++p)
        kept.values[(n * pixels + p) * channels + c] = value.floats()[(n * channels + c) * pixels + p];
  kept_[tensor] = std::move(kept);
}

ConstMap LayerCheck::expected(const Op& op, std::size_t output, int image) const {
  const auto found = kept_.find(op.tensors.at(output));
  GANTRY_EXPECTS(found != kept_.end(),
                 "'" + op.tensors.at(output) + "' is no tensor of the plan that this was made for");
  const Kept& kept = found->second;
  const std::size_t size = static_cast<std::size_t>(kept.height) * static_cast<std::size_t>(kept.width) *
                           static_cast<std::size_t>(kept.channels);
  GANTRY_EXPECTS((static_cast<std::size_t>(image) + 1) * size <= kept.values.size(), "the batch has fewer images");
  return {kept.values.data() + static_cast<std::size_t>(image) * size,
          kept.height,
          kept.width,
          kept.channels,
          kept.channels,
          1};
}

LayerError LayerCheck::compare(const Plan& plan, int op, std::size_t output, int image, const ConstMap& found) const {
  const Op& checked = plan.ops.at(static_cast<std::size_t>(op));
  const ConstMap reference = expected(checked, output, image);
  GANTRY_EXPECTS(
      found.height == reference.height && found.width == reference.width && found.channels == reference.channels,
      "the result's size differs from the float32 run's");
  LayerError error;
  error.op = op;
  error.node = checked.name;
  error.tensor = checked.tensors[output];
  error.image = image;
  const auto quantizer = output < checked.quantizers.size() ? checked.quantizers[output] : std::nullopt;
  // A step, and what float arithmetic makes of its multiples.
  const double step = quantizer ? 1.001 * static_cast<double>(quantizer->scale) : 0;
  for (int y = 0; y < found.height; ++y)
    for (int x = 0; x < found.width; ++x)
      for (int c = 0; c < found.channels; ++c) {
        const float a = reference.at(y, x)[c];
        const float b = found.at(y, x)[c];
        const double difference = std::abs(static_cast<double>(a) - b);
        error.scale = std::max(error.scale, std::abs(static_cast<double>(a)));
        error.rounded += quantizer ? 1 : 0;
        error.beyond_a_step += quantizer && !(difference <= step) ? 1 : 0;
        if (difference <= error.difference || std::isnan(error.difference)) continue;
        error.difference = difference;  // a NaN enters here, as it compares to nothing, and stays
        error.y = y;
        error.x = x;
        error.channel = c;
        error.expected = a;
        error.found = b;
      }
  return error;
}

void LayerCheck::compare_decode(const Model& model, const Plan& plan, const Tensor& output) {
  const auto* detect = plan.ops.back().as<DetectOp>();
  const Dims& dims = output.dims;
  if (detect == nullptr || dims.size() != 3 || dims[1] != 4 + detect->classes) return;
  const auto anchors = static_cast<std::size_t>(dims[2]);
  DecodeError error;
  for (int image = 0; image < static_cast<int>(dims[0]); ++image) {
    std::vector<ConstMap> maps;
    for (const std::string& tensor : model.head().tensors()) {
      Op named;
      named.tensors = {tensor};
      maps.push_back(expected(named, 0, image));
    }
    std::vector<Detection> decoded;
    decode_reference(*detect, maps, {-1.0F, false}, decoded);  // a threshold that every anchor passes
    if (decoded.size() != anchors) return;
    const float* rows =
        output.floats().data() + static_cast<std::size_t>(image) * static_cast<std::size_t>(dims[1]) * anchors;
    for (std::size_t a = 0; a < anchors; ++a) {
      const auto row = [&](int r) { return static_cast<double>(rows[static_cast<std::size_t>(r) * anchors + a]); };
      double best = 0;
      for (int c = 0; c < detect->classes; ++c) best = std::max(best, row(4 + c));
      const Detection& d = decoded[a];
      error.score = std::max(error.score, std::abs(best - d.confidence));
      if (best <= 0.25) continue;
      error.box =
          std::max({error.box, std::abs(row(0) - row(2) / 2 - d.box.x1), std::abs(row(1) - row(3) / 2 - d.box.y1),
                    std::abs(row(0) + row(2) / 2 - d.box.x2), std::abs(row(1) + row(3) / 2 - d.box.y2)});
    }
  }
  decode_ = error;
}

std::vector<LayerError> check_on_cpu(const LayerCheck& check, const Plan& plan, std::span<const float> images_nchw,
                                     int batch, CheckMode mode) {
  CpuExecutor executor(plan);
  std::map<std::pair<int, std::size_t>, LayerError> worst;
  executor.run(images_nchw, batch, [&](int index, int image) {
    const Op& op = executor.plan().ops[static_cast<std::size_t>(index)];
    for (std::size_t output = 0; output < op.tensors.size(); ++output) {
      LayerError error = check.compare(executor.plan(), index, output, image, executor.map(op.outputs[output], image));
      if (mode == CheckMode::kIsolated)
        executor.overwrite(op.outputs[output], image, check.expected(op, output, image));
      auto [entry, fresh] = worst.try_emplace({index, output}, error);
      if (fresh) continue;
      LayerError& kept = entry->second;
      error.rounded += kept.rounded;
      error.beyond_a_step += kept.beyond_a_step;
      if (error.within(kept.relative())) {
        kept.rounded = error.rounded;
        kept.beyond_a_step = error.beyond_a_step;
      } else {
        kept = std::move(error);
      }
    }
  });
  std::vector<LayerError> errors;
  for (auto& [key, error] : worst) errors.push_back(std::move(error));
  return errors;
}

std::vector<float> drawn_images(engine::InputShape shape, int batch) {
  std::mt19937 random(20'11);  // its sequence is fixed by the standard, unlike the distributions'
  const auto uniform = [&random] { return static_cast<float>(random() >> 8) * 0x1p-24F; };
  std::vector<float> images;
  images.reserve(static_cast<std::size_t>(batch) * 3 * static_cast<std::size_t>(shape.width * shape.height));
  constexpr int kRectangles = 24;
  for (int n = 0; n < batch; ++n) {
    float corner[kRectangles][4];
    for (auto& rectangle : corner)
      for (float& side : rectangle) side = uniform();
    for (int c = 0; c < 3; ++c) {
      float level[kRectangles];
      for (float& value : level) value = uniform();
      for (int y = 0; y < shape.height; ++y)
        for (int x = 0; x < shape.width; ++x) {
          const float u = static_cast<float>(x) / static_cast<float>(shape.width);
          const float v = static_cast<float>(y) / static_cast<float>(shape.height);
          float value = 0.3F + 0.4F * v;
          for (int r = 0; r < kRectangles; ++r) {
            const bool inside = u >= corner[r][0] && v >= corner[r][1] && u < corner[r][0] + 0.3F * corner[r][2] &&
                                v < corner[r][1] + 0.3F * corner[r][3];
            if (inside) value = level[r];
          }
          images.push_back(std::clamp(value + 0.1F * (uniform() - 0.5F), 0.0F, 1.0F));
        }
    }
  }
  return images;
}

}  // namespace gantry::graph
