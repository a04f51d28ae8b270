#pragma once
// One stream through nvcuvid: whole access units into a parser of its own, its pictures to the card, frames out.
//
// Where the parameter sets say that pictures come out as they are decoded (what cameras send), a frame is handed out
// the moment its picture has been sent to the card: the parser's own display queue would hold it until the next one.
//
// One thread, as Decoder says. The frames may go anywhere and outlive it.
extern "C" {
#include <libavcodec/bsf.h>
}

#include <deque>
#include <optional>

#include "media/av.hpp"
#include "media/nvdec/card.hpp"
#include "media/picture_kind.hpp"
#include "media/skip_gate.hpp"

namespace gantry::media {

/// The card's codec for it; nothing where it has none.
[[nodiscard]] std::optional<VideoCodec> video_codec_of(AVCodecID codec) noexcept;

class NvdecStreamDecoder final : public Decoder {
 public:
  /// @param may_share false: a session of its own, whatever the stream
  NvdecStreamDecoder(std::shared_ptr<NvdecCard> card, bool may_share);
  ~NvdecStreamDecoder() override;
  NvdecStreamDecoder(const NvdecStreamDecoder&) = delete;
  NvdecStreamDecoder& operator=(const NvdecStreamDecoder&) = delete;

  Result<void> open(const StreamInfo& stream) override;
  void send(const Packet& packet, Need need) override;
  void finish() override;
  DecodeEvent receive(Frame& frame) override;
  void set_skip(SkipLevel level) noexcept override { gate_.set(level); }
  DecoderStats stats() const noexcept override;

  /// Set once the stream can't be decoded on the card: why, and what was sent since is lost.
  [[nodiscard]] std::optional<DecodeReason> refusal() const noexcept { return refusal_; }
  /// From the next key frame on it decodes in a session of its own.
  void leave_shared_session() noexcept { leaves_ = leaves_ || may_share_; }
  [[nodiscard]] bool seated() const noexcept { return seat_ != nullptr; }
  [[nodiscard]] bool shared() const noexcept { return seat_ != nullptr && seat_->format().cameras > 1; }

 private:
  struct BsfDelete {
    void operator()(AVBSFContext* p) const noexcept { av_bsf_free(&p); }
  };
  /// A packet inside the parser. Its token travels through it as the time stamp.
  struct Pending {
    std::uint64_t token = 0;
    Duration pts{};
    TimePoint arrived_at{};
    bool wanted = true;
  };
  struct Event {
    DecodeEvent what = DecodeEvent::kNeedPacket;
    Duration pts{};
    TimePoint arrived_at{};
    Presentation presentation;
    StorageRef picture;
  };

  Result<void> make_parser();
  Result<void> make_filter();
  void feed_parameter_sets();
  void feed(std::span<const std::uint8_t> bytes, unsigned flags);
  void look_into(std::span<const std::uint8_t> bytes);
  void restart_alone();
  int on_sequence(const CUVIDEOFORMAT& format);
  int on_decode(CUVIDPICPARAMS& picture);
  int on_display(const CUVIDPARSERDISPINFO& shown);
  void hand_out(const Pending& entry, int parser_index);
  void give_up(const Pending& entry) { push(entry.wanted ? DecodeEvent::kLost : DecodeEvent::kUnwanted); }
  void push(DecodeEvent what) { events_.push_back({what, {}, {}, {}, {}}); }

  const std::shared_ptr<NvdecCard> card_;
  bool may_share_;
  bool leaves_ = false;
  SkipGate gate_;
  DecoderStats stats_;
  std::optional<DecodeReason> refusal_;

  VideoCodec codec_ = VideoCodec::kH264;
  AvPtr<AVCodecParameters> parameters_;
  NativeStream stream_;
  PictureJudge judge_;
  std::unique_ptr<AVBSFContext, BsfDelete> filter_;
  AvPtr<AVPacket> packet_;
  CUvideoparser parser_ = nullptr;
  std::optional<StreamTraits> traits_;

  std::shared_ptr<Seat> seat_;
  CUVIDEOFORMAT seated_for_{};
  std::uint64_t concealed_before_ = 0;  ///< of seats left
  Presentation presentation_;
  bool in_order_ = false;  ///< pictures come out as they are decoded
  bool progressive_ = true;

  std::uint64_t last_token_ = 0;
  std::deque<Pending> pending_;  ///< in order of tokens
  std::deque<Event> events_;     ///< answers not yet asked for
  int refused_in_a_row_ = 0;
};

}  // namespace gantry::media
