#include "gantry/metrics/exposition.hpp"

#include <gtest/gtest.h>

#include "gantry/core/expects.hpp"

namespace gantry::metrics {
namespace {

TEST(Exposition, WritesFamiliesWithHelpAndEscapedLabels) {
  Exposition scrape;
  scrape.set(Metric::kFrames, {"gate \"1\"\n", "published"}, 12);
  scrape.set(Metric::kHeadroom, {}, -0.25);
  const std::string text = scrape.text();
  EXPECT_NE(text.find("# TYPE gantry_frames_total counter"), std::string::npos) << text;
  EXPECT_NE(text.find("gantry_frames_total{camera=\"gate \\\"1\\\"\\n\",outcome=\"published\"} 12"), std::string::npos)
      << text;
  EXPECT_NE(text.find("gantry_headroom_ratio -0.25"), std::string::npos) << text;
  EXPECT_EQ(text.find("gantry_cameras"), std::string::npos) << "a family without a value";
}

TEST(Exposition, HistogramsAreCumulativeAndEndAtInfinity) {
  Exposition scrape;
  scrape.set_histogram(Metric::kInferenceLatency, {}, {1, 2, 2, 5, 6}, 7, 0.9);
  const std::string text = scrape.text();
  EXPECT_NE(text.find("yolo11_inference_latency_seconds_bucket{le=\"0.1\"} 5"), std::string::npos) << text;
  EXPECT_NE(text.find("yolo11_inference_latency_seconds_bucket{le=\"+Inf\"} 7"), std::string::npos) << text;
  EXPECT_NE(text.find("yolo11_inference_latency_seconds_count 7"), std::string::npos) << text;
}

TEST(Exposition, RefusesWhatTheTableDoesNotSay) {
  Exposition scrape;
  EXPECT_THROW(scrape.set(Metric::kHeadroom, {"x"}, 1), PreconditionError);
  EXPECT_THROW(scrape.set(Metric::kFrames, {"one"}, 1), PreconditionError);
  EXPECT_THROW(scrape.set(Metric::kInferenceLatency, {}, 1), PreconditionError);
  EXPECT_THROW(scrape.set_histogram(Metric::kInferenceLatency, {}, {1}, 1, 1), PreconditionError);
}

}  // namespace
}  // namespace gantry::metrics
