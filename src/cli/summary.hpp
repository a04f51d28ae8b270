#pragma once
// What a command says at its end: as a table for people and as JSON for programs.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gantry/core/outcome.hpp"
#include "gantry/scheduler/histogram.hpp"

namespace gantry::cli {

/// Columns padded to their widest cell, numbers to the right; the first row is the head.
[[nodiscard]] std::string format_table(const std::vector<std::vector<std::string>>& rows);
/// "12.34"
[[nodiscard]] std::string fixed(double value, int decimals);
/// {"mean","p50","p90","p99"} in milliseconds of a histogram of seconds.
[[nodiscard]] nlohmann::json latency_json(const scheduler::Histogram& seconds);
/// {"received","published","published_late","dropped":{reason: count, …},"in_flight"}; reasons that never happened are
/// left out.
[[nodiscard]] nlohmann::json counts_json(const FrameCounts& counts);
/// "none", or "12 superseded, 3 expired".
[[nodiscard]] std::string drops_text(const FrameCounts& counts);

}  // namespace gantry::cli
