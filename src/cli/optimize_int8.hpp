#pragma once
// The int8 half of gantry optimize: options, the run, what it prints.
#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace gantry::cli {

struct Int8Choice {
  std::vector<std::string> calibration;
  std::size_t samples = 512;
  double min_retention = 0.99;
  std::string val;
  bool force = false;
  bool symmetric = false;
};
/// --calibration, --samples, --min-retention, --val, --force, --symmetric
void add_int8_options(CLI::App& command, Int8Choice& choice);

/// Quantises `model` into `out` and prints the report. Returns the exit code: kFailed where the gate refused.
/// @throws ModelError, MediaError, StartupError
[[nodiscard]] int optimize_int8(const std::string& model, const std::string& out, const Int8Choice& choice, bool json);

}  // namespace gantry::cli
