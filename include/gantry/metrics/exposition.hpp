#pragma once
// One scrape: values are put in, the Prometheus text format comes out. Made anew for each scrape from the state of that
// moment, so nothing can drift and nothing on the frame path pays for it. Not thread-safe.
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/metrics/table.hpp"

namespace gantry::metrics {

class Exposition {
 public:
  Exposition();
  ~Exposition();
  Exposition(const Exposition&) = delete;
  Exposition& operator=(const Exposition&) = delete;

  /// A counter or gauge. @param labels values in the order of the table's names; as many as it has
  void set(Metric metric, std::initializer_list<std::string_view> labels, double value);
  /// A histogram. @param up_to cumulative counts at each of the table's bounds
  void set_histogram(Metric metric, std::initializer_list<std::string_view> labels,
                     const std::vector<std::uint64_t>& up_to, std::uint64_t count, double sum);

  /// Text format 0.0.4, families in the table's order. Families without a value are left out.
  [[nodiscard]] std::string text() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::metrics
