#include "engine/graph/layout.hpp"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace gantry::graph {
namespace {

int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

class LayoutMaker {
 public:
  LayoutMaker(FusedGraph& graph, const std::string& input, const PlanOptions& options)
      : graph_(graph), input_(input), options_(options) {}

  Layout run() {
    place_input();
    // From the back, so that a join of joins is laid out as a whole.
    for (auto concat = graph_.concats.rbegin(); concat != graph_.concats.rend(); ++concat) place_concat(*concat);
    for (const FusedOp& op : graph_.ops)
      for (const std::string& output : op.outputs)
        if (!layout_.roots.contains(output)) place_alone(output);
    copy_where_needed();
    set_quantizers();
    return std::move(layout_);
  }

 private:
  /// Bytes where all that lies in a buffer is rounded alike.
  void set_quantizers() {
    if (!options_.quantized) return;
    std::vector<std::optional<Quantizer>> common(layout_.buffers.size());
    std::vector<bool> mixed(layout_.buffers.size(), false);
    for (const auto& [tensor, view] : layout_.roots) {
      const auto buffer = static_cast<std::size_t>(view.buffer);
      const auto found = graph_.quantizers.find(tensor);
      if (found == graph_.quantizers.end() || (common[buffer] && *common[buffer] != found->second))
        mixed[buffer] = true;
      else
        common[buffer] = found->second;
    }
    for (std::size_t i = 0; i < common.size(); ++i) {
      Buffer& buffer = layout_.buffers[i];
      if (mixed[i] || !common[i]) continue;
      buffer.quantizer = common[i];
      if (!buffer.external) buffer.type = DataType::kInt8;
    }
  }

  int add_buffer(const std::string& name, int height, int width, int channels, int pitch) {
    Buffer buffer;
    buffer.name = name;
    buffer.height = height;
    buffer.width = width;
    buffer.channels = channels;
    buffer.pitch = pitch;
    buffer.type = options_.activations;
    layout_.buffers.push_back(std::move(buffer));
    return static_cast<int>(layout_.buffers.size()) - 1;
  }
  int add_buffer(const std::string& tensor, int channels) {
    const Dims& dims = graph_.dims.at(tensor);
    return add_buffer(tensor, static_cast<int>(dims[2]), static_cast<int>(dims[3]), channels,
                      round_up(channels, options_.channel_multiple));
  }

  void place_input() {
    const Dims& dims = graph_.dims.at(input_);
    const int buffer =
        add_buffer(input_, static_cast<int>(dims[2]), static_cast<int>(dims[3]), 3, options_.input_pitch);
    layout_.buffers[static_cast<std::size_t>(buffer)].external = true;
    layout_.roots[input_] = {buffer, 0, 3, 1};
  }
  void place_alone(const std::string& tensor) {
    const auto channels = static_cast<int>(graph_.dims.at(tensor)[1]);
    layout_.roots[tensor] = {add_buffer(tensor, channels), 0, channels, 1};
  }

  void place_concat(const std::string& tensor) {
    const std::vector<Piece> pieces = graph_.resolve(tensor);
    std::unordered_set<std::string> seen;
    int channels = 0;
    for (const Piece& piece : pieces) {
      const bool whole = piece.channel == 0 && piece.channels == graph_.dims.at(piece.root)[1];
      if (!whole || piece.upsample != 1 || layout_.roots.contains(piece.root) || !seen.insert(piece.root).second ||
          channels % options_.channel_multiple != 0)
        return;
      channels += piece.channels;
    }
    const int buffer = add_buffer(tensor, channels);
    int at = 0;
    for (const Piece& piece : pieces) {
      layout_.roots[piece.root] = {buffer, at, piece.channels, 1};
      at += piece.channels;
    }
  }

  // -- what an op can't read in place

  /// 1x1 convolutions read several views, enlarged ones too: each is a stretch of their reduction.
  bool reads_views(const FusedOp& op) const {
    const auto* conv = std::get_if<ConvOp>(&op.params);
    return conv != nullptr && conv->groups == 1 && conv->weights->kernel_h * conv->weights->kernel_w == 1 &&
           conv->stride == 1 && conv->pad == 0;
  }
  void copy_where_needed() {
    std::vector<FusedOp> ops;
    std::unordered_set<std::string> copied;
    for (FusedOp& op : graph_.ops) {
      const auto prepare = [&](const std::string& tensor, std::size_t most, bool enlarged) {
        if (tensor.empty() || copied.contains(tensor)) return;
        const std::vector<View> views = views_of(graph_, layout_, tensor);
        const bool plain = std::all_of(views.begin(), views.end(), [](const View& v) { return v.upsample == 1; });
        if (views.size() <= most && (plain || enlarged)) return;
        copied.insert(tensor);
        materialise(tensor, ops);
      };
      const bool many = reads_views(op);
      for (const std::string& input : op.inputs)
        prepare(input, many ? static_cast<std::size_t>(options_.max_views) : 1, many);
      prepare(op.residual, 1, false);
      ops.push_back(std::move(op));
    }
    graph_.ops = std::move(ops);
  }

  /// Gives a viewed tensor a buffer of its own, filled by one copy a piece; from here on it is computed, not viewed.
  void materialise(const std::string& tensor, std::vector<FusedOp>& ops) {
    const std::vector<Piece> pieces = graph_.resolve(tensor);
    const int buffer = add_buffer(tensor, static_cast<int>(graph_.dims.at(tensor)[1]));
    std::vector<Piece> copies;
    int at = 0;
    for (const Piece& piece : pieces) {
      const std::string id = tensor + ".copy" + std::to_string(copies.size());
      const std::string source = id + ".source";
      graph_.views[source] = {piece};
      Dims dims = graph_.dims.at(tensor);
      dims[1] = piece.channels;
      graph_.dims[id] = graph_.dims[source] = dims;
      layout_.roots[id] = {buffer, at, piece.channels, 1};
      if (const auto found = graph_.quantizers.find(piece.root); found != graph_.quantizers.end())
        graph_.quantizers.insert_or_assign(id, Quantizer(found->second));
      ops.push_back({"copy of " + tensor, {source}, "", {id}, CopyOp{}});
      copies.push_back({id, 0, piece.channels, 1});
      at += piece.channels;
    }
    graph_.views[tensor] = std::move(copies);
  }

  FusedGraph& graph_;
  std::string input_;
  const PlanOptions& options_;
  Layout layout_;
};

}  // namespace

Layout lay_out(FusedGraph& graph, const std::string& input, const PlanOptions& options) {
  return LayoutMaker(graph, input, options).run();
}

std::vector<View> views_of(const FusedGraph& graph, const Layout& layout, const std::string& tensor) {
  std::vector<View> views;
  for (const Piece& piece : graph.resolve(tensor)) {
    const View& root = layout.roots.at(piece.root);
    const View view{root.buffer, root.channel + piece.channel, piece.channels, piece.upsample};
    const bool follows = !views.empty() && views.back().buffer == view.buffer &&
                         views.back().upsample == view.upsample &&
                         views.back().channel + views.back().channels == view.channel;
    if (follows) {
      views.back().channels += view.channels;
    } else {
      views.push_back(view);
    }
  }
  return views;
}

}  // namespace gantry::graph
