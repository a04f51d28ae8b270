#include "gantry/media/picture_decoder.hpp"

#include "media/picture.hpp"

namespace gantry::media {

class PictureDecoder::Impl {
 public:
  explicit Impl(std::int64_t most_pixels) : reader_(most_pixels) { quiet_ffmpeg_log(); }

  Result<DecodedPicture> decode(std::span<const std::uint8_t> bytes, const std::string& name) {
    auto picture = reader_.read(bytes, name);
    if (!picture) return Unexpected<Error>{picture.error()};
    DecodedPicture out;
    if (!describe(*picture->frame, out.image)) return fail(ErrorCode::kUnsupported, name + ": pixel format");
    out.pixels = std::move(picture->owner);
    return out;
  }

 private:
  PictureReader reader_;
};

PictureDecoder::PictureDecoder(std::int64_t most_pixels) : impl_(std::make_unique<Impl>(most_pixels)) {}
PictureDecoder::~PictureDecoder() = default;
Result<DecodedPicture> PictureDecoder::decode(std::span<const std::uint8_t> bytes, const std::string& name) {
  return impl_->decode(bytes, name);
}

}  // namespace gantry::media
