#include "graph/onnx_builder.hpp"

#include <cmath>
#include <numeric>
#include <set>

namespace gantry::test {
namespace {

const std::set<std::string> kLists{"pads", "strides", "dilations", "kernel_shape", "perm", "axes", "split"};

/// Layers of a detector on top of a builder.
class Layers {
 public:
  Layers(OnnxBuilder& builder, const MiniYolo& wanted) : b_(builder), wanted_(wanted) {}

  struct Map {
    std::string name;
    std::int64_t channels, height, width;
  };

  Map conv(const std::string& path, const Map& x, std::int64_t out, std::int64_t k, std::int64_t stride = 1,
           bool silu = true, bool depthwise = false) {
    b_.scope(path);
    const std::int64_t in = depthwise ? 1 : x.channels;
    const float spread = 2.4F / std::sqrt(static_cast<float>(in * k * k));
    std::vector<std::string> inputs{x.name, b_.noise({out, in, k, k}, spread)};
    if (!wanted_.batch_norm) inputs.push_back(b_.noise({out}, 0.5F));
    std::string y = b_.node("Conv", inputs,
                            {{"kernel_shape", {k, k}},
                             {"strides", {stride, stride}},
                             {"dilations", {1, 1}},
                             {"pads", {k / 2, k / 2, k / 2, k / 2}},
                             {"group", {depthwise ? x.channels : 1}}});
    if (wanted_.batch_norm) {
      std::vector<float> variance(static_cast<std::size_t>(out));
      for (std::size_t i = 0; i < variance.size(); ++i) variance[i] = 0.5F + 0.1F * static_cast<float>(i % 7);
      y = b_.node("BatchNormalization",
                  {y, b_.noise({out}, 2), b_.noise({out}, 1), b_.noise({out}, 1), b_.floats({out}, variance)});
    }
    if (silu) y = b_.node("Mul", {y, b_.node("Sigmoid", {y})});
    return {y, out, x.height / stride, x.width / stride};
  }

  std::vector<Map> split(const Map& x, const std::vector<std::int64_t>& sizes) {
    std::vector<std::string> names;
    if (wanted_.slices) {
      std::int64_t at = 0;
      for (const std::int64_t size : sizes) {
        names.push_back(b_.node("Slice", {x.name, b_.ints({at}), b_.ints({at + size}), b_.ints({1}), b_.ints({1})}));
        at += size;
      }
    } else {
      names = split_axis(x.name, sizes, 1);
    }
    std::vector<Map> parts;
    for (std::size_t i = 0; i < sizes.size(); ++i) parts.push_back({names[i], sizes[i], x.height, x.width});
    return parts;
  }
  Map concat(const std::vector<Map>& maps) {
    Map joined{"", 0, maps[0].height, maps[0].width};
    std::vector<std::string> names;
    for (const Map& map : maps) {
      names.push_back(map.name);
      joined.channels += map.channels;
    }
    joined.name = b_.node("Concat", names, {{"axis", {1}}});
    return joined;
  }
  Map add(const Map& a, const Map& b) { return {b_.node("Add", {a.name, b.name}), a.channels, a.height, a.width}; }

  Map c3k2(const std::string& path, const Map& x, std::int64_t out) {
    const std::int64_t c = out / 2;
    auto parts = split(conv(path + "/cv1", x, out, 1), {c, c});
    const Map hidden = conv(path + "/m.0/cv1", parts[1], c, 3);
    parts.push_back(add(parts[1], conv(path + "/m.0/cv2", hidden, c, 3)));
    return conv(path + "/cv2", concat(parts), out, 1);
  }
  Map bottleneck(const std::string& path, const Map& x, std::int64_t hidden) {
    return add(x, conv(path + "/cv2", conv(path + "/cv1", x, hidden, 3), x.channels, 3));
  }
  Map c3k(const std::string& path, const Map& x) {
    Map y = conv(path + "/cv1", x, x.channels / 2, 1);
    for (const char* step : {"/m.0", "/m.1"}) y = bottleneck(path + step, y, y.channels);
    return conv(path + "/cv3", concat({y, conv(path + "/cv2", x, x.channels / 2, 1)}), x.channels, 1);
  }
  /// As in a whole YOLO11: `count` blocks of `inner` channels, each a bottleneck or a C3k.
  Map c3k2(const std::string& path, const Map& x, std::int64_t out, std::int64_t inner, int count, bool deep) {
    auto parts = split(conv(path + "/cv1", x, 2 * inner, 1), {inner, inner});
    for (int i = 0; i < count; ++i) {
      const std::string step = path + "/m." + std::to_string(i);
      parts.push_back(deep ? c3k(step, parts.back()) : bottleneck(step, parts.back(), inner / 2));
    }
    return conv(path + "/cv2", concat(parts), out, 1);
  }
  Map sppf(const std::string& path, const Map& x) {
    std::vector<Map> maps{conv(path + "/cv1", x, x.channels / 2, 1)};
    for (int i = 0; i < 3; ++i) {
      Map pooled = maps.back();
      pooled.name =
          b_.node("MaxPool", {pooled.name}, {{"kernel_shape", {5, 5}}, {"strides", {1, 1}}, {"pads", {2, 2, 2, 2}}});
      maps.push_back(pooled);
    }
    return conv(path + "/cv2", concat(maps), x.channels, 1);
  }
  Map attention(const std::string& path, const Map& x, std::int64_t heads = 2) {
    const std::int64_t hd = x.channels / heads, kd = hd / 2, area = x.height * x.width;
    const Map qkv = conv(path + "/qkv", x, heads * (2 * kd + hd), 1, 1, false);
    b_.scope(path);
    const std::string flat = b_.node("Reshape", {qkv.name, b_.ints({lead(), heads, 2 * kd + hd, area})});
    auto parts = split_axis(flat, {kd, kd, hd}, 2);
    const std::string scale = b_.scalar(1 / std::sqrt(static_cast<float>(kd)));
    if (!wanted_.joined_head) parts[0] = b_.node("Mul", {parts[0], scale});
    std::string score = b_.node("MatMul", {b_.node("Transpose", {parts[0]}, {{"perm", {0, 1, 3, 2}}}), parts[1]});
    if (wanted_.joined_head) score = b_.node("Mul", {score, scale});
    const std::string soft = b_.node("Softmax", {score}, {{"axis", {wanted_.opset < 13 ? 3 : -1}}});
    const std::string seen = b_.node("MatMul", {parts[2], b_.node("Transpose", {soft}, {{"perm", {0, 1, 3, 2}}})});
    const std::string shape = b_.ints({lead(), x.channels, x.height, x.width});
    const Map out{b_.node("Reshape", {seen, shape}), x.channels, x.height, x.width};
    const Map v{b_.node("Reshape", {parts[2], shape}), x.channels, x.height, x.width};
    const Map place = conv(path + "/pe", v, x.channels, 3, 1, false, true);
    return conv(path + "/proj", add(out, place), x.channels, 1, 1, false);
  }
  Map c2psa(const std::string& path, const Map& x, std::int64_t heads = 2, int count = 1) {
    auto parts = split(conv(path + "/cv1", x, x.channels, 1), {x.channels / 2, x.channels / 2});
    Map b = parts[1];
    for (int i = 0; i < count; ++i) {
      const std::string step = count == 1 ? path : path + "/m." + std::to_string(i);
      b = add(b, attention(step + "/attn", b, heads));
      const Map hidden = conv(step + "/ffn.0", b, 2 * b.channels, 1);
      b = add(b, conv(step + "/ffn.1", hidden, b.channels, 1, 1, false));
    }
    return conv(path + "/cv2", concat({parts[0], b}), x.channels, 1);
  }
  Map upsample(const Map& x) {
    const std::string roi = wanted_.opset < 13 ? b_.floats({0}, {}) : "";
    std::vector<std::string> inputs{x.name, roi};
    if (wanted_.resize_sizes) {
      inputs.push_back(wanted_.opset < 13 ? b_.floats({0}, {}) : "");
      inputs.push_back(b_.ints({1, x.channels, 2 * x.height, 2 * x.width}));
    } else {
      inputs.push_back(b_.floats({4}, {1, 1, 2, 2}));
    }
    const std::string y = b_.node("Resize", inputs);
    b_.text("mode", "nearest");
    b_.text("coordinate_transformation_mode", "asymmetric");
    b_.text("nearest_mode", "floor");
    return {y, x.channels, 2 * x.height, 2 * x.width};
  }

  void head(const std::vector<Map>& maps) {
    const std::int64_t nc = wanted_.classes;
    std::vector<Map> boxes, scores;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const std::string at = "head/cv2." + std::to_string(i);
      boxes.push_back(conv(at + "/1", conv(at + "/0", maps[i], 16, 3), 64, 1, 1, false));
      const std::string cls = "head/cv3." + std::to_string(i);
      const Map d = conv(cls + "/0", maps[i], maps[i].channels, 3, 1, true, true);
      scores.push_back(conv(cls + "/2", conv(cls + "/1", d, 16, 1), nc, 1, 1, false));
    }
    join(maps, boxes, scores);
  }
  /// As in a whole YOLO11.
  void whole_head(const std::string& path, const std::vector<Map>& maps) {
    const std::int64_t nc = wanted_.classes, box = std::max<std::int64_t>(64, maps[0].channels / 4),
                       cls = std::max(maps[0].channels, std::min<std::int64_t>(nc, 100));
    std::vector<Map> boxes, scores;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const std::string b = path + "/cv2." + std::to_string(i), c = path + "/cv3." + std::to_string(i);
      const Map hidden = conv(b + "/1", conv(b + "/0", maps[i], box, 3), box, 3);
      boxes.push_back(conv(b + "/2", hidden, 64, 1, 1, false));
      Map y = conv(c + "/0.1", conv(c + "/0.0", maps[i], maps[i].channels, 3, 1, true, true), cls, 1);
      y = conv(c + "/1.1", conv(c + "/1.0", y, cls, 3, 1, true, true), cls, 1);
      scores.push_back(conv(c + "/2", y, nc, 1, 1, false));
    }
    join(maps, boxes, scores);
  }
  void join(const std::vector<Map>& maps, const std::vector<Map>& boxes, const std::vector<Map>& scores) {
    const std::int64_t nc = wanted_.classes;
    std::int64_t anchors = 0;
    for (const Map& map : maps) anchors += map.height * map.width;
    b_.scope("head");
    std::string box, cls;
    const auto flatten = [&](const std::vector<Map>& levels) {
      std::vector<std::string> flat;
      for (const Map& map : levels) flat.push_back(b_.node("Reshape", {map.name, b_.ints({lead(), map.channels, -1})}));
      return b_.node("Concat", flat, {{"axis", {2}}});
    };
    if (wanted_.joined_head) {
      std::vector<Map> both;
      for (std::size_t i = 0; i < maps.size(); ++i) both.push_back(concat({boxes[i], scores[i]}));
      const auto parts = split_axis(flatten(both), {64, nc}, 1);
      box = parts[0];
      cls = parts[1];
    } else {
      box = flatten(boxes);
      cls = flatten(scores);
    }
    decode(box, cls, maps, anchors);
  }

 private:
  std::int64_t lead() const { return wanted_.dynamic_batch ? 0 : 1; }
  std::vector<std::string> split_axis(const std::string& x, const std::vector<std::int64_t>& sizes, std::int64_t axis) {
    if (b_.opset() < 13) return b_.nodes("Split", {x}, sizes.size(), {{"axis", {axis}}, {"split", sizes}});
    return b_.nodes("Split", {x, b_.ints(sizes)}, sizes.size(), {{"axis", {axis}}});
  }

  void decode(const std::string& box, const std::string& cls, const std::vector<Map>& maps, std::int64_t anchors) {
    std::string t = b_.node("Reshape", {box, b_.ints({lead(), 4, 16, anchors})});
    if (b_.opset() < 13) {  // softmax was two-dimensional: the exporter moves the axis to the end and back
      t = b_.node("Softmax", {b_.node("Transpose", {t}, {{"perm", {0, 3, 1, 2}}})}, {{"axis", {3}}});
      t = b_.node("Transpose", {t}, {{"perm", {0, 3, 2, 1}}});
    } else {
      t = b_.node("Softmax", {b_.node("Transpose", {t}, {{"perm", {0, 2, 1, 3}}})}, {{"axis", {1}}});
    }
    std::vector<float> steps(16);
    std::iota(steps.begin(), steps.end(), 0.0F);
    t = b_.node("Conv", {t, b_.floats({1, 16, 1, 1}, steps)}, {{"kernel_shape", {1, 1}}});
    const std::string distances = b_.node("Reshape", {t, b_.ints({lead(), 4, anchors})});
    std::vector<float> x, y, stride;
    for (const Map& map : maps)
      for (std::int64_t i = 0; i < map.height * map.width; ++i) {
        x.push_back(static_cast<float>(i % map.width) + 0.5F);
        y.push_back(static_cast<float>(i / map.width) + 0.5F);
        stride.push_back(static_cast<float>(wanted_.height_px / map.height));
      }
    x.insert(x.end(), y.begin(), y.end());
    const std::string centre = b_.floats({1, 2, anchors}, x);
    const auto part = [&](std::int64_t from) {
      return b_.node("Slice", {distances, b_.ints({from}), b_.ints({from + 2}), b_.ints({1})});
    };
    const std::string lt = b_.node("Sub", {centre, part(0)});
    const std::string rb = b_.node("Add", {centre, part(2)});
    const std::string mid = b_.node("Div", {b_.node("Add", {lt, rb}), b_.scalar(2)});
    const std::string xywh = b_.node("Concat", {mid, b_.node("Sub", {rb, lt})}, {{"axis", {1}}});
    const std::string pixels = b_.node("Mul", {xywh, b_.floats({1, anchors}, stride)});
    b_.output(b_.node("Concat", {pixels, b_.node("Sigmoid", {cls})}, {{"axis", {1}}}));
  }

  OnnxBuilder& b_;
  MiniYolo wanted_;
};

}  // namespace

OnnxBuilder::OnnxBuilder(int opset, const Ints& input) : opset_(opset) {
  model_.set_ir_version(8);
  model_.add_opset_import()->set_version(opset);
  auto* port = model_.mutable_graph()->add_input();
  port->set_name(input_);
  auto* type = port->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t d : input) {
    auto* dim = type->mutable_shape()->add_dim();
    if (d > 0) {
      dim->set_dim_value(d);
    } else {
      dim->set_dim_param("open");
    }
  }
}

std::vector<std::string> OnnxBuilder::nodes(const std::string& op, const std::vector<std::string>& inputs,
                                            std::size_t outputs, const Attributes& attributes) {
  auto* node = model_.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name("/" + scope_ + "/" + op + "_" + std::to_string(next_++));
  for (const std::string& input : inputs) node->add_input(input);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < outputs; ++i) {
    names.push_back(node->name() + "_output_" + std::to_string(i));
    node->add_output(names.back());
  }
  for (const auto& [key, values] : attributes) {
    auto* attribute = node->add_attribute();
    attribute->set_name(key);
    if (kLists.contains(key)) {
      attribute->set_type(onnx::AttributeProto::INTS);
      for (const std::int64_t v : values) attribute->add_ints(v);
    } else {
      attribute->set_type(onnx::AttributeProto::INT);
      attribute->set_i(values.at(0));
    }
  }
  return names;
}
std::string OnnxBuilder::node(const std::string& op, const std::vector<std::string>& inputs,
                              const Attributes& attributes) {
  return nodes(op, inputs, 1, attributes).front();
}
void OnnxBuilder::text(const std::string& key, const std::string& value) {
  auto* attribute = model_.mutable_graph()->mutable_node()->rbegin()->add_attribute();
  attribute->set_name(key);
  attribute->set_type(onnx::AttributeProto::STRING);
  attribute->set_s(value);
}

std::string OnnxBuilder::ints(const Ints& values) {
  auto* tensor = model_.mutable_graph()->add_initializer();
  tensor->set_name("ints_" + std::to_string(next_++));
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t v : values) tensor->add_int64_data(v);
  return tensor->name();
}
std::string OnnxBuilder::floats(const Ints& dims, const std::vector<float>& values) {
  auto* tensor = model_.mutable_graph()->add_initializer();
  tensor->set_name("floats_" + std::to_string(next_++));
  tensor->set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t d : dims) tensor->add_dims(d);
  tensor->set_raw_data(values.data(), values.size() * sizeof(float));
  return tensor->name();
}
std::string OnnxBuilder::scalar(float value) {
  return floats({}, {value});
}
std::string OnnxBuilder::noise(const Ints& dims, float spread) {
  std::vector<float> values(
      static_cast<std::size_t>(std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>())));
  for (float& v : values) v = (static_cast<float>(random_() >> 8) * 0x1p-24F - 0.5F) * spread;
  return floats(dims, values);
}

void OnnxBuilder::metadata(const std::string& key, const std::string& value) {
  auto* property = model_.add_metadata_props();
  property->set_key(key);
  property->set_value(value);
}
void OnnxBuilder::output(const std::string& tensor) {
  model_.mutable_graph()->add_output()->set_name(tensor);
}

OnnxBuilder mini_yolo(const MiniYolo& wanted) {
  OnnxBuilder b(wanted.opset, {wanted.dynamic_batch ? -1 : 1, 3, wanted.height_px, wanted.width_px});
  Layers net(b, wanted);
  const std::int64_t w = wanted.width;
  Layers::Map x{b.input(), 3, wanted.height_px, wanted.width_px};
  x = net.conv("model.0", x, w, 3, 2);
  x = net.conv("model.1", x, 2 * w, 3, 2);
  x = net.c3k2("model.2", x, 2 * w);
  const auto p3 = net.c3k2("model.4", net.conv("model.3", x, 4 * w, 3, 2), 4 * w);
  auto p4 = net.sppf("model.6", net.conv("model.5", p3, 8 * w, 3, 2));
  if (wanted.attention) p4 = net.c2psa("model.7", p4);
  const auto o3 = net.c3k2("model.10", net.concat({net.upsample(p4), p3}), 4 * w);
  const auto o4 = net.c3k2("model.13", net.concat({net.conv("model.11", o3, 4 * w, 3, 2), p4}), 8 * w);
  net.head({o3, o4});
  b.metadata("stride", "16");
  b.metadata("task", "detect");
  b.metadata("imgsz", "[" + std::to_string(wanted.height_px) + ", " + std::to_string(wanted.width_px) + "]");
  std::string names = "{";
  for (int i = 0; i < wanted.classes; ++i)
    names += (i == 0 ? "" : ", ") + std::to_string(i) + ": 'kind " + std::to_string(i) + "'";
  b.metadata("names", names + "}");
  return b;
}

OnnxBuilder yolo11(char size) {
  struct Scale {
    double depth, width;
    std::int64_t most;
    bool deep;
  };
  const Scale scale = size == 'n'   ? Scale{0.5, 0.25, 1024, false}
                      : size == 's' ? Scale{0.5, 0.5, 1024, false}
                      : size == 'm' ? Scale{0.5, 1, 512, true}
                      : size == 'l' ? Scale{1, 1, 512, true}
                                    : Scale{1, 1.5, 512, true};
  MiniYolo wanted;
  wanted.classes = 80, wanted.height_px = wanted.width_px = 640;
  OnnxBuilder b(wanted.opset, {1, 3, 640, 640});
  Layers net(b, wanted);
  const auto channels = [&](std::int64_t full) {
    return static_cast<std::int64_t>(static_cast<double>(std::min(full, scale.most)) * scale.width);
  };
  const std::int64_t c2 = channels(128), c3 = channels(256), c4 = channels(512), c5 = channels(1024);
  const int n = scale.depth < 1 ? 1 : 2;
  Layers::Map x{b.input(), 3, 640, 640};
  x = net.conv("model.1", net.conv("model.0", x, c2 / 2, 3, 2), c2, 3, 2);
  x = net.conv("model.3", net.c3k2("model.2", x, c3, c3 / 4, n, scale.deep), c3, 3, 2);
  const auto p3 = net.c3k2("model.4", x, c4, c4 / 4, n, scale.deep);
  const auto p4 = net.c3k2("model.6", net.conv("model.5", p3, c4, 3, 2), c4, c4 / 2, n, true);
  x = net.c3k2("model.8", net.conv("model.7", p4, c5, 3, 2), c5, c5 / 2, n, true);
  const auto p5 = net.c2psa("model.10", net.sppf("model.9", x), c5 / 128, n);
  const auto t4 = net.c3k2("model.13", net.concat({net.upsample(p5), p4}), c4, c4 / 2, n, scale.deep);
  const auto o3 = net.c3k2("model.16", net.concat({net.upsample(t4), p3}), c3, c3 / 2, n, scale.deep);
  const auto o4 = net.c3k2("model.19", net.concat({net.conv("model.17", o3, c3, 3, 2), t4}), c4, c4 / 2, n, scale.deep);
  const auto o5 = net.c3k2("model.22", net.concat({net.conv("model.20", o4, c4, 3, 2), p5}), c5, c5 / 2, n, true);
  net.whole_head("model.23", {o3, o4, o5});
  b.metadata("stride", "32");
  b.metadata("task", "detect");
  b.metadata("imgsz", "[640, 640]");
  return b;
}

}  // namespace gantry::test
