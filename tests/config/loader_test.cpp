#include "gantry/config/loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gantry/core/errors.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::config {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

const Environment kEnvironment = [](const std::string& name) -> std::optional<std::string> {
  if (name == "PASSWORD") return "hunter2";
  return std::nullopt;
};

Config load(std::string_view yaml) {
  return load_text(yaml, "gantry.yaml", kEnvironment);
}

std::string error_of(std::string_view yaml) {
  try {
    (void)load(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigLoader, ReadsACameraOnTopOfItsDefaults) {
  const Config config = load(R"(
model: {path: models/mine.onnx, imgsz: 640x384}
defaults: {fps: 10, classes: [car]}
cameras:
  north:
    source: rtsp://viewer:${PASSWORD}@192.0.2.1/a
    priority: urgent
    deadline_ms: 150
    classes: [car, bus]
    transport: udp
  south: {source: south.mp4, loop: yes}
)");
  EXPECT_EQ(config.model.path, "models/mine.onnx");
  EXPECT_EQ(config.model.imgsz, (InputSize{640, 384}));
  const auto& north = config.cameras.at("north");
  EXPECT_EQ(north.source, "rtsp://viewer:hunter2@192.0.2.1/a");
  EXPECT_EQ(north.priority, Priority::kUrgent);
  EXPECT_EQ(north.deadline, milliseconds{150});
  EXPECT_EQ(north.classes, (std::vector<std::string>{"car", "bus"}));
  EXPECT_EQ(north.transport, Transport::kUdp);
  EXPECT_EQ(north.fps, 10);
  const auto& south = config.cameras.at("south");
  EXPECT_TRUE(south.loop);
  EXPECT_EQ(south.classes, std::vector<std::string>{"car"});
  EXPECT_EQ(south.deadline, CameraConfig{}.deadline);
}

TEST(ConfigLoader, DefaultsCountWhereverTheyStand) {
  EXPECT_EQ(load("cameras: {a: {source: a.mp4}}\ndefaults: {fps: 5}\n").cameras.at("a").fps, 5);
}

TEST(ConfigLoader, AnEmptyFileIsAllDefaults) {
  EXPECT_EQ(load(""), Config{});
  EXPECT_EQ(load("cameras:\n"), Config{});
}

struct BadFile {
  const char* name;
  const char* yaml;
  const char* message;
};
class ConfigMessages : public testing::TestWithParam<BadFile> {};

TEST_P(ConfigMessages, SayFileLineKeyAndWhatToDo) {
  EXPECT_EQ(error_of(GetParam().yaml), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Loader, ConfigMessages,
    testing::Values(
        BadFile{"tab", "cameras:\n\tnorth:\n\t\tsource: a.mp4\n",
                "gantry.yaml:2: indented with a tab; YAML allows only spaces there"},
        BadFile{"duplicate_camera",
                "cameras:\n  north: {source: a.mp4}\n  south: {source: b.mp4}\n  north: {source: c.mp4}\n",
                "gantry.yaml:4: 'cameras.north' is given twice, first in line 2"},
        BadFile{"duplicate_key", "cameras:\n  north:\n    source: a.mp4\n    fps: 5\n    fps: 6\n",
                "gantry.yaml:5: 'cameras.north.fps' is given twice, first in line 4"},
        BadFile{"unknown_key", "cameras:\n  north:\n    source: a.mp4\n    prioritty: urgent\n",
                "gantry.yaml:4: unknown key 'cameras.north.prioritty'; did you mean 'priority'?"},
        BadFile{"unknown_section", "camera: {}\n", "gantry.yaml:1: unknown key 'camera'; did you mean 'cameras'?"},
        BadFile{"unlike_any_key", "birdseye: {}\n", "gantry.yaml:1: unknown key 'birdseye'"},
        BadFile{"out_of_range", "cameras:\n  north:\n    source: a.mp4\n    conf: 1.5\n",
                "gantry.yaml:4: cameras.north.conf: '1.5' is out of range; use 0…1"},
        BadFile{"whole_out_of_range", "defaults: {deadline_ms: 0}\n",
                "gantry.yaml:1: defaults.deadline_ms: '0' is out of range; use 1…600000"},
        BadFile{"beyond_64_bits", "defaults: {max_det: 99999999999999999999}\n",
                "gantry.yaml:1: defaults.max_det: '99999999999999999999' is out of range; use 1…10000"},
        BadFile{"no_number", "defaults: {fps: fast}\n", "gantry.yaml:1: defaults.fps: 'fast' is not a number"},
        BadFile{"not_finite", "defaults: {fps: nan}\n", "gantry.yaml:1: defaults.fps: 'nan' is not a number"},
        BadFile{"no_whole_number", "defaults: {max_det: 2.5}\n",
                "gantry.yaml:1: defaults.max_det: '2.5' is not a whole number"},
        BadFile{"no_choice", "defaults: {priority: urgnt}\n",
                "gantry.yaml:1: defaults.priority: 'urgnt' is none of emergency, urgent, normal, background; did you "
                "mean 'urgent'?"},
        BadFile{"no_flag", "defaults: {loop: 1}\n", "gantry.yaml:1: defaults.loop: '1' is neither true nor false"},
        BadFile{"no_size", "model: {imgsz: 640*384}\n",
                "gantry.yaml:1: model.imgsz: '640*384' is no input size; use auto, one side like 640, or WIDTHxHEIGHT, "
                "sides 32…4096"},
        BadFile{"no_list", "defaults: {classes: {car: 1}}\n",
                "gantry.yaml:1: defaults.classes: a list is expected, like [car, bus]"},
        BadFile{"no_value", "cameras:\n  north:\n    source:\n",
                "gantry.yaml:3: cameras.north.source: has no value; give it one or take the line out"},
        BadFile{"no_source", "cameras:\n  north:\n    fps: 5\n", "gantry.yaml:3: cameras.north: 'source' is missing"},
        BadFile{"empty_camera", "cameras:\n  north:\n",
                "gantry.yaml:2: cameras.north: is empty; it needs at least a source"},
        BadFile{"source_in_defaults", "defaults: {source: a.mp4}\n", "gantry.yaml:1: unknown key 'defaults.source'"},
        BadFile{
            "bad_id", "cameras:\n  north/east: {source: a.mp4}\n",
            "gantry.yaml:2: cameras: 'north/east' is no id; use 1 to 64 letters, digits, '_', '-' or '.', the first "
            "a letter or digit"},
        BadFile{"variable_not_set", "cameras:\n  north:\n    source: rtsp://${NOT_SET}@192.0.2.1/a\n",
                "gantry.yaml:3: cameras.north.source: the environment variable NOT_SET is not set; export it before "
                "the start"},
        BadFile{"variable_without_end", "cameras: {north: {source: 'a${PASSWORD'}}\n",
                "gantry.yaml:1: cameras.north.source: '${' begins the name of an environment variable, like "
                "${CAMERA_PASSWORD}; write $${ for the characters themselves"},
        BadFile{"keys_that_disagree", "cameras:\n  north:\n    source: a.mp4\n    backoff_min_ms: 60000\n",
                "gantry.yaml:3: cameras.north: backoff_min_ms is larger than backoff_max_ms; make it the smaller of "
                "the two"},
        BadFile{"list_at_the_top", "- a\n- b\n", "gantry.yaml:1: keys and values are expected, like 'cameras:'"},
        BadFile{"list_of_cameras", "cameras:\n  - source: a.mp4\n",
                "gantry.yaml:2: cameras: sections are expected, each indented below its id"},
        BadFile{"section_for_a_value", "defaults:\n  fps: {max: 5}\n",
                "gantry.yaml:2: defaults.fps: one value is expected here, not a section"},
        BadFile{"value_for_a_section", "model: yolo\n",
                "gantry.yaml:1: model: a section is expected, indented below its name"}),
    [](const auto& file) { return file.param.name; });

TEST(ConfigLoader, NamesTheLineOfBrokenYaml) {
  EXPECT_THAT(error_of("cameras:\n  north: {source: a.mp4\n"), HasSubstr("gantry.yaml:3: not valid YAML: "));
}

TEST(ConfigLoader, ReportsEverythingAtOnceInOrderOfLines) {
  EXPECT_EQ(error_of("defaults:\n  iou: 7\n  fps: -1\nmodell: {}\n"),
            "gantry.yaml:2: defaults.iou: '7' is out of range; use 0…1\n"
            "gantry.yaml:3: defaults.fps: '-1' is out of range; use 0…240\n"
            "gantry.yaml:4: unknown key 'modell'; did you mean 'model'?");
}

TEST(ConfigLoader, NeverRepeatsWhatCameFromTheEnvironment) {
  const auto message = error_of("defaults:\n  priority: ${PASSWORD}\n  fps: ${PASSWORD}\n  loop: a${PASSWORD}\n");
  EXPECT_THAT(message, HasSubstr("defaults.fps: '${PASSWORD}' is not a number"));
  EXPECT_THAT(message, Not(HasSubstr("hunter2")));
}

TEST(ConfigLoader, DollarDollarBraceIsItself) {
  EXPECT_EQ(load("cameras: {a: {source: 'x$${PASSWORD}$y'}}").cameras.at("a").source, "x${PASSWORD}$y");
}

TEST(ConfigLoader, TabsOutsideIndentationAreAllowed) {
  EXPECT_EQ(load("\t# a comment\ndefaults:\t{fps: 5}\n\t\n").defaults.fps, 5);
}

TEST(ConfigLoader, ControlCharactersNeverReachTheTerminal) {
  EXPECT_THAT(error_of("\"a\\e[31mb\": 1\n"), HasSubstr("unknown key 'a?[31mb'"));
}

TEST(ConfigLoader, ReadsOneCameraFromJson) {
  CameraConfig base;
  base.fps = 12;
  const auto camera = load_camera(R"({"source": "rtsp://192.0.2.1/a", "conf": 0.5, "classes": ["car"]})", "north",
                                  "request", base, kEnvironment);
  EXPECT_EQ(camera.source, "rtsp://192.0.2.1/a");
  EXPECT_EQ(camera.confidence, 0.5);
  EXPECT_EQ(camera.fps, 12);
  try {
    (void)load_camera(R"({"source": "a", "conf": 5})", "north", "request", base, kEnvironment);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "request:1: cameras.north.conf: '5' is out of range; use 0…1");
  }
  EXPECT_THROW((void)load_camera("{}", "../etc", "request", base, kEnvironment), ConfigError);
  EXPECT_THROW((void)load_camera("[]", "north", "request", base, kEnvironment), ConfigError);
}

TEST(ConfigLoader, SaysThatAFileIsMissingOrAFolder) {
  const test::TemporaryFolder folder;
  const auto missing = folder.file("no_such.yaml");
  try {
    (void)load_file(missing, kEnvironment);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), missing + ": no such file, or it can't be read");
  }
  try {
    (void)load_file(folder.path().string(), kEnvironment);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), folder.path().string() + ": is a folder; name the YAML file in it");
  }
}

TEST(CameraId, IsSafeAsFileNameAndLabel) {
  for (const char* id : {"a", "north_gate-1.b", "0"}) EXPECT_TRUE(is_camera_id(id)) << id;
  for (const char* id : {"", ".", "..", "-a", "a/b", "a b", "ü", "a\n"}) EXPECT_FALSE(is_camera_id(id)) << id;
  EXPECT_TRUE(is_camera_id(std::string(64, 'a')));
  EXPECT_FALSE(is_camera_id(std::string(65, 'a')));
}

}  // namespace
}  // namespace gantry::config
