#include "engine/graph/fusion.hpp"

#include <algorithm>
#include <unordered_set>

#include "engine/graph/attention_match.hpp"
#include "engine/graph/operators.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"

namespace gantry::graph {
namespace {

class Fuser {
 public:
  Fuser(const Model& model, const SizedGraph& sized)
      : model_(model), sized_(sized), graph_(sized.graph), wiring_(sized.graph) {
    result_.dims = sized.dims;
    note_quantizer(graph_.input.name);
  }

  FusedGraph run() {
    for (const Node& node : graph_.nodes)
      if (node.op == "Softmax") fuse_attention(node);
    for (const Node& node : graph_.nodes) {
      if (claimed_.contains(&node)) continue;
      claimed_.insert(&node);
      if (node.op == "Conv") {
        fuse_conv(node);
      } else if (node.op == "MaxPool") {
        fuse_pool(node);
      } else if (node.op == "Split" || node.op == "Slice") {
        view_part(node);
      } else if (node.op == "Concat") {
        view_concat(node);
      } else if (node.op == "Resize") {
        view_resize(node);
      } else if (node.op == "Add") {
        add_op({node.name, node.inputs, "", node.outputs, AddOp{}});
      } else {
        fail(node,
             "stands where Gantry's engine has no pattern for it (known: Conv with SiLU and residual, SPPF, C2PSA "
             "attention, Split, Concat, Resize, MaxPool and Add of maps)");
      }
    }
    require_all_rounded();
    return std::move(result_);
  }

 private:
  /// A file may round where no op of the plan writes: between an activation and its convolution, in the middle of
  /// attention, at a view.
  void require_all_rounded() const {
    for (const auto& [tensor, quantizer] : graph_.quantizers)
      if (sized_.dims.contains(tensor) && !result_.quantizers.contains(tensor) && !rounded_inside_.contains(tensor))
        throw ModelError(graph_.source + ": rounds '" + tensor +
                         "', which the fused plan never holds. Quantise the float model with gantry optimize");
  }
  void note_quantizer(const std::string& tensor) {
    if (const auto found = graph_.quantizers.find(tensor); found != graph_.quantizers.end())
      result_.quantizers.insert(*found);
  }
  [[noreturn]] void fail(const Node& node, const std::string& what) const {
    Call{node, graph_.opset, graph_.source}.fail(what);
  }
  const Dims& dims(const std::string& tensor) const { return sized_.dims_of(tensor); }
  int channels(const std::string& tensor) const { return static_cast<int>(dims(tensor)[1]); }
  bool is_map(const std::string& tensor) const {
    const auto found = sized_.dims.find(tensor);
    return found != sized_.dims.end() && found->second.size() == 4;
  }
  void add_op(FusedOp op) {
    for (const std::string& input : op.inputs)
      if (!is_map(input))
        throw ModelError(graph_.source + ": '" + op.name + "' reads '" + input + "', which is no activation map");
    for (const std::string& output : op.outputs) note_quantizer(output);
    result_.ops.push_back(std::move(op));
  }

  void fuse_attention(const Node& softmax) {
    const auto match = match_attention(sized_, wiring_, softmax);
    if (!match) fail(softmax, "is a softmax outside the attention that YOLO11's C2PSA uses");
    for (const Node* node : match->nodes) claimed_.insert(node);
    const Window window = conv_window(*match->position);
    const auto position = model_.weights(*match->position);
    const int v_channels = match->heads * match->head_dim;
    if (match->position->integer("group", 1) != v_channels || window.stride_h != 1 ||
        window.top != window.kernel_h / 2 || window.kernel_h % 2 == 0)
      fail(*match->position, "isn't the depthwise convolution that C2PSA's attention adds");
    std::optional<Quantizer> position_input;
    const std::string& v = match->position->inputs[0];
    if (const auto found = graph_.quantizers.find(v); found != graph_.quantizers.end()) {
      position_input = found->second;
      rounded_inside_.insert(v);
    }
    add_op({softmax.name,
            {match->input},
            "",
            {match->output},
            AttentionOp{match->heads, match->key_dim, match->head_dim, match->scale, position, position_input}});
  }

  Window conv_window(const Node& node) const {
    const Dims& w = graph_.constant(node.inputs[1])->dims;
    const Window win = window_of({node, graph_.opset, graph_.source}, dims(node.inputs[0]), w[2], w[3]);
    if (win.stride_h != win.stride_w || win.dilation_h != 1 || win.dilation_w != 1 || win.top != win.left ||
        win.top != win.bottom || win.left != win.right || win.kernel_h != win.kernel_w)
      fail(node, "has a kernel, stride, padding or dilation that differs between its sides, or a dilation");
    return win;
  }

  void fuse_conv(const Node& node) {
    if (graph_.constant(node.inputs[1]) == nullptr) fail(node, "has weights that are computed");
    const Window win = conv_window(node);
    ConvOp conv;
    conv.weights = model_.weights(node);
    conv.stride = static_cast<int>(win.stride_h);
    conv.pad = static_cast<int>(win.top);
    conv.groups = static_cast<int>(node.integer("group", 1));
    if (conv.groups != 1 && (conv.groups != channels(node.inputs[0]) || conv.groups != channels(node.outputs[0])))
      fail(node, "is grouped; only plain and depthwise convolutions are supported");
    std::string tensor = node.outputs[0];
    if (const Node* mul = silu_behind(tensor); mul != nullptr) {
      conv.activation = Activation::kSilu;
      tensor = mul->outputs[0];
    }
    std::string residual;
    if (const Node* add = add_behind(tensor); add != nullptr) {
      claimed_.insert(add);
      residual = add->inputs[0] == tensor ? add->inputs[1] : add->inputs[0];
      tensor = add->outputs[0];
    }
    if (!conv.weights->steps.empty()) conv.input = result_.quantizer_of(node.inputs[0]);
    add_op({node.name, {node.inputs[0]}, residual, {tensor}, conv});
  }

  /// The Mul of x * sigmoid(x), where nobody else reads x; claims both nodes.
  const Node* silu_behind(const std::string& x) {
    const auto& readers = wiring_.readers(x);
    if (readers.size() != 2 || wiring_.is_output(x)) return nullptr;
    const std::size_t s = readers[0]->op == "Sigmoid" ? 0 : 1;
    const Node* sigmoid = readers[s];
    const Node* mul = readers[1 - s];
    if (sigmoid->op != "Sigmoid" || mul->op != "Mul" || wiring_.only_reader(sigmoid->outputs[0]) != mul) return nullptr;
    claimed_.insert(sigmoid);
    claimed_.insert(mul);
    return mul;
  }
  const Node* add_behind(const std::string& x) const {
    const Node* add = wiring_.only_reader(x);
    if (add == nullptr || add->op != "Add" || claimed_.contains(add) || add->inputs[0] == add->inputs[1])
      return nullptr;
    const std::string& other = add->inputs[0] == x ? add->inputs[1] : add->inputs[0];
    return is_map(other) && dims(other) == dims(x) ? add : nullptr;
  }

  void fuse_pool(const Node& node) {
    const int kernel = pool_kernel(node);
    // The largest of rounded values is a rounded value.
    const std::optional<Quantizer> quantizer = result_.quantizer_of(node.inputs[0]);
    const auto inherit = [&](const std::vector<std::string>& outputs) {
      for (const std::string& output : outputs)
        if (quantizer) result_.quantizers.emplace(output, *quantizer);
    };
    if (!keeps_size(node)) {
      const Window win = pool_window(node);
      add_op({node.name,
              {node.inputs[0]},
              "",
              {node.outputs[0]},
              MaxPoolOp{kernel, static_cast<int>(win.stride_h), static_cast<int>(win.top)}});
      inherit(node.outputs);
      return;
    }
    FusedOp op{node.name, {node.inputs[0]}, "", {node.outputs[0]}, PoolChainOp{kernel, 1}};
    for (const Node* next = next_pool(op.outputs.back(), kernel); next != nullptr;
         next = next_pool(op.outputs.back(), kernel)) {
      claimed_.insert(next);
      op.outputs.push_back(next->outputs[0]);
    }
    std::get<PoolChainOp>(op.params).stages = static_cast<int>(op.outputs.size());
    const std::vector<std::string> outputs = op.outputs;
    add_op(std::move(op));
    inherit(outputs);
  }
  const Node* next_pool(const std::string& tensor, int kernel) const {
    for (const Node* reader : wiring_.readers(tensor))
      if (reader->op == "MaxPool" && !claimed_.contains(reader) && keeps_size(*reader) &&
          pool_kernel(*reader) == kernel)
        return reader;
    return nullptr;
  }
  Window pool_window(const Node& node) const {
    const auto kernel = node.integers("kernel_shape", {0, 0});
    const Window win = window_of({node, graph_.opset, graph_.source}, dims(node.inputs[0]), kernel[0], kernel[1]);
    if (win.kernel_h != win.kernel_w || win.stride_h != win.stride_w || win.dilation_h != 1 || win.dilation_w != 1 ||
        win.top != win.left)
      fail(node, "has a window that differs between its sides, or a dilation");
    return win;
  }
  int pool_kernel(const Node& node) const { return static_cast<int>(pool_window(node).kernel_h); }
  bool keeps_size(const Node& node) const {
    const Window win = pool_window(node);
    return win.stride_h == 1 && win.kernel_h % 2 == 1 && win.top == win.kernel_h / 2 &&
           dims(node.inputs[0]) == dims(node.outputs[0]);
  }

  // -- views

  void require_channel_axis(const Node& node, std::int64_t axis) const {
    if (!is_map(node.inputs[0]) || (axis != 1 && axis != -3))
      fail(node,
           "works along axis " + std::to_string(axis) + "; between maps only channels (axis 1) are joined or split");
  }
  void view_part(const Node& node) {
    std::vector<int> starts{0};
    if (node.op == "Split") {
      require_channel_axis(node, node.integer("axis", 0));
      for (const std::string& output : node.outputs) starts.push_back(starts.back() + channels(output));
    } else {
      const Tensor* start = graph_.constant(node.inputs[1]);
      const Tensor* axes = node.inputs.size() > 3 ? graph_.constant(node.inputs[3]) : nullptr;
      const bool one_axis = axes != nullptr && axes->ints().size() == 1 && start->ints().size() == 1;
      require_channel_axis(node, one_axis ? axes->ints()[0] : 0);
      const int whole = channels(node.inputs[0]);
      const auto at = static_cast<int>(start->ints()[0]);
      if (node.inputs.size() > 4 && graph_.constant(node.inputs[4])->ints()[0] != 1) fail(node, "skips channels");
      starts[0] = at < 0 ? at + whole : std::min(at, whole);
    }
    const std::vector<Piece> whole = result_.resolve(node.inputs[0]);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      std::vector<Piece> part;
      int at = 0;
      const int begin = starts[i];
      const int end = begin + channels(node.outputs[i]);
      for (const Piece& piece : whole) {
        const int from = std::max(begin, at);
        const int to = std::min(end, at + piece.channels);
        if (from < to) part.push_back({piece.root, piece.channel + from - at, to - from, piece.upsample});
        at += piece.channels;
      }
      result_.views[node.outputs[i]] = std::move(part);
    }
  }
  void view_concat(const Node& node) {
    require_channel_axis(node, node.integer("axis", 0));
    std::vector<Piece> joined;
    for (const std::string& input : node.inputs)
      for (const Piece& piece : result_.resolve(input)) {
        const bool follows = !joined.empty() && joined.back().root == piece.root &&
                             joined.back().upsample == piece.upsample &&
                             joined.back().channel + joined.back().channels == piece.channel;
        if (follows) {
          joined.back().channels += piece.channels;
        } else {
          joined.push_back(piece);
        }
      }
    result_.views[node.outputs[0]] = std::move(joined);
    result_.concats.push_back(node.outputs[0]);
  }
  void view_resize(const Node& node) {
    const Dims& in = dims(node.inputs[0]);
    const Dims& out = dims(node.outputs[0]);
    const std::int64_t factor = out[2] / in[2];
    if (factor != out[3] / in[3] || factor > 2) fail(node, "enlarges other than twofold");
    std::vector<Piece> pieces = result_.resolve(node.inputs[0]);
    for (Piece& piece : pieces) {
      piece.upsample *= static_cast<int>(factor);
      if (piece.upsample > 2) fail(node, "enlarges a map that is enlarged already");
    }
    result_.views[node.outputs[0]] = std::move(pieces);
  }

  const Model& model_;
  const SizedGraph& sized_;
  const Graph& graph_;
  Wiring wiring_;
  std::unordered_set<const Node*> claimed_;
  std::unordered_set<std::string> rounded_inside_;  // tensors that an op rounds on its way
  FusedGraph result_;
};

}  // namespace

std::vector<Piece> FusedGraph::resolve(const std::string& tensor) const {
  const auto found = views.find(tensor);
  if (found != views.end()) return found->second;
  const auto size = dims.find(tensor);
  GANTRY_EXPECTS(size != dims.end() && size->second.size() == 4, "'" + tensor + "' is no activation map");
  return {{tensor, 0, static_cast<int>(size->second[1]), 1}};
}

std::optional<Quantizer> FusedGraph::quantizer_of(const std::string& tensor) const {
  std::optional<Quantizer> common;
  for (const Piece& piece : resolve(tensor)) {
    const auto found = quantizers.find(piece.root);
    if (found == quantizers.end() || (common && *common != found->second)) return std::nullopt;
    common = found->second;
  }
  return common;
}

FusedGraph fuse(const Model& model, const SizedGraph& sized) {
  return Fuser(model, sized).run();
}

}  // namespace gantry::graph
