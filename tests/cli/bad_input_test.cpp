// What the program says to input that it can't use: exit code 2, one message that names what and says what to do.
#include <gtest/gtest.h>

#include "cli/program.hpp"
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
  const auto path = folder / "no.yaml";
  expect_refused({"serve", "-c", path}, "gantry: " + path + ": no such file, or it can't be read\n");
}

TEST_F(BadInput, MissingModel) {
  const auto path = folder / "no.onnx";
  expect_refused({"detect", "a.mp4", "--model", path}, "gantry: " + path + ": no such model file; check the path\n");
}

TEST_F(BadInput, UnknownModelName) {
  (void)folder.write("only-one.onnx", "x");
  Program program{{"detect", "a.mp4", "--model", "only-noe"}, {{"GANTRY_MODELS", folder / ""}}};
  EXPECT_EQ(program.wait(), kBadInput);
  // What else there is depends on the models that come with the program.
  EXPECT_EQ(program.err().find("gantry: no model called 'only-noe'; did you mean 'only-one'? There are "), 0U);
  EXPECT_NE(program.err().find(". Give a file (model.onnx), or set GANTRY_MODELS to the folder of your models\n"),
            std::string::npos)
      << program.err();
}

TEST_F(BadInput, MissingFile) {
  GANTRY_NEEDS_DATA(kModel);
  const auto path = folder / "no.mp4";
  Program program{{"detect", path, "--model", test_data(kModel)}};
  EXPECT_EQ(program.wait(), kBadInput);
  EXPECT_EQ(program.err(), "gantry: " + path + ": no such file; check the path\n");
}

TEST_F(BadInput, OneBadFileOfSeveralIsReportedAndTheOthersAreDone) {
  GANTRY_NEEDS_DATA(kModel);
  GANTRY_NEEDS_DATA("video/suburban_352p24.mp4");
  const auto empty = folder.write("empty.mp4", "");
  Program program{{"detect", empty, test_data("video/suburban_352p24.mp4"), "--model", test_data(kModel),
                   "--max-frames", "3", "--json-out", folder / "out.jsonl"}};
  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(program.err().find("gantry: " + empty + ": the file is empty (0 bytes)\n"), std::string::npos);
  const auto lines = read_text(folder / "out.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
}

TEST_F(BadInput, UnknownClass) {
  GANTRY_NEEDS_DATA(kModel);
  expect_refused({"detect", "a.mp4", "--model", test_data(kModel), "--classes", "car,bycicle"},
                 "gantry: --classes: the model has no class 'bycicle'; did you mean 'bicycle'?\n");
}

TEST_F(BadInput, TruncatedModel) {
  GANTRY_NEEDS_DATA("weights/yolo11n.onnx");
  auto bytes = read_text(test_data("weights/yolo11n.onnx"));
  bytes.resize(bytes.size() / 2);
  const auto path = folder.write("half.onnx", bytes);
  Program program{{"detect", "a.mp4", "--model", path}};
  EXPECT_EQ(program.wait(), kBadInput);
  EXPECT_EQ(program.err().find("gantry: " + path), 0U) << program.err();
}

TEST_F(BadInput, OutputThatCannotBeWritten) {
  GANTRY_NEEDS_DATA(kModel);
  const auto path = folder / "no/such/folder/out.jsonl";
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
