#include "gantry/metrics/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace gantry::metrics {
namespace {

TEST(MetricTable, FollowsPrometheusNaming) {
  std::set<std::string_view> names;
  for (const Spec& row : table()) {
    const std::string name(row.name);
    EXPECT_TRUE(names.insert(row.name).second) << name << " stands twice";
    EXPECT_TRUE(std::regex_match(name, std::regex("[a-z][a-z0-9_]*"))) << name;
    EXPECT_EQ(row.type == Type::kCounter, name.ends_with("_total")) << name;
    EXPECT_FALSE(row.help.empty()) << name;
    EXPECT_TRUE(row.help.ends_with('.')) << name;
    EXPECT_EQ(row.type == Type::kHistogram, !row.bounds.empty()) << name;
    EXPECT_TRUE(std::is_sorted(row.bounds.begin(), row.bounds.end())) << name;
  }
}

TEST(MetricTable, HasTheNamesThatDashboardsLookFor) {
  const Spec& latency = spec(Metric::kInferenceLatency);
  EXPECT_EQ(latency.name, "yolo11_inference_latency_seconds");
  EXPECT_EQ(std::vector<double>(latency.bounds.begin(), latency.bounds.end()),
            (std::vector<double>{0.01, 0.025, 0.05, 0.1, 0.25}));
  EXPECT_EQ(spec(Metric::kGpuUtilization).name, "gpu_utilization_percent");
  EXPECT_EQ(spec(Metric::kGpuUtilization).labels[0], "device_id");
  EXPECT_EQ(spec(Metric::kBatchEfficiency).name, "batch_efficiency_ratio");
}

TEST(MetricTable, TheReferencePageIsMadeFromIt) {
  std::ostringstream page;
  page << std::ifstream(GANTRY_SOURCE_DIR "/docs/metrics.md").rdbuf();
  EXPECT_EQ(page.str(), reference_markdown()) << "write docs/metrics.md anew with `gantry metrics`";
}

}  // namespace
}  // namespace gantry::metrics
