#include "gantry/precision/quantize.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>

#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/passes.hpp"
#include "precision/observe.hpp"
#include "precision/parallel.hpp"
#include "precision/qdq.hpp"
#include "precision/simulation.hpp"

namespace gantry::precision {
namespace {

/// Of every so many samples one is kept from calibration, to judge by.
constexpr std::size_t kHeldOutEvery = 8;
/// Samples by which single layers are judged: one network run a layer and sample.
constexpr std::size_t kSensitivitySamples = 4;
constexpr std::size_t kClippingSamples = 12;

const graph::Node& node_of(const graph::Graph& graph, const std::string& name) {
  return *std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const auto& node) { return node.name == name; });
}

class Quantizing {
 public:
  Quantizing(const graph::Model& model, std::string_view bytes, const Samples& samples, const QuantizeOptions& options)
      : model_(model),
        bytes_(bytes),
        samples_(samples),
        options_(options),
        encoding_(options.symmetric ? Encoding::kSymmetric : Encoding::kAffine),
        sized_(graph::specialise(model.raw_graph(samples.shape), {1, 3, samples.shape.height, samples.shape.width})),
        raw_(sized_.graph),
        scheme_(find_scheme(raw_)),
        held_out_(held_out(samples)) {
    if (scheme_.layers.empty())
      throw ModelError(model.info().path +
                       ": holds no convolution with constant weights; there is nothing to quantise");
    count_flops();
    for (std::size_t i = 0; i < samples.pictures.size(); ++i)
      if (!std::binary_search(held_out_.begin(), held_out_.end(), i)) calibrating_.push_back(i);
  }

  QuantizeResult run(const Gate& gate) {
    say("ranges", 0);
    observations_ = observe(graph::Interpreter(raw_), scheme_, samples_, calibrating_);
    choose_ranges();
    judge_layers();
    pass_gate(gate);
    return std::move(result_);
  }

 private:
  void say(const std::string& step, double share) const {
    if (options_.progress) options_.progress(step, share);
  }

  void count_flops() {
    const graph::SizedGraph sized = graph::specialise(raw_, {1, 3, samples_.shape.height, samples_.shape.width});
    for (Layer& layer : scheme_.layers) {
      const graph::Node& node = node_of(raw_, layer.node);
      const graph::Dims& out = sized_.dims_of(node.outputs[0]);
      const graph::Dims& weights = raw_.constant(node.inputs[1])->dims;
      layer.flops = 2 * static_cast<double>(out[2] * out[3]) * static_cast<double>(graph::element_count(weights));
    }
  }

  [[nodiscard]] std::vector<std::vector<graph::Tensor>> float_answers(const std::vector<std::size_t>& indices) const {
    std::vector<std::vector<graph::Tensor>> answers(indices.size());
    const graph::Interpreter network(raw_);
    for_each_index(indices.size(), [&](std::size_t i) { answers[i] = network.run(as_input(samples_, indices[i])); });
    return answers;
  }

  [[nodiscard]] std::vector<Quantizer> ranges(Clipping clipping) const {
    std::vector<Quantizer> quantizers;
    for (const Histogram& histogram : observations_.groups)
      quantizers.push_back(choose_quantizer(histogram, clipping, encoding_));
    return quantizers;
  }

  [[nodiscard]] std::vector<LayerParameters> parameters(bool correct_bias) const {
    std::vector<LayerParameters> layers;
    for (const Layer& layer : scheme_.layers) {
      const graph::Node& node = node_of(raw_, layer.node);
      const graph::Tensor& weights = *raw_.constant(node.inputs[1]);
      LayerParameters one{quantize_weights(weights), {}};
      const graph::Tensor* bias = node.inputs.size() > 2 ? raw_.constant(node.inputs[2]) : nullptr;
      if (correct_bias && bias != nullptr) {
        one.bias = bias->floats();
        const auto shift = mean_shift(weights, one.weights, observations_.channel_means.at(layer.input));
        for (std::size_t c = 0; c < shift.size(); ++c) one.bias[c] -= shift[c];
      }
      layers.push_back(std::move(one));
    }
    return layers;
  }

  /// Every criterion, with and without corrected biases, on pictures that were not calibrated with.
  void choose_ranges() {
    const std::vector<std::size_t> judged(
        held_out_.begin(),
        held_out_.begin() + static_cast<std::ptrdiff_t>(std::min(held_out_.size(), kClippingSamples)));
    const auto expected = float_answers(judged);
    struct Candidate {
      TriedClipping tried;
      Quantization quantization;
    };
    std::vector<Candidate> candidates;
    for (const Clipping clipping : kClippings) {
      for (const bool correct : {true, false}) {
        say("clipping", static_cast<double>(candidates.size()) / (2.0 * kClippings.size()));
        Quantization all{ranges(clipping), parameters(correct), std::vector<bool>(scheme_.layers.size(), true)};
        const double error = output_error(raw_, scheme_, all, samples_, judged, expected);
        candidates.push_back({{to_string(clipping), correct, error}, std::move(all)});
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.tried.error < b.tried.error; });
    for (const Candidate& candidate : candidates) result_.tried.push_back(candidate.tried);
    chosen_ = std::move(candidates.front().quantization);
  }

  /// What each layer does to the answer when it alone is quantised.
  void judge_layers() {
    const std::vector<std::size_t> judged(
        held_out_.begin(),
        held_out_.begin() + static_cast<std::ptrdiff_t>(std::min(held_out_.size(), kSensitivitySamples)));
    const auto expected = float_answers(judged);
    for (std::size_t i = 0; i < scheme_.layers.size(); ++i) {
      say("layers", static_cast<double>(i) / static_cast<double>(scheme_.layers.size()));
      Quantization alone = chosen_;
      alone.in_8_bits.assign(scheme_.layers.size(), false);
      alone.in_8_bits[i] = true;
      const Quantizer& input = chosen_.groups[static_cast<std::size_t>(scheme_.layers[i].group)];
      result_.layers.push_back({scheme_.layers[i].node, true,
                                output_error(raw_, scheme_, alone, samples_, judged, expected), scheme_.layers[i].flops,
                                input.scale, input.zero_point});
    }
    ranking_.resize(scheme_.layers.size());
    std::iota(ranking_.begin(), ranking_.end(), std::size_t{0});
    std::stable_sort(ranking_.begin(), ranking_.end(), [this](std::size_t a, std::size_t b) {
      return result_.layers[a].error * result_.layers[b].flops > result_.layers[b].error * result_.layers[a].flops;
    });
  }

  [[nodiscard]] Quantization with_floats(std::size_t count) const {
    Quantization quantization = chosen_;
    for (std::size_t i = 0; i < count; ++i) quantization.in_8_bits[ranking_[i]] = false;
    return quantization;
  }

  [[nodiscard]] std::string file(const Quantization& quantization, Storage8 storage) const {
    return write_qdq(bytes_, model_.info().path, scheme_, quantization, storage,
                     {{"gantry.precision", "int8"},
                      {"gantry.float_hash", model_.hash()},
                      {"gantry.activations", to_string(encoding_)}});
  }

  void pass_gate(const Gate& gate) {
    std::map<std::size_t, Measured> measured;
    const auto holds = [&](std::size_t floats) {
      if (!measured.contains(floats)) {
        say("gate", 0);
        measured[floats] = gate(file(with_floats(floats), Storage8::kUnsigned));
        ++result_.attempts;
      }
      return measured[floats].retention >= options_.min_retention;
    };
    // More than half of the network in float is no 8-bit network any more.
    const std::size_t most = scheme_.layers.size() / 2;
    std::size_t floats = 0;
    std::size_t failed = 0;
    while (!holds(floats) && floats < most) {
      failed = floats;
      floats = std::min(most, floats == 0 ? 1 : 2 * floats);
    }
    result_.passed = holds(floats);
    while (result_.passed && floats > failed + 1) {
      const std::size_t middle = (failed + floats) / 2;
      (holds(middle) ? floats : failed) = middle;
    }
    if (!result_.passed) floats = 0;  // report what all of it would cost
    result_.measured = measured.at(floats);
    const Quantization final = with_floats(floats);
    for (std::size_t i = 0; i < result_.layers.size(); ++i) result_.layers[i].in_8_bits = final.in_8_bits[i];
    result_.onnx = file(final, Storage8::kAsChosen);
  }

  const graph::Model& model_;
  const std::string_view bytes_;
  const Samples& samples_;
  const QuantizeOptions& options_;
  const Encoding encoding_;
  const graph::SizedGraph sized_;  // constants folded: weights may be stored as halves and widened by the graph
  const graph::Graph& raw_;
  Scheme scheme_;
  const std::vector<std::size_t> held_out_;
  std::vector<std::size_t> calibrating_;
  Observations observations_;
  Quantization chosen_;
  std::vector<std::size_t> ranking_;
  QuantizeResult result_;
};

}  // namespace

std::vector<std::size_t> held_out(const Samples& samples) {
  std::vector<std::size_t> indices;
  for (std::size_t i = kHeldOutEvery - 1; i < samples.pictures.size(); i += kHeldOutEvery) indices.push_back(i);
  return indices;
}

QuantizeResult quantize(const graph::Model& model, std::string_view onnx_bytes, const Samples& samples,
                        const QuantizeOptions& options, const Gate& gate) {
  refuse_useless(samples);
  return Quantizing(model, onnx_bytes, samples, options).run(gate);
}

}  // namespace gantry::precision
