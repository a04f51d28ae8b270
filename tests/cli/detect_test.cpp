// gantry detect on real video, from the command line to the file of results.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/program.hpp"
#include "support/predictions.hpp"
#include "support/test_data.hpp"

namespace gantry::test {
namespace {

const std::vector<std::string> kVideos{"motorway_720p30", "suburban_352p24", "carpark_432p12"};

std::string video(const std::string& name) {
  return test_data("video/" + name + ".mp4");
}

/// Every frame where GANTRY_FULL_TESTS is set, else the first seconds.
std::uint64_t frames_to_compare() {
  return std::getenv("GANTRY_FULL_TESTS") != nullptr ? 0 : 64;
}

struct Reference {
  const char* name;
  const char* imgsz;
  const char* file;
};
// ctest shows it; bytes would change with every run.
void PrintTo(const Reference& reference, std::ostream* out) {
  *out << reference.name;
}
class DetectParity : public testing::TestWithParam<Reference> {};

TEST_P(DetectParity, SaysWhatUltralyticsSaysOnEveryVideo) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  GANTRY_NEEDS_DATA(GetParam().file);
  TemporaryFolder folder;
  std::vector<std::string> arguments{"detect"};
  for (const auto& name : kVideos) arguments.push_back(video(name));
  const auto limit = frames_to_compare();
  for (const std::string& word :
       {std::string{"--model"}, test_data("weights/yolo11n.onnx").string(), std::string{"--imgsz"},
        std::string{GetParam().imgsz}, std::string{"--json-out"}, folder.file("out.jsonl"), std::string{"--json"},
        std::string{"--max-frames"}, std::to_string(limit)})
    arguments.push_back(word);
  Program program{arguments};
  ASSERT_EQ(program.wait(std::chrono::seconds{900}), 0) << program.err();
  const auto found = read_predictions(folder.file("out.jsonl"));
  const auto expected = read_predictions(test_data(GetParam().file));
  std::map<std::string, Agreement> agreement;
  std::map<std::string, std::uint64_t> frames;
  for (const auto& [key, boxes] : expected) {
    if (limit != 0 && key.second >= limit) continue;
    const auto match = found.find(key);
    ASSERT_NE(match, found.end()) << key.first << " " << key.second << " is missing";
    agreement[key.first] += compare(boxes, match->second, {.iou = 0.80F, .confidence = 0.10F});
    ++frames[key.first];
  }
  std::uint64_t total = 0;
  for (const auto& name : kVideos) {
    EXPECT_GE(agreement[name].rate(), 0.96) << name;
    EXPECT_GT(agreement[name].expected, 0U) << name;
    total += frames[name];
  }
  EXPECT_EQ(found.size(), total) << "frames that the reference does not have";
  const auto summary = nlohmann::json::parse(program.out());
  EXPECT_EQ(summary.at("frames").at("published"), total);
  EXPECT_EQ(summary.at("frames").at("received"), total);
  EXPECT_EQ(summary.at("frames").at("in_flight"), 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, DetectParity,
                         testing::Values(Reference{"square", "640", "reference/yolo11n_fp32_640x640_videos.jsonl"},
                                         Reference{"rect", "auto", "reference/yolo11n_fp32_rect_videos.jsonl"}),
                         [](const auto& reference) { return reference.param.name; });

class Detect : public testing::Test {
 protected:
  std::vector<std::string> command(std::vector<std::string> inputs, std::vector<std::string> more) const {
    std::vector<std::string> all{"detect"};
    all.insert(all.end(), inputs.begin(), inputs.end());
    all.insert(all.end(), {"--model", test_data("weights/yolo11n_int8_openvino")});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  TemporaryFolder folder;
};

TEST_F(Detect, LinesHaveTheDocumentedFieldsInOrderOfFrames) {
  GANTRY_NEEDS_DATA("weights/yolo11n_int8_openvino");
  Program program{command({video(kVideos[0])}, {"--max-frames", "6", "--json-out", "-"})};
  ASSERT_EQ(program.wait(), 0) << program.err();
  std::istringstream lines{program.out()};
  std::uint64_t seq = 0;
  for (std::string line; std::getline(lines, line); ++seq) {
    const auto frame = nlohmann::json::parse(line);
    EXPECT_EQ(frame.at("camera"), kVideos[0]);
    EXPECT_EQ(frame.at("seq"), seq);
    EXPECT_NEAR(frame.at("pts_ms").get<double>(), static_cast<double>(seq) * 1001 / 30, 1);
    EXPECT_EQ(frame.at("width"), 1280);
    EXPECT_EQ(frame.at("height"), 720);
    for (const auto& detection : frame.at("detections"))
      for (const char* key : {"class_id", "class", "confidence", "box"}) EXPECT_TRUE(detection.contains(key));
    const auto& latency = frame.at("latency_ms");
    double sum = 0;
    for (const char* key : {"queue", "preprocess", "inference", "postprocess"}) sum += latency.at(key).get<double>();
    EXPECT_NEAR(latency.at("total").get<double>(), sum, 0.01);
  }
  EXPECT_EQ(seq, 6U);
  EXPECT_NE(program.err().find("frames/s"), std::string::npos) << "the summary goes where the results do not";
}

TEST_F(Detect, PicturesAreNamedByTheirFiles) {
  GANTRY_NEEDS_DATA("weights/yolo11n_int8_openvino");
  GANTRY_NEEDS_DATA("coco_val/images");
  std::vector<std::filesystem::path> pictures;
  for (const auto& entry : std::filesystem::directory_iterator{test_data("coco_val/images")})
    pictures.push_back(entry.path());
  std::sort(pictures.begin(), pictures.end());
  std::filesystem::create_directory(folder.file("pictures"));
  for (int i = 0; i < 3; ++i) std::filesystem::copy(pictures[i], folder.path() / "pictures" / pictures[i].filename());
  folder.write("pictures/bad.jpg", "no picture");
  Program program{command({folder.file("pictures")}, {"--json-out", folder.file("out.jsonl"), "--imgsz", "640"})};
  EXPECT_EQ(program.wait(), 1) << "one of four can't be read";
  EXPECT_NE(program.err().find("bad.jpg"), std::string::npos);
  std::istringstream lines{read_text(folder.file("out.jsonl"))};
  for (int i = 0; i < 3; ++i) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    const auto frame = nlohmann::json::parse(line);
    EXPECT_EQ(frame.at("camera"), pictures[i].stem().string());
    EXPECT_EQ(frame.at("seq"), 0);
  }
}

TEST_F(Detect, SavesAnAnnotatedVideoWithTheSourcesTimeStamps) {
  GANTRY_NEEDS_DATA("weights/yolo11n_int8_openvino");
  const auto saved = folder.file("out.mp4");
  Program program{command({video(kVideos[2])}, {"--max-frames", "8", "--save", saved})};
  ASSERT_EQ(program.wait(), 0) << program.err();
  Program again{command({saved}, {"--json-out", folder.file("out.jsonl")})};
  ASSERT_EQ(again.wait(), 0) << again.err();
  std::istringstream lines{read_text(folder.file("out.jsonl"))};
  int frames = 0;
  for (std::string line; std::getline(lines, line); ++frames) {
    const auto frame = nlohmann::json::parse(line);
    EXPECT_NEAR(frame.at("pts_ms").get<double>(), frames * 80.0, 0.5) << "12.5 frames/s";
    EXPECT_EQ(frame.at("width"), 768);
  }
  EXPECT_EQ(frames, 8);
}

TEST_F(Detect, AnInterruptFinishesWhatWasReadAndSaysSo) {
  GANTRY_NEEDS_DATA("weights/yolo11n_int8_openvino");
  Program program{command({video(kVideos[1])}, {"--json-out", folder.file("out.jsonl"), "--json"})};
  ASSERT_TRUE(program.wait_for([&] { return !read_text(folder.file("out.jsonl")).empty(); }));
  program.signal(SIGINT);
  EXPECT_EQ(program.wait(), 130);
  const auto summary = nlohmann::json::parse(program.out());
  const auto lines = read_text(folder.file("out.jsonl"));
  EXPECT_EQ(summary.at("frames").at("published"), std::count(lines.begin(), lines.end(), '\n'));
  EXPECT_EQ(summary.at("frames").at("in_flight"), 0);
  EXPECT_EQ(lines.back(), '\n');
}

}  // namespace
}  // namespace gantry::test
