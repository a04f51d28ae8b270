#pragma once
// `gantry optimize --precision int8` as a call: samples, quantisation, the gate, files.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/engine/factory.hpp"
#include "gantry/precision/quantize.hpp"

namespace gantry::precision {

struct Int8Options {
  std::string model;                     ///< a float32 ONNX file
  std::string out;                       ///< folder, made where missing
  std::vector<std::string> calibration;  ///< folders of pictures, pictures, recordings
  std::size_t samples = 512;             ///< drawn from them, at least kLeastSamples
  std::string labelled;                  ///< data set for the gate; empty: agreement with the float model
  double min_retention = 0.99;           ///< 0…1; below kLeastRetention only with `force`
  bool force = false;
  bool symmetric = false;  ///< as QuantizeOptions
  std::function<void(const std::string& step, double share)> progress;
};
inline constexpr double kLeastRetention = 0.95;

struct Int8Report {
  std::string model;        ///< the file that was written, NAME-int8.onnx; empty where the gate refused
  std::string report_file;  ///< what stands below, as JSON
  std::string exam;         ///< what retention was measured by
  Measured measured;
  double min_retention = 0;
  bool ready = false;
  double float_per_second = 0, int8_per_second = 0;  ///< pictures, on this machine's CPU, one after the other in turn
  std::size_t samples = 0;
  std::string digest;
  std::vector<LayerReport> layers;
  std::vector<TriedClipping> tried;
};

/// Writes NAME-int8.onnx, NAME-int8.report.json, NAME-int8.layers.svg and a copy of the float model; where the gate
/// refuses, the report and the plot only.
/// @throws ModelError, MediaError, StartupError, each saying what to do
[[nodiscard]] Int8Report optimize_int8(const Int8Options& options);

/// Whether an ONNX file may be served.
struct Readiness {
  bool ready = true;     ///< always so for files that Gantry has not quantised
  std::string reason;    ///< why not
  std::string fallback;  ///< a float model to run instead, where there is one
};
/// Reads the report beside a quantised file: it must exist, belong to this very file, and have passed. Never throws for
/// a report that is missing or damaged. @throws ModelError for a file that is no ONNX
[[nodiscard]] Readiness check_ready(const std::string& model);

}  // namespace gantry::precision
