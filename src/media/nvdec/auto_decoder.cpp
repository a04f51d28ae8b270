#include "media/nvdec/auto_decoder.hpp"

#include "media/nvdec/verifier.hpp"

namespace gantry::media {
namespace {

class AutoDecoder final : public Decoder {
 public:
  AutoDecoder(std::shared_ptr<NvdecCard> card, const DecoderOptions& options)
      : card_(std::move(card)), options_(options) {}

  Result<void> open(const StreamInfo& stream) override {
    if (gpu_ && !verifier_ && !gpu_->refusal() && same(stream) && gpu_->open(stream)) {
      stream_ = stream;
      return {};
    }
    before_ = stats();
    gpu_.reset();
    cpu_.reset();
    verifier_.reset();
    load_ = {};
    const auto refusal = try_card(stream);
    return refusal ? open_cpu(stream, *refusal) : Result<void>{};
  }

  void send(const Packet& packet, Need need) override {
    if (cpu_) return cpu_->send(packet, need);
    gpu_->send(packet, need);
    if (verifier_) verifier_->send(packet, need);
    count_choice();
    const auto refusal = gpu_->refusal();
    // The CPU needs a key frame to start from; where the card refuses the very first one, it is this one.
    if (!refusal || !packet.keyframe) return;
    if (change_over(*refusal)) cpu_->send(packet, need);
  }

  void finish() override { cpu_ ? cpu_->finish() : gpu_->finish(); }

  DecodeEvent receive(Frame& frame) override {
    if (cpu_) return cpu_->receive(frame);
    if (!gpu_) return DecodeEvent::kNeedPacket;
    const DecodeEvent event = gpu_->receive(frame);
    if (verifier_ && event != DecodeEvent::kNeedPacket && !verifier_->agrees(event, frame))
      gpu_->leave_shared_session();
    return event;
  }

  void set_skip(SkipLevel level) noexcept override {
    skip_ = level;
    if (gpu_) gpu_->set_skip(level);
    if (verifier_) verifier_->set_skip(level);
    if (cpu_) cpu_->set_skip(level);
  }

  DecoderStats stats() const noexcept override {
    DecoderStats stats = before_;
    const Decoder* now = cpu_ ? cpu_.get() : static_cast<const Decoder*>(gpu_.get());
    if (now == nullptr) return stats;
    const DecoderStats part = now->stats();
    stats += part;
    if (verifier_) add(verifier_->counts(), stats);
    stats.place = part.place;
    stats.reason = cpu_ ? reason_ : part.reason;
    return stats;
  }

 private:
  /// The stream that the card decodes starts again (a file in a loop).
  bool same(const StreamInfo& stream) const noexcept {
    return stream.native != nullptr && stream.codec == stream_.codec && stream.width == stream_.width &&
           stream.height == stream_.height && static_cast<const NativeStream*>(stream.native)->orientation.upright();
  }

  static void add(const Verifier::Counts& counts, DecoderStats& stats) noexcept {
    stats.verified += counts.equal;
    stats.mismatched += counts.different;
  }

  /// Why not; nothing where the card has taken the stream.
  std::optional<DecodeReason> try_card(const StreamInfo& stream) {
    if (stream.codec == "raw" || stream.native == nullptr) return DecodeReason::kOnlyPlace;
    const auto& native = *static_cast<const NativeStream*>(stream.native);
    const auto codec = video_codec_of(native.parameters->codec_id);
    if (!codec) return DecodeReason::kCodec;
    if (!native.orientation.upright()) return DecodeReason::kTurned;
    if (!card_->take_load(*codec, stream.width, stream.height, stream.frame_rate, load_))
      return DecodeReason::kSaturated;
    auto decoder = std::make_unique<NvdecStreamDecoder>(card_, true);
    decoder->set_skip(skip_);
    if (!decoder->open(stream)) {
      load_ = {};
      return DecodeReason::kCodec;
    }
    gpu_ = std::move(decoder);
    counted_ = false;
    stream_ = stream;
    if (options_.verify) {
      verifier_ = std::make_unique<Verifier>(card_);
      verifier_->set_skip(skip_);
      if (!verifier_->open(stream)) verifier_.reset();
    }
    return std::nullopt;
  }

  Result<void> open_cpu(const StreamInfo& stream, DecodeReason reason) {
    reason_ = reason;
    card_->chose(reason);
    cpu_ = make_ffmpeg_decoder(options_);
    cpu_->set_skip(skip_);
    return cpu_->open(stream);
  }

  /// The stream has a seat since its first key frame.
  void count_choice() {
    if (counted_ || gpu_->refusal() || !gpu_->seated()) return;
    card_->chose(gpu_->stats().reason);
    counted_ = true;
  }

  /// From the card to the CPU. The packet at hand is sent again, so what the card said of it is forgotten.
  bool change_over(DecodeReason reason) {
    auto old = std::move(gpu_);
    if (!open_cpu(stream_, reason)) {
      cpu_.reset();
      gpu_ = std::move(old);
      return false;
    }
    Frame forgotten;
    while (old->receive(forgotten) == DecodeEvent::kFrame) {
    }
    before_ += old->stats();
    if (verifier_) add(verifier_->counts(), before_);
    verifier_.reset();
    load_ = {};
    return true;
  }

  const std::shared_ptr<NvdecCard> card_;
  const DecoderOptions options_;
  SkipLevel skip_ = SkipLevel::kNothing;
  StreamInfo stream_;  ///< of gpu_; its native part lives as long as the Source keeps the stream
  LoadShare load_;
  std::unique_ptr<NvdecStreamDecoder> gpu_;
  std::unique_ptr<Verifier> verifier_;
  std::unique_ptr<Decoder> cpu_;  ///< while it is here, it decodes
  DecodeReason reason_ = DecodeReason::kOnlyPlace;
  DecoderStats before_;
  bool counted_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_auto_decoder(std::shared_ptr<NvdecCard> card, const DecoderOptions& options) {
  return std::make_unique<AutoDecoder>(std::move(card), options);
}

}  // namespace gantry::media
