#include "media/rtp_pictures.hpp"

#include <cstring>

namespace gantry::media {
namespace {

/// The first slice tells the size; a camera that sends none among so many pictures is for the decoder to judge.
constexpr std::size_t kMostProbed = 64;

}  // namespace

bool RtpPictures::serves(const AVCodecParameters& parameters) noexcept {
  return (parameters.codec_id == AV_CODEC_ID_H264 || parameters.codec_id == AV_CODEC_ID_HEVC) &&
         parameters.extradata_size > 0;
}

RtpPictures::RtpPictures(AVFormatContext& format, AVStream& stream)
    : format_(format),
      stream_(stream),
      assembler_(stream.codecpar->codec_id == AV_CODEC_ID_HEVC),
      piece_(av_packet_alloc()),
      parser_(av_parser_init(stream.codecpar->codec_id)),
      context_(avcodec_alloc_context3(nullptr)) {
  // FFmpeg's parser would hold each picture back until the next begins; what it fills in needs the parser.
  format_.flags |= AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
  if (parser_ != nullptr) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
  if (context_ != nullptr) avcodec_parameters_to_context(context_.get(), stream.codecpar);
}

void RtpPictures::probe() {
  while (stream_.codecpar->width == 0 && probed_.size() < kMostProbed) {
    AvPtr<AVPacket> picture(av_packet_alloc());
    if (picture == nullptr || assemble(*picture) < 0) return;
    probed_.push_back(std::move(picture));
  }
}

int RtpPictures::read(AVPacket& picture) {
  if (probed_.empty()) return assemble(picture);
  av_packet_move_ref(&picture, probed_.front().get());
  probed_.pop_front();
  return 0;
}

int RtpPictures::assemble(AVPacket& picture) {
  for (;;) {
    if (!piece_waits_) {
      av_packet_unref(piece_.get());
      const int code = av_read_frame(&format_, piece_.get());
      if (code == AVERROR_EOF) {
        const int last = hand_out(picture);
        return last == AVERROR(EAGAIN) ? code : last;
      }
      if (code < 0) return code;
      if (piece_->stream_index != stream_.index) continue;
      if (!assembler_.continues(piece_->pts)) {
        piece_waits_ = true;
        return hand_out(picture);
      }
    }
    piece_waits_ = false;
    const bool whole = assembler_.add({piece_->data, static_cast<std::size_t>(piece_->size)}, piece_->pts);
    if (whole) return hand_out(picture);
  }
}

/// AVERROR(EAGAIN) where nothing was collected.
int RtpPictures::hand_out(AVPacket& picture) {
  const auto bytes = assembler_.take();
  if (bytes.empty()) return AVERROR(EAGAIN);
  if (const int code = av_new_packet(&picture, static_cast<int>(bytes.size())); code < 0) return code;
  std::memcpy(picture.data, bytes.data(), bytes.size());
  picture.pts = assembler_.timestamp();
  picture.stream_index = stream_.index;
  inspect(picture);
  return 0;
}

/// What FFmpeg's reading would have filled in: key pictures, and the size once it is known.
void RtpPictures::inspect(AVPacket& picture) {
  if (parser_ == nullptr || context_ == nullptr) return;
  std::uint8_t* out = nullptr;
  int out_size = 0;
  av_parser_parse2(parser_.get(), context_.get(), &out, &out_size, picture.data, picture.size, picture.pts,
                   AV_NOPTS_VALUE, 0);
  const bool intra = parser_->key_frame == -1 && parser_->pict_type == AV_PICTURE_TYPE_I;
  if (parser_->key_frame == 1 || intra) picture.flags |= AV_PKT_FLAG_KEY;
  AVCodecParameters& parameters = *stream_.codecpar;
  if (parameters.width != 0 || parser_->width <= 0) return;
  parameters.width = parser_->width;
  parameters.height = parser_->height;
  parameters.format = parser_->format;
}

}  // namespace gantry::media
