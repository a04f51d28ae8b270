#include "support/pictures.hpp"

#include <turbojpeg.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>

namespace gantry::test {
namespace {

class OwnedPicture final : public Storage {
 public:
  explicit OwnedPicture(const Picture& from) : picture(from) {}
  Picture picture;

 private:
  void recycle() noexcept override { delete this; }
};

struct PlaneSize {
  int row_bytes = 0, rows = 0;
};

std::vector<PlaneSize> plane_sizes(int width, int height, PixelFormat format) {
  const int half_width = (width + 1) / 2;
  const int half_height = (height + 1) / 2;
  switch (format) {
    case PixelFormat::kNv12:
      return {{width, height}, {2 * half_width, half_height}};
    case PixelFormat::kI420:
      return {{width, height}, {half_width, half_height}, {half_width, half_height}};
    default:
      return {{3 * width, height}};
  }
}

}  // namespace

Image Picture::view() const {
  Image image;
  image.width = width;
  image.height = height;
  image.format = format;
  image.matrix = matrix;
  image.range = range;
  const std::uint8_t* at = bytes.data();
  std::size_t plane = 0;
  for (const PlaneSize& size : plane_sizes(width, height, format)) {
    const std::ptrdiff_t stride = size.row_bytes + extra_stride;
    image.planes[plane++] = {at, stride};
    at += stride * size.rows;
  }
  return image;
}

Picture read_jpeg(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<unsigned char> coded{std::istreambuf_iterator<char>(in), {}};
  const std::unique_ptr<void, int (*)(tjhandle)> decoder(tjInitDecompress(), tjDestroy);
  Picture picture;
  int sampling = 0;
  int space = 0;
  if (tjDecompressHeader3(decoder.get(), coded.data(), coded.size(), &picture.width, &picture.height, &sampling,
                          &space) != 0) {
    throw std::runtime_error(file.string() + ": " + tjGetErrorStr2(decoder.get()));
  }
  picture.bytes.resize(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3);
  if (tjDecompress2(decoder.get(), coded.data(), coded.size(), picture.bytes.data(), picture.width, 0, picture.height,
                    TJPF_BGR, 0) != 0) {
    throw std::runtime_error(file.string() + ": " + tjGetErrorStr2(decoder.get()));
  }
  return picture;
}

Picture noise_picture(int width, int height, PixelFormat format, unsigned seed, int extra_stride) {
  Picture picture;
  picture.width = width;
  picture.height = height;
  picture.format = format;
  picture.extra_stride = extra_stride;
  std::mt19937 random(seed);
  for (const PlaneSize& size : plane_sizes(width, height, format)) {
    for (int y = 0; y < size.rows; ++y) {
      for (int x = 0; x < size.row_bytes + extra_stride; ++x) {
        picture.bytes.push_back(static_cast<std::uint8_t>(x + 2 * y + static_cast<int>(random() % 128)));
      }
    }
  }
  return picture;
}

Frame frame_of(const Picture& picture) {
  auto* owned = new OwnedPicture(picture);
  Frame frame;
  frame.pixels = StorageRef(owned);
  frame.image = owned->picture.view();
  return frame;
}

}  // namespace gantry::test
