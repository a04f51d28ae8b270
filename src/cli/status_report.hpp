#pragma once
// The books of a running server, said every few seconds.
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gantry/app/system.hpp"

namespace gantry::cli {

/// Turns readings into lines; remembers the last reading for rates. Used by one thread.
class StatusReport {
 public:
  explicit StatusReport(TimePoint started) : started_(started), last_(started) {}

  struct Reading {
    std::vector<std::string> lines;  ///< one a camera, and one for all where there are several
    nlohmann::json json;             ///< {"seconds","cameras":[…],"total":{…}}
  };
  [[nodiscard]] Reading read(const app::System& system, TimePoint now);

 private:
  struct Rates {
    double in = 0;   ///< frames/s received
    double out = 0;  ///< frames/s published
  };
  [[nodiscard]] Rates rates(const std::string& id, const FrameCounts& counts, TimePoint now);

  const TimePoint started_;
  TimePoint last_;
  std::map<std::string, FrameCounts> before_;
};

}  // namespace gantry::cli
