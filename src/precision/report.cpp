#include "precision/report.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace gantry::precision {
namespace {

std::string beside(const std::string& model, const char* ending) {
  return std::filesystem::path(model).replace_extension(ending).string();
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string report_path(const std::string& model) {
  return beside(model, ".report.json");
}
std::string plot_path(const std::string& model) {
  return beside(model, ".layers.svg");
}

std::string to_json(const Int8Report& report, const ReportSubject& subject) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerReport& layer : report.layers)
    layers.push_back({{"node", layer.node},
                      {"precision", layer.in_8_bits ? "int8" : "float"},
                      {"why", layer.in_8_bits ? ""
                                              : "its error for its arithmetic was among the largest, and the gate "
                                                "did not hold with it in 8 bits"},
                      {"error_alone", layer.error},
                      {"flops", layer.flops},
                      {"input_scale", layer.scale},
                      {"input_zero_point", layer.zero_point}});
  nlohmann::json tried = nlohmann::json::array();
  for (const TriedClipping& one : report.tried)
    tried.push_back({{"clipping", one.clipping}, {"bias_corrected", one.bias_corrected}, {"output_error", one.error}});
  const nlohmann::json all{
      {"status", report.ready ? "ready" : "refused"},
      {"precision", "int8"},
      {"activations", subject.symmetric ? "symmetric" : "affine"},
      {"float_model", subject.float_model},
      {"float_hash", subject.float_hash},
      {"model_hash", subject.int8_hash},
      {"gate",
       {{"measured_by", report.exam},
        {"retention", report.measured.retention},
        {"min_retention", report.min_retention},
        {"float_score", report.measured.float_score},
        {"int8_score", report.measured.quantized_score}}},
      {"pictures_per_second", {{"float32", report.float_per_second}, {"int8", report.int8_per_second}}},
      {"calibration", {{"pictures", report.samples}, {"digest", report.digest}}},
      {"clippings", tried},
      {"layers", layers}};
  return all.dump(2) + "\n";
}

std::string plot_layers(const Int8Report& report, const std::string& title) {
  std::vector<LayerReport> layers = report.layers;
  std::stable_sort(layers.begin(), layers.end(),
                   [](const LayerReport& a, const LayerReport& b) { return a.error > b.error; });
  constexpr int kRow = 14, kLeft = 330, kWidth = 420, kTop = 56;
  constexpr double kDecades = 5;  // shown below the worst
  const double worst = layers.empty() ? 1 : std::max(layers.front().error, 1e-30);
  const int height = kTop + kRow * static_cast<int>(layers.size()) + 16;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
      "<text x=\"12\" y=\"22\" font-size=\"15\">{2}</text>\n"
      "<text x=\"12\" y=\"40\" fill=\"#555\">error of the head's maps when one layer alone is quantised, logarithmic; "
      "orange layers stay in float</text>\n",
      kLeft + kWidth + 90, height, escaped(title));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerReport& layer = layers[i];
    const double share = std::clamp(1 + std::log10(std::max(layer.error, 1e-30) / worst) / kDecades, 0.0, 1.0);
    const int y = kTop + kRow * static_cast<int>(i);
    svg += fmt::format(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"10\" "
        "fill=\"{}\"/><text x=\"{:.1f}\" y=\"{}\" fill=\"#555\">{:.1e}</text>\n",
        kLeft - 6, y + 9, escaped(layer.node), kLeft, y, share * kWidth, layer.in_8_bits ? "#2f6db5" : "#e07b00",
        kLeft + share * kWidth + 5, y + 9, layer.error);
  }
  return svg + "</svg>\n";
}

}  // namespace gantry::precision
