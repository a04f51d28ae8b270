#include "gantry/engine/graph/model.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "engine/graph/head.hpp"
#include "engine/graph/metadata.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

constexpr int kStride = 32;
constexpr int kDefaultSide = 640;

std::string metadata(const Graph& graph, const char* key) {
  const auto found = graph.metadata.find(key);
  return found == graph.metadata.end() ? std::string() : found->second;
}

void refuse_other_tasks(const Graph& graph) {
  const std::string task = metadata(graph, "task");
  if (!task.empty() && task != "detect")
    throw ModelError(graph.source + ": a model for '" + task + "'; Gantry runs detectors (task detect)");
  if (metadata(graph, "end2end") == "True")
    throw ModelError(graph.source + ": exported with its own NMS (end2end); export with end2end=False, nms=False");
}

int stride_from(const Graph& graph) {
  const std::string text = metadata(graph, "stride");
  const auto listed = parse_ints("[" + text + "]");
  return listed && listed->size() == 1 && listed->front() > 0 ? listed->front() : kStride;
}

/// The rectangle it was exported for: the input's own size, else the metadata's, else Ultralytics' default.
engine::InputShape native_shape(const Graph& graph) {
  const Dims& dims = graph.input.dims;
  if (dims.size() != 4)
    throw ModelError(graph.source + ": input '" + graph.input.name + "' is " + to_string(dims) +
                     ", not pictures [batch, 3, height, width]");
  const auto sizes = parse_ints(metadata(graph, "imgsz"));
  engine::InputShape shape{kDefaultSide, kDefaultSide};
  if (sizes && sizes->size() == 2 && std::min(sizes->at(0), sizes->at(1)) > 0) shape = {sizes->at(1), sizes->at(0)};
  if (dims[2] > 0) shape.height = static_cast<int>(dims[2]);
  if (dims[3] > 0) shape.width = static_cast<int>(dims[3]);
  return shape;
}

std::vector<std::string> class_names(const Graph& graph, int classes) {
  auto names = parse_names(metadata(graph, "names"));
  if (names && static_cast<int>(names->size()) != classes)
    throw ModelError(graph.source + ": names " + std::to_string(names->size()) + " classes in its metadata and has " +
                     std::to_string(classes) + " in its head");
  if (names) return *names;
  std::vector<std::string> numbered;
  for (int i = 0; i < classes; ++i) numbered.push_back("class" + std::to_string(i));
  return numbered;
}

std::string weights_key(const Node& node) {
  return node.inputs[1] + '\n' + (node.inputs.size() > 2 ? node.inputs[2] : std::string());
}

std::shared_ptr<const Weights> repack(const Graph& graph, const Node& node) {
  const Tensor* values = graph.constant(node.inputs[1]);
  const bool has_bias = node.inputs.size() > 2 && !node.inputs[2].empty();
  const Tensor* bias = has_bias ? graph.constant(node.inputs[2]) : nullptr;
  if (values == nullptr || (has_bias && bias == nullptr))
    throw ModelError(graph.source + ": Conv '" + node.name + "': weights that are computed are not supported");
  auto weights = std::make_shared<Weights>();
  weights->name = node.inputs[1];
  weights->out = static_cast<int>(values->dims[0]);
  weights->in = static_cast<int>(values->dims[1]);
  weights->kernel_h = static_cast<int>(values->dims[2]);
  weights->kernel_w = static_cast<int>(values->dims[3]);
  weights->values.reserve(values->floats().size());
  const auto quantized = graph.quantized_constants.find(node.inputs[1]);
  const QuantizedConstant* steps = quantized == graph.quantized_constants.end() ? nullptr : quantized->second.get();
  if (steps != nullptr) weights->scales = steps->scales;
  const std::size_t in = static_cast<std::size_t>(weights->in);
  const std::size_t taps = static_cast<std::size_t>(weights->kernel_h) * static_cast<std::size_t>(weights->kernel_w);
  for (std::size_t o = 0; o < static_cast<std::size_t>(weights->out); ++o)
    for (std::size_t t = 0; t < taps; ++t)
      for (std::size_t i = 0; i < in; ++i) {
        weights->values.push_back(values->floats()[(o * in + i) * taps + t]);
        if (steps != nullptr) weights->steps.push_back(steps->steps[(o * in + i) * taps + t]);
      }
  weights->bias = bias == nullptr ? std::vector<float>(static_cast<std::size_t>(weights->out), 0.0F) : bias->floats();
  return weights;
}

std::string read_file(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file)
    throw ModelError(path + ": can't be opened; check that the file exists, is a file and may be read");
  std::string bytes(size, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) throw ModelError(path + ": can't be read");
  return bytes;
}

}  // namespace

std::string hash_of(std::string_view bytes) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

Model Model::load(const std::string& path) {
  Model model = parse(read_file(path), path);
  model.info_.name = std::filesystem::path(path).stem().string();
  return model;
}

Model Model::parse(std::string_view bytes, const std::string& source) {
  Model model;
  Graph graph = parse_onnx(bytes, source);
  refuse_other_tasks(graph);
  model.hash_ = hash_of(bytes);
  model.info_.native_shape = native_shape(graph);
  const engine::InputShape native = model.info_.native_shape;
  const std::int64_t batch = graph.input.dims[0] > 0 ? graph.input.dims[0] : 1;
  model.graph_ = fold_batch_norms(fold_quantizers(std::move(graph)));
  const SizedGraph whole = specialise(model.graph_, {batch, 3, native.height, native.width});
  model.head_ = find_head(whole);
  model.native_ = specialise(cut(model.graph_, model.head_.tensors()), whole.graph.input.dims);
  for (const Node& node : model.native_.graph.nodes) {
    if (node.op != "Conv") continue;
    auto& weights = model.weights_[weights_key(node)];
    if (weights == nullptr) weights = repack(model.native_.graph, node);
  }
  model.info_.name = source;
  model.info_.path = source;
  model.info_.precision = model.quantized() ? "int8" : "fp32";
  model.info_.stride = stride_from(model.graph_);
  model.info_.class_names = class_names(model.graph_, model.head_.classes);
  model.info_.any_shape = true;
  return model;
}

Graph Model::raw_graph(engine::InputShape shape) const {
  const int stride = info_.stride;
  if (shape.width < stride || shape.height < stride || shape.width % stride != 0 || shape.height % stride != 0)
    throw ModelError(info_.path + ": can't run at " + std::to_string(shape.width) + "x" + std::to_string(shape.height) +
                     "; sides are multiples of " + std::to_string(stride));
  return thaw(cut(graph_, head_.tensors()), native_, shape.height, shape.width);
}

std::shared_ptr<const Weights> Model::weights(const Node& node) const {
  const auto found = weights_.find(weights_key(node));
  GANTRY_EXPECTS(found != weights_.end(), "'" + node.name + "' is no convolution of this model");
  return found->second;
}

}  // namespace gantry::graph
