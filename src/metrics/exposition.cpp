#include "gantry/metrics/exposition.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "gantry/core/expects.hpp"

namespace gantry::metrics {
namespace {

prometheus::ClientMetric labelled(const Spec& row, std::initializer_list<std::string_view> values) {
  prometheus::ClientMetric metric;
  std::size_t i = 0;
  for (const std::string_view value : values) {
    GANTRY_EXPECTS(i < kMaxLabels && !row.labels[i].empty(), std::string(row.name) + " has fewer labels");
    metric.label.push_back({std::string(row.labels[i++]), std::string(value)});
  }
  GANTRY_EXPECTS(i == kMaxLabels || row.labels[i].empty(), std::string(row.name) + " has more labels");
  return metric;
}

prometheus::MetricType prometheus_type(Type type) {
  switch (type) {
    case Type::kCounter:
      return prometheus::MetricType::Counter;
    case Type::kGauge:
      return prometheus::MetricType::Gauge;
    case Type::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

class Exposition::Impl {
 public:
  Impl() : families(kMetricCount) {
    for (const Spec& row : table()) {
      auto& family = families[static_cast<std::size_t>(row.metric)];
      family.name = row.name;
      family.help = row.help;
      family.type = prometheus_type(row.type);
    }
  }
  std::vector<prometheus::MetricFamily> families;
};

Exposition::Exposition() : impl_(std::make_unique<Impl>()) {}
Exposition::~Exposition() = default;

void Exposition::set(Metric metric, std::initializer_list<std::string_view> labels, double value) {
  const Spec& row = spec(metric);
  prometheus::ClientMetric out = labelled(row, labels);
  GANTRY_EXPECTS(row.type != Type::kHistogram, std::string(row.name) + " is a histogram");
  (row.type == Type::kCounter ? out.counter.value : out.gauge.value) = value;
  impl_->families[static_cast<std::size_t>(metric)].metric.push_back(std::move(out));
}

void Exposition::set_histogram(Metric metric, std::initializer_list<std::string_view> labels,
                               const std::vector<std::uint64_t>& up_to, std::uint64_t count, double sum) {
  const Spec& row = spec(metric);
  GANTRY_EXPECTS(row.type == Type::kHistogram && up_to.size() == row.bounds.size(),
                 std::string(row.name) + " takes one count for each of its bounds");
  prometheus::ClientMetric out = labelled(row, labels);
  out.histogram.sample_count = count;
  out.histogram.sample_sum = sum;
  for (std::size_t i = 0; i < up_to.size(); ++i) out.histogram.bucket.push_back({up_to[i], row.bounds[i]});
  out.histogram.bucket.push_back({count, std::numeric_limits<double>::infinity()});
  impl_->families[static_cast<std::size_t>(metric)].metric.push_back(std::move(out));
}

std::string Exposition::text() const {
  std::vector<prometheus::MetricFamily> filled;
  for (const auto& family : impl_->families)
    if (!family.metric.empty()) filled.push_back(family);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, filled);
  return out.str();
}

}  // namespace gantry::metrics
