#include "gantry/precision/samples.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "gantry/core/errors.hpp"
#include "gantry/media/jpeg.hpp"
#include "support/pictures.hpp"

namespace gantry::precision {
namespace {

namespace fs = std::filesystem;

class SamplesTest : public testing::Test {
 protected:
  SamplesTest() {
    std::string name = (fs::temp_directory_path() / "gantry-samples-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
  }
  ~SamplesTest() override { fs::remove_all(folder_); }

  void write(const std::string& name, const test::Picture& picture) const {
    fs::create_directories((folder_ / name).parent_path());
    std::vector<std::uint8_t> bytes;
    media::JpegEncoder encoder;
    ASSERT_TRUE(encoder.encode(picture.view(), 90, bytes));
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void write_noise(const std::string& camera, int count) const {
    for (int i = 0; i < count; ++i)
      write(camera + "/" + std::to_string(100 + i) + ".jpg",
            test::noise_picture(96, 64, PixelFormat::kBgr24, static_cast<unsigned>(i)));
  }
  [[nodiscard]] Samples draw(std::size_t count) const { return read_samples({folder_.string()}, count, {64, 64}); }
  static std::string refusal(const Samples& samples) {
    try {
      refuse_useless(samples);
    } catch (const StartupError& error) {
      return error.what();
    }
    return "accepted";
  }

  fs::path folder_;
};

TEST_F(SamplesTest, AreDrawnEvenlyOverFoldersAndWithinThem) {
  write_noise("north", 40);
  write_noise("south", 4);
  const Samples samples = draw(20);
  ASSERT_EQ(samples.pictures.size(), 20U);
  std::set<std::string> names;
  std::size_t south = 0;
  for (const Sample& sample : samples.pictures) {
    names.insert(sample.name);
    south += sample.name.find("/south/") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(names.size(), 20U) << "no picture twice";
  EXPECT_EQ(south, 4U) << "a small folder gives all it has, the large one the rest";
  EXPECT_TRUE(names.contains((folder_ / "north/100.jpg").string()));
  EXPECT_TRUE(names.contains((folder_ / "north/137.jpg").string())) << "the end of the folder counts as well";
  EXPECT_EQ(samples.digest, draw(20).digest);
  EXPECT_EQ(refusal(samples), "accepted");
}

TEST_F(SamplesTest, FewPicturesAreUseless) {
  write_noise("north", 3);
  EXPECT_NE(refusal(draw(64)).find("3 calibration pictures: too few"), std::string::npos) << refusal(draw(64));
}

TEST_F(SamplesTest, BlackPicturesAreUseless) {
  write_noise("north", 30);
  test::Picture black;
  black.width = 96;
  black.height = 64;
  black.bytes.assign(96 * 64 * 3, 0);
  for (int i = 0; i < 10; ++i) write("dark/" + std::to_string(i) + ".jpg", black);
  EXPECT_NE(refusal(draw(40)).find("10 of 40 calibration pictures are blank"), std::string::npos) << refusal(draw(40));
}

TEST_F(SamplesTest, AnEmptyFolderIsNamed) {
  try {
    static_cast<void>(draw(4));
    FAIL() << "should have refused";
  } catch (const StartupError& error) {
    EXPECT_NE(std::string(error.what()).find(folder_.string() + ": holds no pictures"), std::string::npos);
  }
}

TEST_F(SamplesTest, FramesHoldTheSamplesPixels) {
  write_noise("north", 1);
  const Samples samples = draw(1);
  const auto& planes = samples.pictures[0].planes;
  const Frame frame = as_frame(samples, 0);
  const Frame swapped = as_frame(samples, 0, true);
  const std::size_t area = 64 * 64;
  const std::size_t at = 20 * 64 + 5;
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(frame.image.planes[0].data[3 * at + c], planes[c * area + at]);
    EXPECT_EQ(swapped.image.planes[0].data[3 * at + c], planes[(2 - c) * area + at]);
  }
  EXPECT_FLOAT_EQ(as_input(samples, 0).floats()[at], static_cast<float>(planes[at]) / 255);
}

}  // namespace
}  // namespace gantry::precision
