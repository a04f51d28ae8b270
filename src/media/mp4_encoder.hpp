#pragma once
// The encoder and MP4 file behind ClipWriter and AnnotatedVideoWriter. Internal to the room; one thread at a time.
#include <deque>
#include <string>

#include "gantry/media/clip_writer.hpp"
#include "media/convert.hpp"

namespace gantry::media {

class Mp4Encoder {
 public:
  /// @throws MediaError
  Mp4Encoder(const std::string& path, const ClipOptions& options);
  ~Mp4Encoder();
  Mp4Encoder(const Mp4Encoder&) = delete;
  Mp4Encoder& operator=(const Mp4Encoder&) = delete;

  [[nodiscard]] Result<void> write(const AVFrame& picture, Duration pts);
  [[nodiscard]] Result<void> finish();
  [[nodiscard]] const std::string& encoder() const noexcept { return encoder_; }

 private:
  struct OutputDelete {
    void operator()(AVFormatContext* context) const noexcept;
  };
  Result<void> begin(const AVFrame& first);
  Result<void> open_encoder(const AVFrame& first);
  Result<void> drain();
  Unexpected<Error> failed(int code, const char* what) const { return av_failure(code, path_ + ": " + what); }

  std::string path_;
  ClipOptions options_;
  std::string encoder_;
  std::unique_ptr<AVFormatContext, OutputDelete> format_;
  AvPtr<AVCodecContext> context_;
  AVStream* stream_ = nullptr;
  AvPtr<AVPacket> packet_;
  Canvas canvas_;
  std::int64_t pictures_ = 0;
  std::int64_t last_tick_ = 0;
  std::deque<std::int64_t> ticks_;  ///< of pictures inside the encoder, which keeps their order
  bool finished_ = false;
};

}  // namespace gantry::media
