#include "gantry/media/movable_decoder.hpp"

#include <vector>

#include "gantry/core/expects.hpp"
#include "media/av.hpp"

namespace gantry::media {
namespace {

/// The coded packets since the last key frame. Keeps its slots, so that it stops allocating once warm.
class SinceKeyFrame {
 public:
  explicit SinceKeyFrame(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  void add(const Packet& packet) {
    if (packet.keyframe) clear();
    const auto* coded = std::get_if<CodedPayload>(&packet.payload);
    if (coded == nullptr || coded->native == nullptr || (!begun_ && !packet.keyframe)) return;
    begun_ = true;
    bytes_ += coded->bytes.size();
    if (bytes_ > most_bytes_) return clear();  // until the next key frame
    if (count_ == kept_.size()) kept_.push_back({AvPtr<AVPacket>(av_packet_alloc()), {}, {}, false});
    Kept& slot = kept_[count_];
    if (slot.coded == nullptr || av_packet_ref(slot.coded.get(), static_cast<const AVPacket*>(coded->native)) < 0)
      return clear();
    slot.pts = packet.pts;
    slot.arrived_at = packet.arrived_at;
    slot.keyframe = packet.keyframe;
    ++count_;
  }
  void clear() {
    for (std::size_t i = 0; i < count_; ++i) av_packet_unref(kept_[i].coded.get());
    count_ = 0;
    bytes_ = 0;
    begun_ = false;
  }
  /// Nothing is missing that a decoder needs to go on with the next packet.
  [[nodiscard]] bool whole() const noexcept { return count_ > 0; }
  template <typename Act>
  void each(Act act) const {
    for (std::size_t i = 0; i < count_; ++i) {
      const Kept& slot = kept_[i];
      Packet packet;
      packet.payload = CodedPayload{{slot.coded->data, static_cast<std::size_t>(slot.coded->size)}, slot.coded.get()};
      packet.pts = slot.pts;
      packet.arrived_at = slot.arrived_at;
      packet.keyframe = slot.keyframe;
      act(packet);
    }
  }

 private:
  struct Kept {
    AvPtr<AVPacket> coded;
    Duration pts{};
    TimePoint arrived_at{};
    bool keyframe = false;
  };
  const std::size_t most_bytes_;
  std::vector<Kept> kept_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  bool begun_ = false;
};

/// Pictures come out of order by 16 packets at most.
constexpr int kPatience = 32;

class MovableDecoder final : public Decoder {
 public:
  MovableDecoder(MakeDecoderAt make, std::shared_ptr<DecodeSite> site, std::size_t most_kept_bytes)
      : make_(std::move(make)), site_(std::move(site)), since_key_frame_(most_kept_bytes) {
    GANTRY_EXPECTS(make_ != nullptr && site_ != nullptr, "a movable decoder needs places and somebody who chooses");
  }

  Result<void> open(const StreamInfo& stream) override {
    since_key_frame_.clear();
    stream_ = stream;
    unanswered_ = 0;
    retire();
    const int wanted = site_->wanted();
    if (decoder_ == nullptr || wanted != place_) {
      leaving_ = std::move(decoder_);
      retire();
      decoder_ = make_(wanted);
      decoder_->set_skip(skip_);
      settle(wanted);
    }
    return decoder_->open(stream);
  }

  void send(const Packet& packet, Need need) override {
    const int wanted = site_->wanted();
    if (packet.keyframe) refused_ = false;
    if (patience_ > 0 && --patience_ == 0) unanswered_ = 0;
    const bool raw = std::holds_alternative<RawPayload>(packet.payload);
    if ((wanted != place_ || site_->round() != round_) && !refused_ &&
        (packet.keyframe || raw || since_key_frame_.whole()))
      move(wanted, packet.keyframe || raw);
    since_key_frame_.add(packet);
    decoder_->send(packet, need);
  }

  void finish() override { decoder_->finish(); }

  DecodeEvent receive(Frame& frame) override {
    if (leaving_) {
      const DecodeEvent event = next_of(*leaving_, left_unanswered_, frame);
      if (event != DecodeEvent::kNeedPacket) return event;
      retire();
    }
    return decoder_ ? next_of(*decoder_, unanswered_, frame) : DecodeEvent::kNeedPacket;
  }

  void set_skip(SkipLevel level) noexcept override {
    skip_ = level;
    if (decoder_) decoder_->set_skip(level);
  }

  DecoderStats stats() const noexcept override {
    DecoderStats stats = before_;
    if (leaving_) stats += leaving_->stats();
    if (!decoder_) return stats;
    const DecoderStats now = decoder_->stats();
    stats += now;
    stats.place = now.place;
    stats.reason = now.reason;
    return stats;
  }

 private:
  /// Without answers to packets that the place before has answered for.
  static DecodeEvent next_of(Decoder& decoder, std::uint64_t& unanswered, Frame& frame) {
    for (;;) {
      const DecodeEvent event = decoder.receive(frame);
      if (event == DecodeEvent::kNeedPacket || event == DecodeEvent::kFrame || unanswered == 0) return event;
      --unanswered;
    }
  }
  /// What has left has said everything.
  void retire() {
    if (leaving_) before_ += leaving_->stats();
    leaving_.reset();
  }
  void settle(int place) {
    place_ = place;
    round_ = site_->round();
    site_->arrived(place);
  }

  /// Stays where it is, until the next key frame, where the new place does not take the stream.
  void move(int wanted, bool from_here) {
    auto next = make_(wanted);
    next->set_skip(skip_);
    if (!next->open(stream_)) {
      refused_ = true;
      return;
    }
    std::uint64_t unanswered = 0;
    if (!from_here)
      since_key_frame_.each([&](const Packet& packet) {
        next->send(packet, Need::kNothing);
        ++unanswered;
        Frame unwanted;
        while (next->receive(unwanted) != DecodeEvent::kNeedPacket) --unanswered;
      });
    decoder_->finish();
    retire();
    leaving_ = std::move(decoder_);
    left_unanswered_ = unanswered_;
    decoder_ = std::move(next);
    unanswered_ = unanswered;
    patience_ = kPatience;
    settle(wanted);
  }

  const MakeDecoderAt make_;
  const std::shared_ptr<DecodeSite> site_;
  SinceKeyFrame since_key_frame_;
  StreamInfo stream_;  ///< its native part lives as long as the Source keeps the stream
  SkipLevel skip_ = SkipLevel::kNothing;
  int place_ = 0;
  unsigned round_ = 0;
  bool refused_ = false;
  std::uint64_t unanswered_ = 0;      ///< packets that the new place was given first
  int patience_ = 0;                  ///< packets from now on after which their answers are not expected any more
  std::unique_ptr<Decoder> leaving_;  ///< still has something to say
  std::uint64_t left_unanswered_ = 0;
  std::unique_ptr<Decoder> decoder_;
  DecoderStats before_;
};

}  // namespace

std::unique_ptr<Decoder> make_movable_decoder(MakeDecoderAt make, std::shared_ptr<DecodeSite> site,
                                              std::size_t most_kept_bytes) {
  return std::make_unique<MovableDecoder>(std::move(make), std::move(site), most_kept_bytes);
}

}  // namespace gantry::media
