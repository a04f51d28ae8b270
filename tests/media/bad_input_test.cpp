// Inputs that can't be used, each with the sentence that the user gets.
#include <algorithm>

#include "media/support.hpp"

namespace gantry::media {
namespace {

using namespace testing;

std::unique_ptr<Source> source_of(const fs::path& path) {
  SourceConfig config;
  config.url = path.string();
  return make_source(config);
}

/// What open() says, or, where it says nothing, with what reading ends.
Error verdict(const fs::path& path) {
  const auto source = source_of(path);
  if (const Result<void> opened = source->open(); !opened) return opened.error();
  const auto decoder = make_ffmpeg_decoder();
  return read_all(*source, *decoder).end;
}

class BadInput : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(BadInput, MissingFile) {
  for (const char* name : {"no.mp4", "no.jpg"}) {
    const Error error = verdict(folder_ / name);
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    EXPECT_EQ(error.message, (folder_ / name).string() + ": no such file; check the path");
  }
}

TEST_F(BadInput, ZeroSize) {
  for (const char* name : {"empty.mp4", "empty.jpg"}) {
    write(folder_ / name, {});
    const Error error = verdict(folder_ / name);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_EQ(error.message, (folder_ / name).string() + ": the file is empty (0 bytes)");
  }
}

TEST_F(BadInput, FolderWithoutPictures) {
  fs::create_directory(folder_ / "sub");
  write(folder_ / "notes.txt", {'x'});
  const Error error = verdict(folder_.path());
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(error.message, folder_.path().string() +
                               ": no pictures in this folder; it needs .jpg, .png, .bmp, .webp, .tif or .ppm files "
                               "directly inside it");
}

TEST_F(BadInput, AudioOnly) {
  ASSERT_TRUE(ffmpeg("-f lavfi -i sine=duration=1 " + (folder_ / "sound.m4a").string()));
  const Error error = verdict(folder_ / "sound.m4a");
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_EQ(error.message,
            (folder_ / "sound.m4a").string() + ": no video in it, only audio; give a file or stream with video");
}

TEST_F(BadInput, TextNamedLikeAVideo) {
  write(folder_ / "text.mp4", std::vector<std::uint8_t>(5000, 'a'));
  const Error error = verdict(folder_ / "text.mp4");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message, (folder_ / "text.mp4").string() +
                               ": not a video that can be read; it is cut off, damaged or of another kind");
}

TEST_F(BadInput, Mp4CutOffBeforeItsIndex) {
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -pix_fmt yuv420p " +
                     (folder_ / "whole.mp4").string()));
  std::vector<std::uint8_t> bytes = bytes_of(folder_ / "whole.mp4");
  bytes.resize(bytes.size() / 2);
  write(folder_ / "half.mp4", bytes);
  const Error error = verdict(folder_ / "half.mp4");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message, (folder_ / "half.mp4").string() +
                               ": not a video that can be read; it is cut off, damaged or of another kind");
}

TEST_F(BadInput, Mp4CutOffBehindItsIndexGivesWhatIsThereAndSaysSo) {
  ASSERT_TRUE(
      ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -pix_fmt yuv420p -bf 0 -movflags +faststart " +
             (folder_ / "whole.mp4").string()));
  std::vector<std::uint8_t> bytes = bytes_of(folder_ / "whole.mp4");
  bytes.resize(bytes.size() * 6 / 10);
  write(folder_ / "part.mp4", bytes);
  const Reading reading = read_all(folder_ / "part.mp4");
  EXPECT_GT(reading.pts.size(), 5U);
  EXPECT_LT(reading.pts.size(), 50U);
  EXPECT_EQ(reading.end.code, ErrorCode::kCorrupt);
  EXPECT_EQ(reading.end.message, (folder_ / "part.mp4").string() + ": cut off behind " +
                                     std::to_string(reading.packets) + " of 50 pictures");
}

TEST_F(BadInput, UnknownScheme) {
  try {
    (void)source_of("gopher://user:pass@host/x");
    FAIL();
  } catch (const MediaError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find("gopher://user:***@host/x: \"gopher://\" is not known; known are "), 0U) << text;
    EXPECT_NE(text.find("rtsp"), text.npos);
  }
}

TEST_F(BadInput, DamagedPictureInAFolderIsNamedAndTheOthersCome) {
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=64x48 -frames:v 1 " + (folder_ / "a.png").string()));
  write(folder_ / "b.jpg", {0xFF, 0xD8, 0xFF, 0xE0, 1, 2, 3});
  write(folder_ / "c.png", {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0, 0});
  write(folder_ / "d.bmp", {'n', 'o', 'n', 'e'});
  ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=64x48 -frames:v 1 " + (folder_ / "e.jpg").string()));
  const auto source = source_of(folder_.path());
  std::vector<std::string> said;
  for (;;) {
    const Result<Packet> packet = source->next();
    said.push_back(packet ? std::string(packet->name) : packet.error().message);
    if (!packet && packet.error().code == ErrorCode::kEndOfStream) break;
  }
  const std::string here = folder_.path().string();
  ASSERT_EQ(said.size(), 6U);
  EXPECT_EQ(said[0], "a");
  EXPECT_EQ(said[1].find(here + "/b.jpg: not a picture that can be read: "), 0U) << said[1];
  EXPECT_EQ(said[2].find(here + "/c.png: not a picture that can be read: "), 0U) << said[2];
  EXPECT_EQ(said[3], here + "/d.bmp: not a picture that can be read: it is none of JPEG, PNG, BMP, WebP, TIFF and PNM");
  EXPECT_EQ(said[4], "e");
  EXPECT_EQ(said[5], here + ": no more pictures");
}

TEST_F(BadInput, OnePixelAndVeryWidePicturesAreFine) {
  for (const char* ending : {"jpg", "png"})
    for (const auto& [width, height] : {std::pair{1, 1}, std::pair{16384, 3}, std::pair{2, 16384}}) {
      const fs::path path = folder_ / (std::to_string(width) + "." + ending);
      // A raw red picture, because lavfi's sources have even sides.
      std::vector<std::uint8_t> raw;
      for (int i = 0; i < width * height; ++i) raw.insert(raw.end(), {255, 0, 0});
      write(folder_ / "red.raw", raw);
      ASSERT_TRUE(ffmpeg("-f rawvideo -pix_fmt rgb24 -s " + std::to_string(width) + "x" + std::to_string(height) +
                         " -i " + (folder_ / "red.raw").string() + " -frames:v 1 -q:v 1 " + path.string()));
      int seen = 0;
      const Reading reading = read_all(path, [&](const Frame& frame) {
        ++seen;
        EXPECT_EQ(frame.image.width, width);
        EXPECT_EQ(frame.image.height, height);
        const Plane& plane = frame.image.planes[0];
        const std::uint8_t* last = plane.data + plane.stride_bytes * (height - 1) + std::ptrdiff_t{3} * (width - 1);
        EXPECT_LE(last[0], 3);
        EXPECT_LE(last[1], 3);
        EXPECT_GE(last[2], 250);
      });
      EXPECT_EQ(seen, 1) << path << ": " << reading.end.message;
    }
}

TEST_F(BadInput, PictureBombIsRefused) {
  // A PNG header that promises 60000 x 60000 pixels.
  std::vector<std::uint8_t> png{0x89, 'P',  'N',  'G', '\r', '\n', 0x1A, '\n', 0, 0, 0, 13, 'I',  'H',  'D',  'R', 0,
                                0,    0xEA, 0x60, 0,   0,    0xEA, 0x60, 8,    2, 0, 0, 0,  0x5C, 0x8D, 0x7B, 0x1F};
  write(folder_ / "bomb.png", png);
  const auto source = source_of(folder_ / "bomb.png");
  const Result<Packet> packet = source->next();
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().message.find((folder_ / "bomb.png").string() + ": not a picture that can be read: "), 0U);
}

TEST_F(BadInput, BrokenVideoIsCountedAndNeverThrows) {
  // Every 200th byte behind the header is turned over, in several codecs.
  for (const char* codec :
       {"libx264 -bf 2", "libx265 -x265-params log-level=none", "mpeg4", "mjpeg", "libvpx-vp9 -deadline realtime"}) {
    const fs::path path = folder_ / "whole.mkv";
    ASSERT_TRUE(ffmpeg("-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -pix_fmt yuv420p -c:v " +
                       std::string(codec) + " " + path.string()));
    std::vector<std::uint8_t> bytes = bytes_of(path);
    for (std::size_t i = 4000; i < bytes.size(); i += 200) bytes[i] ^= 0x5A;
    write(folder_ / "broken.mkv", bytes);
    for (const int threads : {1, 3}) {
      const Reading reading = read_all(folder_ / "broken.mkv", {}, threads);
      EXPECT_LE(reading.pts.size() + reading.lost, reading.packets) << codec;
      EXPECT_EQ(reading.stats.lost, reading.lost) << codec;
      // VP9 decodes almost any bytes to some picture; and with threads that each take a frame, FFmpeg may hand out a
      // patched picture before the thread that patches it has marked it.
      if (threads == 1 && std::string_view(codec).find("vp9") == std::string_view::npos) {
        EXPECT_GT(reading.lost + reading.stats.concealed, 0U) << codec;
      }
    }
  }
}

}  // namespace
}  // namespace gantry::media
