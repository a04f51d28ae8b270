#pragma once
// H.264 and HEVC over RTP, a packet a picture, each as soon as it is here (picture_assembler.hpp). Internal to the
// room; used by one thread.
#include <deque>

#include "media/av.hpp"
#include "media/picture_assembler.hpp"

namespace gantry::media {

struct AvParserDelete {
  void operator()(AVCodecParserContext* p) const noexcept { av_parser_close(p); }
};

class RtpPictures {
 public:
  /// True for streams whose parameter sets stand in the session description. Others need FFmpeg's probing, and its
  /// parser with it.
  [[nodiscard]] static bool serves(const AVCodecParameters& parameters) noexcept;

  /// Takes over reading; before any packet was read. Both outlive this.
  RtpPictures(AVFormatContext& format, AVStream& stream);

  /// Reads until the pictures' size is known, for a while at most; what was read comes out of read() first. Faults too
  /// come out there.
  void probe();
  /// As av_read_frame(), in whole pictures.
  [[nodiscard]] int read(AVPacket& picture);

 private:
  [[nodiscard]] int assemble(AVPacket& picture);
  [[nodiscard]] int hand_out(AVPacket& picture);
  void inspect(AVPacket& picture);

  AVFormatContext& format_;
  AVStream& stream_;
  PictureAssembler assembler_;
  AvPtr<AVPacket> piece_;
  bool piece_waits_ = false;  ///< it begins the next picture
  std::unique_ptr<AVCodecParserContext, AvParserDelete> parser_;
  AvPtr<AVCodecContext> context_;  ///< the parser's
  std::deque<AvPtr<AVPacket>> probed_;
};

}  // namespace gantry::media
