#include "gantry/app/model_finder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gantry/app/class_filter.hpp"
#include "gantry/core/errors.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::app {
namespace fs = std::filesystem;
namespace {

class ModelFinder : public testing::Test {
 protected:
  ModelFinder() {
    for (const char* name : {"traffic.onnx", "other.xml", "notes.txt", "traffic_int8/model.xml"}) own.write(name, "x");
  }
  std::string error_of(const std::string& name) const {
    try {
      (void)find_model(name, {folder});
    } catch (const ModelError& error) {
      return error.what();
    }
    return "no error";
  }
  const gantry::test::TemporaryFolder own;
  const fs::path& folder = own.path();
};

TEST_F(ModelFinder, FindsFilesAndFoldersByName) {
  EXPECT_EQ(find_model("traffic", {folder}), (folder / "traffic.onnx").string());
  EXPECT_EQ(find_model("other", {"/no/such/folder", folder}), (folder / "other.xml").string());
  EXPECT_EQ(find_model("traffic_int8", {folder}), (folder / "traffic_int8").string());
}

TEST_F(ModelFinder, PathsStandForThemselves) {
  const auto path = (folder / "traffic.onnx").string();
  EXPECT_EQ(find_model(path, {}), path);
  EXPECT_EQ(error_of("./nothing.onnx"), "./nothing.onnx: no such model file; check the path");
  EXPECT_EQ(error_of("nothing.onnx"), "nothing.onnx: no such model file; check the path");
}

TEST_F(ModelFinder, SaysWhatThereIsAndWhatWasMeant) {
  EXPECT_EQ(error_of("trafic"),
            "no model called 'trafic'; did you mean 'traffic'? There are other, traffic, "
            "traffic_int8 in " +
                folder.string() + ". Give a file (model.onnx), or set GANTRY_MODELS to the folder of your models");
}

TEST_F(ModelFinder, LooksBesideTheProgram) {
  const auto folders = model_folders();
  EXPECT_THAT(folders, testing::Contains(fs::read_symlink("/proc/self/exe").parent_path() / "models"));
}

TEST(ClassFilter, TakesNamesAndNumbers) {
  const std::vector<std::string> names{"person", "bicycle", "car"};
  EXPECT_EQ(class_ids({"car", "0", "car"}, names, "--classes"), (std::vector<int>{0, 2}));
  EXPECT_TRUE(class_ids({}, names, "--classes").empty());
}

TEST(ClassFilter, NamesTheNearestClass) {
  const std::vector<std::string> names{"person", "bicycle", "car"};
  const auto error_of = [&](const std::string& name) -> std::string {
    try {
      (void)class_ids({name}, names, "--classes");
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of("bycicle"), "--classes: the model has no class 'bycicle'; did you mean 'bicycle'?");
  EXPECT_EQ(error_of("zebra"), "--classes: the model has no class 'zebra'; it has person, bicycle, car");
  EXPECT_EQ(error_of("3"), "--classes: the model has no class '3'; it has person, bicycle, car");
  EXPECT_EQ(error_of("-1"), "--classes: the model has no class '-1'; it has person, bicycle, car");
}

}  // namespace
}  // namespace gantry::app
