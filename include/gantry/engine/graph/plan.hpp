#pragma once
// The fused plan of a detector: what a back end executes. A Plan is plain data for one input rectangle and any batch,
// made by make_plan() (planner.hpp) from an imported Model; it knows neither device nor kernel. Immutable once made, so
// it may be shared between threads. Owner: engine/graph.
//
// Layout. Every activation is channels-last: a Buffer is [batch][height][width][pitch] elements, and an operator sees a
// View, `channels` channels from `channel` on. Concat and Split are views, nothing is copied for them. An operator
// whose input could not be laid into one buffer has several input views; their channels follow each other in that
// order, and the weights' I dimension follows them.
//
// Order. Running `ops` from first to last is always right. With PlanOptions::order = kDependencies any order in which
// each op follows its `depends_on` is right too, so independent branches may run side by side.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/engine/graph/quantizer.hpp"

namespace gantry::graph {

enum class DataType : std::uint8_t { kFloat32, kFloat16, kInt8, kFloat8E4M3 };
[[nodiscard]] const char* to_string(DataType type) noexcept;  ///< "fp32", "fp16", "int8", "fp8"
[[nodiscard]] constexpr std::size_t size_of(DataType type) noexcept {
  return type == DataType::kFloat32 ? 4 : type == DataType::kFloat16 ? 2 : 1;
}

/// One activation map of one image; a batch's images follow each other, bytes() apart.
struct Buffer {
  std::string name;  ///< the ONNX tensor that it holds as a whole
  int height = 0;
  int width = 0;
  int channels = 0;
  int pitch = 0;  ///< elements from one pixel to the next, a multiple of PlanOptions::channel_multiple
  DataType type = DataType::kFloat16;
  /// What its bytes mean where the type is kInt8; of the network's input, which stays float, what rounds it.
  std::optional<Quantizer> quantizer;
  bool external = false;  ///< the network's input: the caller's memory, not the arena's
  /// The one segment that writes and reads it, or -1 where it crosses segments. A local buffer holds one sub-batch, a
  /// crossing one the whole batch.
  int segment = -1;
  std::size_t offset = 0;  ///< bytes an image from the start of its region; see Plan::offset_of

  [[nodiscard]] std::size_t bytes() const noexcept {
    return static_cast<std::size_t>(height) * width * pitch * size_of(type);
  }
};

/// Channels [channel, channel + channels) of a buffer. `channel` is a multiple of PlanOptions::channel_multiple as far
/// as the model's channel counts allow.
struct View {
  int buffer = -1;
  int channel = 0;
  int channels = 0;
  /// 1, or 2 where the reader sees the map twice as large, nearest neighbour: pixel (y, x) is (y / 2, x / 2).
  int upsample = 1;
  friend bool operator==(const View&, const View&) = default;
};

/// A convolution's parameters, batch norm folded, float32. Shared by all plans of a Model: repack once a pointer.
struct Weights {
  std::string name;  ///< of the ONNX initialiser
  int out = 0, kernel_h = 0, kernel_w = 0;
  int in = 0;                 ///< input channels a group: 1 for depthwise
  std::vector<float> values;  ///< [out][kernel_h][kernel_w][in]
  std::vector<float> bias;    ///< [out]
  /// Of 8-bit weights: values[i] is steps[i] times its output channel's scale. Empty otherwise.
  std::vector<std::int8_t> steps;
  std::vector<float> scales;  ///< [out]
};

enum class Activation : std::uint8_t { kNone, kSilu };

/// out = act(conv(inputs) + bias) + residual.
struct ConvOp {
  std::shared_ptr<const Weights> weights;
  int stride = 1;
  int pad = 0;     ///< zeros on all four sides
  int groups = 1;  ///< 1, or channels: depthwise
  Activation activation = Activation::kNone;
  std::optional<View> residual;  ///< of the output's size; never overlaps the output
  /// Where set, the inputs hold 8-bit steps of this and so do the weights:
  ///   conv(inputs)[o] = input.scale · weights.scales[o] · Σ (step − input.zero_point) · weights.steps,
  /// exact in 32-bit integers; padding counts as zero_point.
  std::optional<Quantizer> input;
  [[nodiscard]] bool depthwise() const noexcept { return groups > 1; }
};

/// A chain of equal stride-1 max pools (SPPF): output i = pool(output i - 1), output 0 = pool(input). Padding never
/// wins. One view an output; where `outputs` are slices behind the input in one buffer it is read and written in place.
struct PoolChainOp {
  int kernel = 5;  ///< odd; pad = kernel / 2
  int stages = 3;
};

/// One max pool of any stride, padding never wins.
struct MaxPoolOp {
  int kernel = 2, stride = 2, pad = 0;
};

/// The middle of C2PSA's attention. Input: one view of heads × (key_dim q, key_dim k, head_dim v) channels, that is per
/// head q, then k, then v. Output: heads × head_dim channels,
///   out[p, h·head_dim + d] = Σ_j softmax_j(scale · q_p·k_j) · v_j[d] + depthwise 3×3 `position` of v at p.
/// The convolutions around it (qkv before, proj with its residual after) are ops of their own; together they are a
/// Block of kind kAttention.
struct AttentionOp {
  int heads = 0, key_dim = 0, head_dim = 0;
  float scale = 1;
  std::shared_ptr<const Weights> position;  ///< depthwise, pad kernel / 2, with bias, no activation
  std::optional<Quantizer> position_input;  ///< where set, `position` reads v rounded by it
};

/// out = a + b, where an Add could not be folded into a convolution. YOLO11 and YOLOv8 need none.
struct AddOp {};

/// Copies its one input view, upsampled if the view says so: where a map has to lie in two buffers. YOLO11 and YOLOv8
/// need none.
struct CopyOp {};

/// Decode and NMS over the raw maps. Inputs: levels × box view (4·bins channels: left, top, right, bottom), then levels
/// × class view. For level l, cell (x, y): distances d = Σ_b b·softmax(bins); box = ((x + ½ ∓ d)·stride_l, …) in pixels
/// of the network's input; score = sigmoid(class). No output view: the results are the caller's.
struct DetectOp {
  int classes = 0;
  int bins = 16;
  std::vector<int> strides;  ///< a level, pixels
};

struct Op {
  std::string name;    ///< the ONNX node that computes it (of a fused group: the convolution, pool or MatMul)
  std::string module;  ///< first part of the node's path ("model.4"), empty where names don't say
  /// The ONNX tensor that each output view holds: what `check` compares. Empty for DetectOp and
  /// CopyOp.
  std::vector<std::string> tensors;
  std::vector<View> inputs;
  std::vector<View> outputs;
  /// What rounds each output as it is written, in a quantised plan; empty otherwise. A rounded output may lie in a
  /// float buffer, beside others that aren't.
  std::vector<std::optional<Quantizer>> quantizers;
  std::variant<ConvOp, PoolChainOp, MaxPoolOp, AttentionOp, AddOp, CopyOp, DetectOp> params;
  std::vector<int> depends_on;  ///< ops whose outputs it reads, ascending
  int block = -1;               ///< the innermost Block that holds it, -1 for none

  template <typename T>
  [[nodiscard]] const T* as() const noexcept {
    return std::get_if<T>(&params);
  }
};
[[nodiscard]] const char* kind_name(const Op& op) noexcept;  ///< "conv", "dwconv", "pool_chain", …

/// Runs of ops whose intermediate maps nobody else reads: candidates for one kernel.
enum class BlockKind : std::uint8_t {
  kStem,                ///< the first convolution and the one behind it
  kBottleneck,          ///< k×k + k×k (+ residual from the input)
  kDepthwisePointwise,  ///< depthwise + 1×1
  kAttention,           ///< qkv + attention + proj (+ residual)
  kFeedForward,         ///< 1×1 + 1×1 (+ residual from the input)
};
[[nodiscard]] const char* to_string(BlockKind kind) noexcept;
struct Block {
  BlockKind kind = BlockKind::kStem;
  int first_op = 0;
  int op_count = 0;  ///< the ops follow each other
};

/// Ops that run over the batch in sub-batches of `sub_batch` images so that what they pass on stays in L2; 0: the whole
/// batch at once, as in the last segment always. Segments follow each other and cover all ops.
struct Segment {
  int first_op = 0;
  int op_count = 0;
  int sub_batch = 0;
  [[nodiscard]] int images(int batch) const noexcept { return sub_batch == 0 || sub_batch > batch ? batch : sub_batch; }
};

struct Plan {
  engine::InputShape shape;
  std::string model_hash;  ///< of the ONNX file's bytes, for caches: 16 hex digits
  std::vector<Buffer> buffers;
  std::vector<Op> ops;
  std::vector<Block> blocks;
  std::vector<Segment> segments;
  View input;  ///< RGB, 0…1, three channels; its buffer is external
  /// Sizes of the two regions of the arena: crossing buffers, a batch image; local buffers, an image of a sub-batch
  /// (one entry a segment; they share the same memory).
  std::size_t crossing_bytes = 0;
  std::vector<std::size_t> local_bytes;

  /// Bytes of the arena for a batch, with every buffer aligned to 256 bytes.
  [[nodiscard]] std::size_t arena_bytes(int batch) const noexcept;
  /// Where a buffer starts in that arena. @pre !external
  [[nodiscard]] std::size_t offset_of(int buffer, int batch) const noexcept;
  /// Bytes of one image's buffers without any sharing, what the arena is measured against.
  [[nodiscard]] std::size_t sum_of_buffers() const noexcept;
};

/// Height and width that an op sees through a view.
struct MapSize {
  int height = 0, width = 0;
  friend bool operator==(const MapSize&, const MapSize&) = default;
};
[[nodiscard]] inline MapSize size_of(const Plan& plan, const View& view) noexcept {
  const Buffer& buffer = plan.buffers[static_cast<std::size_t>(view.buffer)];
  return {buffer.height * view.upsample, buffer.width * view.upsample};
}

}  // namespace gantry::graph
