#include "engine/openvino/detector.hpp"

#include <algorithm>
#include <filesystem>
#include <openvino/frontend/manager.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/fake_quantize.hpp>
#include <optional>

#include "engine/metadata.hpp"
#include "engine/openvino/surgery.hpp"
#include "gantry/core/errors.hpp"

namespace gantry::engine::openvino {
namespace {

namespace fs = std::filesystem;

std::string describe(const ov::Output<const ov::Node>& output) {
  const std::string name = output.get_names().empty() ? "unnamed" : *output.get_names().begin();
  return name + " " + output.get_partial_shape().to_string();
}

std::string describe_outputs(const ov::Model& model) {
  std::string text;
  for (const auto& output : model.outputs()) text += (text.empty() ? "" : ", ") + describe(output);
  return text;
}

[[noreturn]] void not_a_detector(const std::string& path, const std::string& expected, const std::string& found) {
  throw ModelError(path + " is no YOLO detector that Gantry can run: expected " + expected + ", found " + found +
                   ". Export a detection model with: yolo export model=yolo11n.pt format=onnx dynamic=True");
}

std::shared_ptr<ov::Model> read_graph(ov::Core& core, const fs::path& file) {
  if (file.extension() == ".xml" && !fs::exists(fs::path(file).replace_extension(".bin"))) {
    throw ModelError(file.string() + ": its weights are missing; put " +
                     fs::path(file).replace_extension(".bin").filename().string() + " beside it");
  }
  try {
    if (file.extension() != ".onnx") return core.read_model(file.string());
    // The core would have every reader it has look at a damaged file, and TensorFlow's prints what it thinks of it.
    const ov::frontend::FrontEnd::Ptr reader = ov::frontend::FrontEndManager().load_by_framework("onnx");
    return reader->convert(reader->load(file.string()));
  } catch (const std::exception& error) {
    std::string reason = error.what();
    reason.resize(std::min(reason.find_last_not_of(" \n") + 1, reason.size()));
    const auto line = reason.rfind('\n');
    throw ModelError(file.string() +
                     " can't be read as a model; it may be truncated or of another kind. Copy or export it again. (" +
                     (line == std::string::npos ? reason : reason.substr(line + 1)) + ")");
  }
}

ModelMetadata metadata_of(const ov::Model& model, const fs::path& file) {
  const fs::path beside = file.parent_path() / "metadata.yaml";
  if (file.extension() == ".xml" && fs::exists(beside)) return read_metadata_yaml(beside.string());
  std::map<std::string, std::string> properties;
  for (const char* section : {"framework", "model_info"}) {
    const auto found = model.get_rt_info().find(section);
    if (found == model.get_rt_info().end() || !found->second.is<ov::AnyMap>()) continue;
    for (const auto& [key, value] : found->second.as<ov::AnyMap>()) {
      if (value.is<std::string>()) properties.emplace(key, value.as<std::string>());
    }
  }
  return parse_metadata(properties, file.string());
}

/// Fixes every dimension: the file's own where it has one, otherwise the metadata's size, otherwise 640.
InputShape make_static(ov::Model& model, const ModelMetadata& metadata) {
  ov::PartialShape shape = model.input().get_partial_shape();
  const auto side = [](const ov::Dimension& dimension, int stated) {
    return dimension.is_static() ? static_cast<int>(dimension.get_length()) : stated > 0 ? stated : 640;
  };
  const InputShape native{side(shape[3], metadata.image_size.width), side(shape[2], metadata.image_size.height)};
  if (shape.is_dynamic()) {
    const std::int64_t batch = shape[0].is_static() ? shape[0].get_length() : 1;
    model.reshape(ov::PartialShape{batch, 3, native.height, native.width});
  }
  return native;
}

std::string precision_of(const ov::Model& model) {
  bool half = false;
  for (const auto& node : model.get_ops()) {
    if (ov::is_type<ov::op::v0::FakeQuantize>(node)) return "int8";
    if (const auto constant = ov::as_type_ptr<ov::op::v0::Constant>(node)) {
      half |= constant->get_element_type() == ov::element::f16 && ov::shape_size(constant->get_shape()) > 1024;
    }
  }
  return half ? "fp16" : "fp32";
}

bool runs_at(const Detector& detector, InputShape shape) {
  try {
    const auto copy = detector.model->clone();
    copy->reshape(ov::PartialShape{1, 3, shape.height, shape.width});
    for (std::size_t i = 0; i < detector.map_strides.size(); ++i) {
      const ov::Shape map = copy->output(2 * i).get_shape();
      const auto cells = [&](int side) { return static_cast<std::size_t>(side / detector.map_strides[i]); };
      if (map[2] != cells(shape.height) || map[3] != cells(shape.width)) return false;
    }
    return true;
  } catch (const std::exception&) {
    return false;  // shape inference refuses what the graph can't do
  }
}

void check_interface(const ov::Model& model, const ModelMetadata& metadata, const std::string& path) {
  if (!metadata.task.empty() && metadata.task != "detect")
    not_a_detector(path, "the task 'detect'", "the task '" + metadata.task + "'");
  if (model.inputs().size() != 1) not_a_detector(path, "one input", std::to_string(model.inputs().size()) + " inputs");
  const ov::PartialShape input = model.input().get_partial_shape();
  const bool picture = input.rank().is_static() && input.size() == 4 && input[1].compatible(3) &&
                       model.input().get_element_type() == ov::element::f32;
  if (!picture) not_a_detector(path, "a float32 input [batch, 3, height, width]", describe(model.input()));
}

}  // namespace

fs::path model_file(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw ModelError(path + ": no such model file or folder");
  if (fs::is_directory(path, ignored)) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path, ignored)) {
      if (entry.path().extension() == ".xml") found.push_back(entry.path());
    }
    if (found.size() != 1) {
      throw ModelError(path + ": expected one OpenVINO .xml in this folder, found " + std::to_string(found.size()));
    }
    return found.front();
  }
  const std::string ending = fs::path(path).extension().string();
  if (ending == ".pt" || ending == ".pth") {
    throw ModelError(path + " is a PyTorch checkpoint. Gantry runs ONNX; make one with: yolo export model=" + path +
                     " format=onnx dynamic=True");
  }
  if (ending != ".onnx" && ending != ".xml") {
    throw ModelError(path + ": expected an .onnx file, an OpenVINO .xml or its folder");
  }
  return path;
}

Detector read_detector(ov::Core& core, const std::string& path) {
  const fs::path file = model_file(path);
  const std::shared_ptr<ov::Model> graph = read_graph(core, file);
  const ModelMetadata metadata = metadata_of(*graph, file);
  check_interface(*graph, metadata, path);

  Detector detector;
  ModelInfo& info = detector.info;
  info.path = path;
  info.name = file.stem().string();
  info.precision = precision_of(*graph);
  info.stride = metadata.stride > 0 ? metadata.stride : 32;
  info.native_shape = make_static(*graph, metadata);

  const std::string expected = "one output [batch, 4 + classes, anchors]";
  const ov::PartialShape output = graph->outputs().empty() ? ov::PartialShape{} : graph->output(0).get_partial_shape();
  const bool shaped =
      graph->outputs().size() == 1 && output.is_static() && output.size() == 3 && output[1].get_length() > 4;
  if (!shaped) not_a_detector(path, expected, describe_outputs(*graph));
  const auto classes = static_cast<int>(output[1].get_length() - 4);
  const auto anchors = static_cast<std::size_t>(output[2].get_length());
  if (output[2].get_length() == 6)
    not_a_detector(path, expected, describe_outputs(*graph) + ", whose NMS is inside the model");
  info.class_names = metadata.class_names;
  if (info.class_names.empty()) {
    for (int i = 0; i < classes; ++i) info.class_names.push_back("class" + std::to_string(i));
  }
  if (info.class_names.size() != static_cast<std::size_t>(classes)) {
    not_a_detector(path, "4 + " + std::to_string(info.class_names.size()) + " rows, as its class names say",
                   describe_outputs(*graph));
  }

  detector.model = graph;
  const std::vector<RawMaps> maps = find_raw_maps(*graph, classes, anchors);
  if (!maps.empty()) {
    for (const RawMaps& map : maps) {
      detector.map_strides.push_back(info.native_shape.height / static_cast<int>(map.scores.get_shape()[2]));
    }
    detector.model = cut_at(*graph, maps);
    free_attention_shapes(*detector.model);
    const int shorter = std::max(info.stride, info.native_shape.height / 2 / info.stride * info.stride);
    info.any_shape = runs_at(detector, {info.native_shape.width, shorter});
  }
  // A model exported for a fixed batch that can't be made smaller runs with one picture in it.
  if (runs_at(detector, info.native_shape)) {
    detector.model->reshape(ov::PartialShape{1, 3, info.native_shape.height, info.native_shape.width});
  }
  return detector;
}

}  // namespace gantry::engine::openvino
