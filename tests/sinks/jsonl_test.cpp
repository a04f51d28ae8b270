#include "gantry/sinks/jsonl.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "gantry/core/errors.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::sinks {
namespace {

using std::chrono::microseconds;

FrameResult example() {
  FrameResult result;
  result.camera = "north";
  result.seq = 7;
  result.pts = microseconds{233'567};
  result.width = 1280;
  result.height = 720;
  result.detections = {{{1.5F, 2.25F, 300.0F, 400.1254F}, 0.9123456F, 1}, {{0, 0, 10, 10}, 0.5F, 9}};
  result.latency = {microseconds{1500}, microseconds{250}, microseconds{12'000}, microseconds{50},
                    microseconds{13'800}};
  return result;
}

TEST(JsonlFormat, IsTheDocumentedLine) {
  std::string out;
  append_jsonl(example(), {"person", "car"}, out);
  EXPECT_EQ(out, R"({"camera":"north","seq":7,"pts_ms":233.567,"width":1280,"height":720,"detections":[)"
                 R"({"class_id":1,"class":"car","confidence":0.91235,"box":[1.5,2.25,300,400.125]},)"
                 R"({"class_id":9,"class":"9","confidence":0.5,"box":[0,0,10,10]}],)"
                 R"("latency_ms":{"queue":1.5,"preprocess":0.25,"inference":12,"postprocess":0.05,"total":13.8}})"
                 "\n");
}

TEST(JsonlFormat, MarksLateResults) {
  auto result = example();
  result.late = true;
  std::string out;
  append_jsonl(result, {}, out);
  EXPECT_TRUE(nlohmann::json::parse(out).at("late").get<bool>());
}

TEST(JsonlFormat, IsValidJsonWhateverTheNamesAndNumbers) {
  auto result = example();
  result.camera = "a\"b\\c\n\x01\xFF\xC3\xA4\xED\xA0\x80\xF0\x9F\x9A\x97\xE2\x82";
  result.detections[0].box.x1 = std::numeric_limits<float>::quiet_NaN();
  result.detections[0].box.x2 = -0.00001F;
  result.detections[1].box.y2 = std::numeric_limits<float>::max();
  std::string out;
  append_jsonl(result, {"x\ty"}, out);
  const auto json = nlohmann::json::parse(out);
  EXPECT_EQ(json.at("camera"), "a\"b\\c\n\x01\uFFFDä\uFFFD\uFFFD\uFFFD🚗\uFFFD\uFFFD");
  EXPECT_TRUE(json.at("detections")[0].at("box")[0].is_null());
  EXPECT_EQ(json.at("detections")[0].at("box")[2], 0);
  EXPECT_EQ(out.find('\n'), out.size() - 1) << "one line a frame";
}

TEST(LineFile, ReplacesOrAppendsAndEndsABrokenLine) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("lines.jsonl", "whole\nbrok");
  { ASSERT_TRUE(LineFile(path, LineFile::Mode::kAppend).write("next\n")); }
  EXPECT_EQ(test::read_text(path), "whole\nbrok\nnext\n");
  { ASSERT_TRUE(LineFile(path, LineFile::Mode::kReplace).write("fresh\n")); }
  EXPECT_EQ(test::read_text(path), "fresh\n");
}

TEST(LineFile, SaysWhatCannotBeWritten) {
  const test::TemporaryFolder folder;
  const auto path = folder / "no_such_folder/a.jsonl";
  try {
    LineFile{path, LineFile::Mode::kReplace};
    FAIL();
  } catch (const StartupError& error) {
    EXPECT_EQ(error.what(), path.string() + ": can't be written: No such file or directory");
  }
}

TEST(JsonlSink, WritesEverythingInOrderBeforeItGoes) {
  const test::TemporaryFolder folder;
  const auto path = folder / "sink.jsonl";
  constexpr int kResults = 500;
  {
    JsonlSink sink{path, {"person", "car"}, kResults};
    auto result = example();
    for (int i = 0; i < kResults; ++i) {
      result.seq = static_cast<std::uint64_t>(i);
      sink.publish(result);
    }
  }
  std::ifstream file{path};
  std::string line;
  for (int i = 0; i < kResults; ++i) {
    ASSERT_TRUE(std::getline(file, line));
    EXPECT_EQ(nlohmann::json::parse(line).at("seq"), i);
  }
  EXPECT_FALSE(std::getline(file, line));
}

TEST(JsonlSink, CountsWhatAFullDiskRefuses) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  JsonlSink sink{"/dev/full", {}, 64};
  for (int i = 0; i < 1000; ++i) sink.publish(example());
  SinkStats stats;
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    stats = sink.stats();
  } while (stats.failed < stats.accepted);
  EXPECT_EQ(stats.written, 0U);
  EXPECT_EQ(stats.accepted + stats.overflowed, 1000U);
}

TEST(JsonlSink, LetsGoOfARotatedFile) {
  const test::TemporaryFolder folder;
  const auto path = folder / "rotated.jsonl";
  const auto old = folder / "rotated.jsonl.1";
  {
    JsonlSink sink{path, {}, 16};
    sink.publish(example());
    while (sink.stats().written < 1) std::this_thread::yield();
    std::filesystem::rename(path, old);
    sink.reopen();
    sink.publish(example());
  }
  EXPECT_EQ(test::read_text(path), test::read_text(old));
  EXPECT_FALSE(test::read_text(path).empty());
}

}  // namespace
}  // namespace gantry::sinks
