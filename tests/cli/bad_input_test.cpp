// What the program says to input that it can't use: exit code 2, one message that names what and says what to do.
#include <gtest/gtest.h>

#include <cstdint>

#include "cli/program.hpp"
#include "graph/onnx_builder.hpp"
#include "media/rtsp_server.hpp"
#include "support/ffmpeg.hpp"
#include "support/test_data.hpp"

namespace gantry::test {
namespace {

constexpr int kBadInput = 2;
const char* const kModel = "weights/yolo11n_int8_openvino";

class BadInput : public testing::Test {
 protected:
  void expect_refused(const std::vector<std::string>& arguments, const std::string& message,
                      const Program::Environment& environment = {}) {
    Program program{arguments, environment};
    EXPECT_EQ(program.wait(), kBadInput);
    EXPECT_EQ(program.err(), message);
  }
  /// An input that can't be used at all: exit code, and the one line that names it.
  void expect_input_refused(const std::string& path, const std::string& reason) {
    expect_refused({"detect", path, "--model", test_data(kModel)}, "gantry: " + path + ": " + reason + "\n");
  }
  /// Two seconds of 25 frames/s.
  std::string clip(const std::string& options) {
    const auto path = folder.file("whole.mp4");
    EXPECT_TRUE(
        ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -pix_fmt yuv420p -bf 0 " + options + path));
    return path;
  }
  std::string with_camera(const std::string& rest) {
    return folder.write("gantry.yaml", "cameras:\n  north:\n    source: a.mp4\n" + rest);
  }
  TemporaryFolder folder;
};

TEST_F(BadInput, ConfigWithTabs) {
  const auto path = folder.write("gantry.yaml", "cameras:\n\tnorth: {source: a.mp4}\n");
  expect_refused({"serve", "-c", path}, "gantry: " + path + ":2: indented with a tab; YAML allows only spaces there\n");
}

TEST_F(BadInput, ConfigWithTheSameCameraTwice) {
  const auto path = with_camera("  north:\n    source: b.mp4\n");
  expect_refused({"serve", "-c", path}, "gantry: " + path + ":4: 'cameras.north' is given twice, first in line 2\n");
}

TEST_F(BadInput, ConfigWithValuesOutOfRangeNamesEachOfThem) {
  const auto path = with_camera("    conf: 1.5\n    deadline_ms: 0\n");
  expect_refused({"serve", "-c", path}, "gantry: " + path +
                                            ":4: cameras.north.conf: '1.5' is out of range; use 0…1\ngantry: " + path +
                                            ":5: cameras.north.deadline_ms: '0' is out of range; use 1…600000\n");
}

TEST_F(BadInput, ConfigWithAnUnknownKey) {
  const auto path = with_camera("    prioritty: urgent\n");
  expect_refused({"config", "check", path},
                 "gantry: " + path + ":4: unknown key 'cameras.north.prioritty'; did you mean 'priority'?\n");
}

TEST_F(BadInput, ConfigWithASecretThatIsNotSet) {
  const auto path =
      folder.write("gantry.yaml", "cameras:\n  north: {source: 'rtsp://a:${GANTRY_NOT_SET}@192.0.2.1/'}\n");
  expect_refused({"serve", "-c", path},
                 "gantry: " + path +
                     ":2: cameras.north.source: the environment variable GANTRY_NOT_SET is not set; export it before "
                     "the start\n");
}

TEST_F(BadInput, MissingConfig) {
  const auto path = folder.file("no.yaml");
  expect_refused({"serve", "-c", path}, "gantry: " + path + ": no such file, or it can't be read\n");
}

TEST_F(BadInput, MissingModel) {
  const auto path = folder.file("no.onnx");
  expect_refused({"detect", "a.mp4", "--model", path}, "gantry: " + path + ": no such model file; check the path\n");
}

TEST_F(BadInput, UnknownModelName) {
  folder.write("only-one.onnx", "x");
  Program program{{"detect", "a.mp4", "--model", "only-noe"}, {{"GANTRY_MODELS", folder.file("")}}};
  EXPECT_EQ(program.wait(), kBadInput);
  // What else there is depends on the models that come with the program.
  EXPECT_EQ(program.err().find("gantry: no model called 'only-noe'; did you mean 'only-one'? There are "), 0U);
  EXPECT_NE(program.err().find(". Give a file (model.onnx), or set GANTRY_MODELS to the folder of your models\n"),
            std::string::npos)
      << program.err();
}

TEST_F(BadInput, MissingFile) {
  GANTRY_NEEDS_DATA(kModel);
  expect_input_refused(folder.file("no.mp4"), "no such file; check the path");
}

TEST_F(BadInput, FolderWithoutPictures) {
  GANTRY_NEEDS_DATA(kModel);
  folder.write("notes.txt", "x");
  expect_input_refused(
      folder.path().string(),
      "no pictures in this folder; it needs .jpg, .png, .bmp, .webp, .tif or .ppm files directly inside it");
}

TEST_F(BadInput, EmptyFiles) {
  GANTRY_NEEDS_DATA(kModel);
  for (const char* name : {"empty.mp4", "empty.jpg"})
    expect_input_refused(folder.write(name, ""), "the file is empty (0 bytes)");
}

TEST_F(BadInput, AudioOnly) {
  GANTRY_NEEDS_DATA(kModel);
  const auto path = folder.file("sound.m4a");
  ASSERT_TRUE(ffmpeg("-f lavfi -i sine=duration=1 " + path));
  expect_input_refused(path, "no video in it, only audio; give a file or stream with video");
}

TEST_F(BadInput, Mp4CutOffBeforeItsIndex) {
  GANTRY_NEEDS_DATA(kModel);
  const auto whole = clip("");
  const auto text = read_text(whole);
  expect_input_refused(folder.write("half.mp4", text.substr(0, text.size() / 2)),
                       "not a video that can be read; it is cut off, damaged or of another kind");
}

/// What is there is answered, what is missing is said, and the exit code says that something was lost.
TEST_F(BadInput, Mp4CutOffBehindItsIndex) {
  GANTRY_NEEDS_DATA(kModel);
  const auto text = read_text(clip("-movflags +faststart "));
  const auto path = folder.write("part.mp4", text.substr(0, text.size() * 6 / 10));
  Program program{{"detect", path, "--model", test_data(kModel), "--json-out", folder.file("out.jsonl")}};
  EXPECT_EQ(program.wait(), 1);
  const auto lines = read_text(folder / "out.jsonl");
  const auto answered = std::count(lines.begin(), lines.end(), '\n');
  EXPECT_GT(answered, 5);
  // The last packet is the one that is cut.
  const auto message = "gantry: " + path + ": cut off behind " + std::to_string(answered + 1) + " of 50 pictures\n";
  EXPECT_NE(program.err().find(message), std::string::npos) << program.err();
}

TEST_F(BadInput, TinyAndVeryWidePicturesAreFine) {
  GANTRY_NEEDS_DATA(kModel);
  const auto picture = [&](int width, int height) {
    const auto header = "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n";
    return folder.write("picture.ppm", header + std::string(static_cast<std::size_t>(width) * height * 3, '\x7f'));
  };
  for (const auto& [width, height] : {std::pair{1, 1}, std::pair{16384, 3}, std::pair{2, 16384}}) {
    Program program{
        {"detect", picture(width, height), "--model", test_data(kModel), "--json-out", folder.file("out.jsonl")}};
    EXPECT_EQ(program.wait(), 0) << program.err();
    const auto line = read_text(folder / "out.jsonl");
    const auto start = R"({"camera":"picture","seq":0,"pts_ms":0,"width":)" + std::to_string(width) + R"(,"height":)" +
                       std::to_string(height) + R"(,"detections":[],)";
    EXPECT_EQ(line.rfind(start, 0), 0U) << line;
  }
}

TEST_F(BadInput, WrongPasswordOfACameraIsNamedAndNeverShown) {
  GANTRY_NEEDS_DATA(kModel);
  const media::testing::RtspServer server{{"--user", "viewer", "--password", "right"}};
  GANTRY_NEEDS_SERVER(server);
  Program program{{"detect", server.url("/plain", "viewer:wrong-secret"), "--model", test_data(kModel), "--json"}};
  EXPECT_EQ(program.wait(), kBadInput);
  EXPECT_EQ(program.err(),
            "gantry: " + server.url("/plain", "viewer:***") + ": user name or password is wrong or missing\n");
  EXPECT_EQ(program.out().find("wrong-secret"), std::string::npos);
}

TEST_F(BadInput, OneBadFileOfSeveralIsReportedAndTheOthersAreDone) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/suburban_352p24.mp4");
  const auto empty = folder.write("empty.mp4", "");
  Program program{{"detect", empty, test_data("video/suburban_352p24.mp4"), "--model", test_data(kModel),
                   "--max-frames", "3", "--json-out", folder.file("out.jsonl")}};
  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(program.err().find("gantry: " + empty + ": the file is empty (0 bytes)\n"), std::string::npos);
  const auto lines = read_text(folder.file("out.jsonl"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
}

TEST_F(BadInput, UnknownClass) {
  GANTRY_NEEDS_DATA(kModel);
  expect_refused({"detect", "a.mp4", "--model", test_data(kModel), "--classes", "car,bycicle"},
                 "gantry: --classes: the model has no class 'bycicle'; did you mean 'bicycle'?\n");
}

TEST_F(BadInput, TruncatedModel) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  const auto bytes = read_text(test_data("weights/yolo11n.onnx"));
  const auto path = folder.write("half.onnx", bytes.substr(0, bytes.size() / 2));
  expect_refused({"detect", "a.mp4", "--model", path},
                 "gantry: " + path +
                     " can't be read as a model; it may be truncated or of another kind. Copy or export it again. "
                     "(Model can't be parsed)\n");
}

TEST_F(BadInput, ModelOfAnotherKind) {
  OnnxBuilder classifier;
  classifier.output(classifier.node("Flatten", {classifier.node("GlobalAveragePool", {classifier.input()})}));
  const auto path = folder.write("classifier.onnx", classifier.bytes());
  expect_refused({"detect", "a.mp4", "--model", path},
                 "gantry: " + path +
                     " is no YOLO detector that Gantry can run: expected one output [batch, 4 + classes, anchors], "
                     "found /net/Flatten_1_output_0 [1,3]. Export a detection model with: yolo export model=yolo11n.pt "
                     "format=onnx "
                     "dynamic=True\n");
}

TEST_F(BadInput, OutputThatCannotBeWritten) {
  GANTRY_NEEDS_DATA(kModel);
  const auto path = folder.file("no/such/folder/out.jsonl");
  expect_refused({"detect", test_data("video/suburban_352p24.mp4"), "--model", test_data(kModel), "--json-out", path},
                 "gantry: " + path + ": can't be written: No such file or directory\n");
}

TEST_F(BadInput, CommandLine) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"detect"},
                                                    {"detect", "a.mp4", "--conf", "1.5"},
                                                    {"detect", "a.mp4", "--imgsz", "5"},
                                                    {"serve"},
                                                    {"serve", "-c", "a.yaml", "--for", "soon"},
                                                    {"detcet"},
                                                    {}}) {
    Program program{arguments};
    EXPECT_EQ(program.wait(), kBadInput);
    EXPECT_FALSE(program.err().empty());
  }
}

TEST_F(BadInput, EveryCommandHelpsWithAnExample) {
  Program all{{"--help"}};
  ASSERT_EQ(all.wait(), 0);
  const auto help = all.out();
  auto at = help.find("Subcommands:\n");
  ASSERT_NE(at, std::string::npos);
  int commands = 0;
  for (std::string line; (at = help.find('\n', at)) != std::string::npos;) {
    line = help.substr(at + 1, help.find('\n', at + 1) - at - 1);
    ++at;
    if (line.size() < 3 || line.substr(0, 2) != "  " || line[2] == ' ') continue;
    const auto name = line.substr(2, line.find(' ', 2) - 2);
    Program one{{name, "--help"}};
    EXPECT_EQ(one.wait(), 0) << name;
    EXPECT_NE(one.out().find("xample"), std::string::npos) << "gantry " << name << " --help shows no example";
    ++commands;
  }
  EXPECT_GE(commands, 4);
}

}  // namespace
}  // namespace gantry::test
