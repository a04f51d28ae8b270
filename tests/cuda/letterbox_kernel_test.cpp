// The letterbox kernel is vision's reference, bit for bit, in every format and many sizes in one launch.
#include "cuda/gpu_fixture.hpp"
#include "engine/cuda/kernels/letterbox.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/engine/cuda/preprocessor.hpp"
#include "gantry/vision/letterbox.hpp"
#include "gantry/vision/letterbox_quality.hpp"

namespace gantry::cuda::test {
namespace {

class LetterboxKernel : public GpuTest {};

struct Picture {
  std::vector<std::uint8_t> bytes;
  Image image;
};

Picture make_picture(int width, int height, PixelFormat format, int padding, unsigned seed) {
  Picture p;
  const int half_w = (width + 1) / 2, half_h = (height + 1) / 2;
  struct PlaneSize {
    int row, rows;
  };
  std::vector<PlaneSize> planes;
  if (format == PixelFormat::kNv12) planes = {{width, height}, {half_w * 2, half_h}};
  if (format == PixelFormat::kI420) planes = {{width, height}, {half_w, half_h}, {half_w, half_h}};
  if (format == PixelFormat::kBgr24 || format == PixelFormat::kRgb24) planes = {{width * 3, height}};
  std::size_t total = 0;
  for (const auto& plane : planes) total += static_cast<std::size_t>(plane.row + padding) * plane.rows;
  p.bytes.resize(total);
  std::mt19937 engine(seed);
  for (auto& byte : p.bytes) byte = static_cast<std::uint8_t>(engine());
  p.image.width = width, p.image.height = height, p.image.format = format;
  p.image.matrix = seed % 2 == 0 ? ColorMatrix::kBt709 : ColorMatrix::kBt601;
  p.image.range = seed % 3 == 0 ? ColorRange::kFull : ColorRange::kLimited;
  std::size_t at = 0;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    p.image.planes[i] = {p.bytes.data() + at, planes[i].row + padding};
    at += static_cast<std::size_t>(planes[i].row + padding) * planes[i].rows;
  }
  return p;
}

TEST_F(LetterboxKernel, MatchesTheReferenceBitForBit) {
  const struct {
    int width, height, padding;
    PixelFormat format;
  } table[] = {
      {1, 1, 0, PixelFormat::kBgr24},       {1280, 720, 0, PixelFormat::kNv12}, {641, 333, 7, PixelFormat::kNv12},
      {320, 240, 16, PixelFormat::kI420},   {99, 1001, 3, PixelFormat::kI420},  {640, 640, 0, PixelFormat::kRgb24},
      {1920, 1080, 64, PixelFormat::kNv12}, {33, 17, 1, PixelFormat::kBgr24},   {2, 2, 0, PixelFormat::kNv12},
      {1280, 720, 64, PixelFormat::kNv12},  {1280, 720, 6, PixelFormat::kNv12}, {64, 96, 8, PixelFormat::kNv12}};
  for (const engine::InputShape shape :
       {engine::InputShape{640, 640}, engine::InputShape{640, 384}, engine::InputShape{32, 64}}) {
    std::vector<Picture> pictures;
    unsigned seed = 1;
    for (const auto& row : table)
      pictures.push_back(make_picture(row.width, row.height, row.format, row.padding, seed++));
    std::vector<const Image*> images;
    for (const Picture& p : pictures) images.push_back(&p.image);
    CudaPreprocessor preprocessor(0, static_cast<int>(images.size()));
    const std::size_t area = static_cast<std::size_t>(shape.width) * shape.height;
    Guarded<__half> out(images.size() * area * 4);
    for (int run = 0; run < 2; ++run) ASSERT_TRUE(preprocessor.run(images, shape, out.data(), nullptr));
    check(cudaDeviceSynchronize(), "letterbox");
    const auto got = out.download();
    out.verify("out");
    for (std::size_t i = 0; i < images.size(); ++i) {
      std::vector<float> want(area * 3);
      vision::letterbox_reference(
          *images[i], vision::letterbox_geometry(images[i]->width, images[i]->height, shape.width, shape.height),
          want.data());
      std::size_t wrong = 0;
      for (std::size_t p = 0; p < area; ++p)
        for (std::size_t c = 0; c < 4; ++c) {
          const __half expected = c < 3 ? __float2half(want[c * area + p]) : __half(0.0F);
          if (__half_raw(got[(i * area + p) * 4 + c]).x != __half_raw(expected).x) ++wrong;
        }
      EXPECT_EQ(wrong, 0U) << "picture " << i << " of " << images[i]->width << "x" << images[i]->height << " at "
                           << shape.width << "x" << shape.height;
    }
    EXPECT_EQ(preprocessor.stats().launches, 2U);
    EXPECT_EQ(preprocessor.stats().pictures, 2 * images.size());
  }
}

TEST_F(LetterboxKernel, MeasuresQualityOutOfTheSamePass) {
  const engine::InputShape shape{128, 96};
  std::vector<Picture> pictures;
  pictures.push_back(make_picture(256, 144, PixelFormat::kNv12, 0, 1));
  pictures.push_back(make_picture(333, 517, PixelFormat::kBgr24, 5, 2));
  // The left half of the third is nearly even: covered. The last one is even everywhere.
  pictures.push_back(make_picture(256, 144, PixelFormat::kNv12, 0, 3));
  pictures.push_back(make_picture(640, 360, PixelFormat::kRgb24, 0, 4));
  for (std::size_t i = 0; i < pictures[2].bytes.size(); ++i)
    if (i % 256 < 128) pictures[2].bytes[i] = static_cast<std::uint8_t>(127 + i % 2);
  std::fill(pictures[3].bytes.begin(), pictures[3].bytes.end(), std::uint8_t{60});
  std::vector<const Image*> images;
  for (int i = 0; i < kMaxLetterboxPictures + 5; ++i)  // more than one launch takes: the four again and again
    images.push_back(&pictures[static_cast<std::size_t>(i % 4)].image);
  const std::size_t area = static_cast<std::size_t>(shape.width) * shape.height;
  CudaPreprocessor preprocessor(0, static_cast<int>(images.size()));
  Guarded<__half> out(images.size() * area * 4), plain(images.size() * area * 4);
  ASSERT_TRUE(preprocessor.run(images, shape, plain.data(), nullptr));
  check(cudaDeviceSynchronize(), "letterbox");
  EXPECT_THROW(static_cast<void>(preprocessor.quality(0)), PreconditionError) << "nobody asked";
  for (int run = 0; run < 2; ++run) {
    ASSERT_TRUE(preprocessor.run(images, shape, out.data(), nullptr, CudaPreprocessor::Measure::kQuality));
    check(cudaDeviceSynchronize(), "letterbox");
  }
  out.verify("out");
  const auto measured = out.download(), unmeasured = plain.download();
  EXPECT_EQ(std::memcmp(measured.data(), unmeasured.data(), measured.size() * sizeof(__half)), 0);
  EXPECT_EQ(preprocessor.stats().launches, 6U);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const vision::LetterboxQuality got = preprocessor.quality(i);
    vision::LetterboxQuality want = preprocessor.quality(i % 4);
    if (i < 4) {
      const auto geometry = vision::letterbox_geometry(images[i]->width, images[i]->height, shape.width, shape.height);
      std::vector<float> planes(area * 3);
      vision::letterbox_reference(*images[i], geometry, planes.data());
      want = vision::letterbox_quality(vision::letterbox_quality_reference(planes.data(), geometry), geometry);
    }
    EXPECT_EQ(got.brightness, want.brightness) << i;
    EXPECT_EQ(got.contrast, want.contrast) << i;
    EXPECT_EQ(got.sharpness, want.sharpness) << i;
    EXPECT_EQ(got.covered, want.covered) << i;
  }
  EXPECT_EQ(preprocessor.quality(0).covered, 0.0F);
  EXPECT_NEAR(preprocessor.quality(2).covered, 0.5F, 0.05F);
  EXPECT_EQ(preprocessor.quality(3).covered, 1.0F);
}

TEST_F(LetterboxKernel, RefusesTooManyAndForeignPictures) {
  CudaPreprocessor preprocessor(0, 1);
  Picture p = make_picture(64, 64, PixelFormat::kNv12, 0, 1);
  const Image* two[] = {&p.image, &p.image};
  Guarded<__half> out(64 * 64 * 4);
  EXPECT_EQ(preprocessor.run(two, {64, 64}, out.data(), nullptr).error().code, ErrorCode::kInvalid);
  p.image.space = MemorySpace::kDevice, p.image.device = 1;
  EXPECT_EQ(preprocessor.run({two, 1}, {64, 64}, out.data(), nullptr).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace gantry::cuda::test
