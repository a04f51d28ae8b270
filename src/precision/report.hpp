#pragma once
// The report beside a quantised model: JSON for machines, a plot for people.
#include <string>

#include "gantry/precision/int8.hpp"

namespace gantry::precision {

/// What a report is about, by the hashes of both files.
struct ReportSubject {
  std::string float_model, float_hash;  ///< file name beside the report
  std::string int8_hash;
  bool symmetric = false;
};

[[nodiscard]] std::string to_json(const Int8Report& report, const ReportSubject& subject);

/// Bars: each layer's error when it alone is quantised, worst first; layers left in float stand out. SVG.
[[nodiscard]] std::string plot_layers(const Int8Report& report, const std::string& title);

/// Files beside a model NAME.onnx.
[[nodiscard]] std::string report_path(const std::string& model);
[[nodiscard]] std::string plot_path(const std::string& model);

}  // namespace gantry::precision
