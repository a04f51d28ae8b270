#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gantry/core/errors.hpp"
#include "gantry/scheduler/sim/workload.hpp"

namespace gantry::scheduler::sim {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Trace : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    file_ = std::filesystem::path(testing::TempDir()) / (std::string("gantry_trace_") + test->name() + ".csv");
  }
  void TearDown() override { std::filesystem::remove(file_); }

  void write(const std::string& text) const { std::ofstream(file_) << text; }

  std::string complaint() const {
    try {
      static_cast<void>(read_trace(file_, shapes_));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path file_;
  std::vector<ShapeSpec> shapes_{{.name = "640x384"}, {.name = "640x480", .height = 480}};
};

constexpr const char* kHeader = "camera,at_us,deadline_us,class,shape\n";

TEST_F(Trace, WhatIsWrittenIsRead) {
  {
    TraceWriter writer(file_);
    const TimePoint start{5s};
    writer.write(7, start, start + 100ms, Priority::kNormal, 640, 384);
    writer.write(9, start + 10ms, start + 30ms, Priority::kUrgent, 640, 480);
    writer.write(7, start + 40ms, start + 140ms, Priority::kNormal, 640, 384);
    writer.write(7, start + 39ms, start + 139ms, Priority::kNormal, 640, 384);  // late to the writer: kept in order
    EXPECT_TRUE(writer.good());
  }
  const Workload workload = read_trace(file_, shapes_);
  ASSERT_EQ(workload.frames.size(), 4);
  EXPECT_EQ(workload.cameras.size(), 2);
  EXPECT_EQ(workload.frames[0].at_ns, 0);
  EXPECT_EQ(workload.frames[1].at_ns, 10'000'000);
  EXPECT_EQ(workload.frames[1].deadline_ns, 30'000'000);
  EXPECT_EQ(workload.frames[1].priority, Priority::kUrgent);
  EXPECT_EQ(workload.frames[1].shape, 1);
  EXPECT_EQ(workload.frames[3].at_ns, 40'000'000);
  EXPECT_EQ(workload.cameras[0].period_ns, 20'000'000);
}

TEST_F(Trace, BadLinesAreNamed) {
  write("camera,time\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":1: header"), HasSubstr("camera,at_us,deadline_us,class,shape")));
  write(std::string(kHeader) + "1,0,100000,normal,640x384\n1,x,100000,normal,640x384\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":3: at_us: 'x'"), HasSubstr("0 to")));
  write(std::string(kHeader) + "1,50,100000,normal,640x384\n1,20,100000,normal,640x384\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":3: at_us: '20'"), HasSubstr("do not fall")));
  write(std::string(kHeader) + "1,0,0,normal,640x384\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":2: deadline_us: '0'"), HasSubstr("1 to 60000000")));
  write(std::string(kHeader) + "1,0,100000,slow,640x384\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":2: class: 'slow'"), HasSubstr("background")));
  write(std::string(kHeader) + "1,0,100000,normal,1x1\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":2: shape: '1x1'"), HasSubstr("`shapes`")));
  write(std::string(kHeader) + "1,0,100000\n");
  EXPECT_THAT(complaint(), AllOf(HasSubstr(":2: line"), HasSubstr("five columns")));
  write(kHeader);
  EXPECT_THAT(complaint(), HasSubstr("no frames"));
}

TEST_F(Trace, AScenarioTakesItsLengthAndItsUrgencyFromIt) {
  write(std::string(kHeader) + "1,0,100000,normal,640x384\n2,2500000,20000,urgent,640x384\n");
  const std::string rest =
      "name: replay\ntrace: " + file_.filename().string() + "\nsetups:\n  - {name: one, devices: [{table: h100}]}\n";
  const auto beside = file_.parent_path() / "replay.yaml";
  for (const Length length : {Length::kFull, Length::kShort}) {
    const auto scenarios = parse_scenarios(rest, beside, length);
    ASSERT_EQ(scenarios.size(), 1);
    EXPECT_DOUBLE_EQ(scenarios[0].duration_s, 2.5);
    EXPECT_TRUE(scenarios[0].urgent_cap);
    EXPECT_EQ(make_workload(scenarios[0], 1).frames.size(), 2);
  }
  try {
    static_cast<void>(parse_scenarios(rest + "duration_s: 10\n", beside, Length::kFull));
    FAIL() << "two lengths";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("replay.yaml:5: duration_s"), HasSubstr("stands beside `trace`")));
  }
}

TEST_F(Trace, MissingAndUnwritableFilesAreNamed) {
  EXPECT_THAT(complaint(), HasSubstr(file_.string()));
  EXPECT_THROW(TraceWriter("no/such/folder/trace.csv"), ConfigError);
}

}  // namespace
}  // namespace gantry::scheduler::sim
