#include "gantry/server/camera_state.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <thread>

namespace gantry::server {
namespace {

namespace fs = std::filesystem;

class CameraStateTest : public testing::Test {
 protected:
  CameraStateTest() {
    std::string name = (fs::temp_directory_path() / "gantry-state-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    file = folder / "cameras.json";
    yaml.cameras["gate"].source = "rtsp://192.0.2.1/a";
  }
  ~CameraStateTest() override { fs::remove_all(folder); }
  [[nodiscard]] std::string text() const {
    std::ifstream stream{file};
    return {std::istreambuf_iterator<char>{stream}, {}};
  }

  fs::path folder, file;
  config::Config yaml;
};

TEST_F(CameraStateTest, ARemovalIsRememberedOnlyWhereTheFileWouldBringTheCameraBack) {
  CameraState state{file};
  (void)state.over(yaml);
  ASSERT_TRUE(state.put("guest", R"({"source":"rtsp://192.0.2.2/b"})"));
  ASSERT_TRUE(state.remove("guest"));
  EXPECT_EQ(text().find("guest"), std::string::npos) << text();
  ASSERT_TRUE(state.remove("gate"));
  EXPECT_NE(text().find("gate"), std::string::npos) << text();
  EXPECT_TRUE(CameraState{file}.over(yaml).cameras.empty());
}

TEST_F(CameraStateTest, ClearsAwayWhatKilledWritersHaveLeftAndNothingElse) {
  for (const char* name :
       {".cameras.json.a1B2c3", ".cameras.json.toolong1", "cameras.json.a1B2c3", ".other.json.a1B2c3"})
    std::ofstream{folder / name} << "{";
  const CameraState state{file};
  EXPECT_FALSE(fs::exists(folder / ".cameras.json.a1B2c3"));
  EXPECT_TRUE(fs::exists(folder / ".cameras.json.toolong1"));
  EXPECT_TRUE(fs::exists(folder / "cameras.json.a1B2c3"));
  EXPECT_TRUE(fs::exists(folder / ".other.json.a1B2c3"));
}

TEST_F(CameraStateTest, TurnsComeOneAfterAnother) {
  const CameraState state{file};
  int value = 0;
  const auto count = [&] {
    for (int i = 0; i < 1000; ++i) {
      const auto turn = state.turn();
      ++value;
    }
  };
  std::thread other{count};
  count();
  other.join();
  EXPECT_EQ(value, 2000);
}

}  // namespace
}  // namespace gantry::server
