#include "gantry/media/clip_writer.hpp"

#include "media/mp4_encoder.hpp"

namespace gantry::media {

class ClipWriter::Impl {
 public:
  Impl(const std::string& path, const ClipOptions& options) : encoder(path, options) {}
  Mp4Encoder encoder;
  AvPtr<AVFrame> picture{av_frame_alloc()};
};

ClipWriter::ClipWriter(const std::string& path, const ClipOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}
ClipWriter::~ClipWriter() = default;

Result<void> ClipWriter::write(const Image& image, Duration pts) {
  view(image, *impl_->picture);
  return impl_->encoder.write(*impl_->picture, pts);
}
Result<void> ClipWriter::finish() {
  return impl_->encoder.finish();
}
const std::string& ClipWriter::encoder() const noexcept {
  return impl_->encoder.encoder();
}

}  // namespace gantry::media
