#include "gantry/media/memory_clip.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <vector>

#include "gantry/core/errors.hpp"
#include "gantry/media/source_factory.hpp"
#include "media/av.hpp"

namespace gantry::media {

struct MemoryClip::Content {
  StreamInfo info;
  NativeStream native;
  AvPtr<AVCodecParameters> parameters{avcodec_parameters_alloc()};
  std::vector<AvPtr<AVPacket>> packets;
  std::vector<std::size_t> shown;  ///< place of each packet's picture in the order in which they are seen
};

namespace {

class ClipSource final : public Source {
 public:
  ClipSource(std::shared_ptr<const MemoryClip> keep, const StreamInfo& info,
             const std::vector<AvPtr<AVPacket>>& packets, const std::vector<std::size_t>& shown, double frame_rate,
             Duration phase)
      : keep_(std::move(keep)),
        info_(info),
        packets_(packets),
        shown_(shown),
        rate_(frame_rate),
        phase_(phase),
        packet_(av_packet_alloc()) {
    info_.frame_rate = frame_rate;
    info_.live = true;
    info_.duration = {};
    info_.frames = 0;
  }

  Result<void> open() override { return {}; }

  Result<Packet> next() override {
    // Opening a decoder for the first packet takes as long as it takes: the clip goes on when the reader is back.
    if (count_ == 0)
      first_at_ = clock_.now() + phase_;
    else if (count_ == 1)
      first_at_ = std::max(first_at_, clock_.now() - time_of(1));
    const bool first = count_ == 0;
    const TimePoint due = first_at_ + time_of(count_);
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_until(lock, due, [this] { return cancelled_; })) return fail(ErrorCode::kCancelled, "cancelled");
    }
    const std::size_t round = count_ / packets_.size(), at = count_ % packets_.size();
    ++count_;
    const AVPacket& stored = *packets_[at];
    av_packet_unref(packet_.get());
    if (av_packet_ref(packet_.get(), &stored) < 0) return fail(ErrorCode::kExhausted, "no memory for a packet");
    const std::size_t seen = round * packets_.size() + shown_[at];
    // In ticks of one picture, as info_.native says.
    packet_->dts = static_cast<std::int64_t>(count_ - 1);
    packet_->pts = static_cast<std::int64_t>(seen);
    Packet packet;
    packet.payload = CodedPayload{{packet_->data, static_cast<std::size_t>(packet_->size)}, packet_.get()};
    packet.pts = time_of(seen);
    packet.arrived_at = due;
    packet.keyframe = (stored.flags & AV_PKT_FLAG_KEY) != 0;
    packet.stream_changed = first;
    return packet;
  }

  const StreamInfo& stream() const noexcept override { return info_; }

  void cancel() noexcept override {
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    wake_.notify_all();
  }

 private:
  [[nodiscard]] Duration time_of(std::size_t pictures) const {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(static_cast<double>(pictures) / rate_));
  }

  const std::shared_ptr<const MemoryClip> keep_;
  StreamInfo info_;
  const std::vector<AvPtr<AVPacket>>& packets_;
  const std::vector<std::size_t>& shown_;
  const double rate_;
  const Duration phase_;
  AvPtr<AVPacket> packet_;
  SteadyClock clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
  TimePoint first_at_{};
  std::size_t count_ = 0;
};

}  // namespace

MemoryClip::MemoryClip() : content_(std::make_unique<Content>()) {}
MemoryClip::~MemoryClip() = default;

std::shared_ptr<const MemoryClip> MemoryClip::load(const std::string& path) {
  SourceConfig config;
  config.url = path;
  const auto source = make_source(config);
  std::shared_ptr<MemoryClip> clip(new MemoryClip);
  Content& content = *clip->content_;
  for (;;) {
    auto packet = source->next();
    if (!packet && packet.error().code == ErrorCode::kEndOfStream) break;
    if (!packet) throw MediaError(packet.error().message);
    const auto* coded = std::get_if<CodedPayload>(&packet->payload);
    if (coded == nullptr || coded->native == nullptr)
      throw MediaError(path + ": only coded video can be played from memory");
    if (packet->stream_changed && !content.packets.empty())
      throw MediaError(path + ": the stream changes in the middle; take a clip of one size");
    if (packet->stream_changed) {
      content.info = source->stream();
      const auto& native = *static_cast<const NativeStream*>(content.info.native);
      if (avcodec_parameters_copy(content.parameters.get(), native.parameters) < 0)
        throw MediaError(path + ": no memory for its parameters");
      content.native = native;
    }
    AvPtr<AVPacket> copy(av_packet_clone(static_cast<const AVPacket*>(coded->native)));
    if (copy == nullptr || av_packet_make_refcounted(copy.get()) < 0) throw MediaError(path + ": no memory for it");
    content.packets.push_back(std::move(copy));
  }
  if (content.packets.empty()) throw MediaError(path + ": no video in it");
  content.native.parameters = content.parameters.get();
  content.native.time_base = {1, 30};
  content.info.native = &content.native;

  std::vector<std::size_t> order(content.packets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto time = [&](std::size_t i) {
    const AVPacket& packet = *content.packets[i];
    return packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return time(a) < time(b); });
  content.shown.resize(order.size());
  for (std::size_t place = 0; place < order.size(); ++place) content.shown[order[place]] = place;
  return clip;
}

int MemoryClip::width() const noexcept {
  return content_->info.width;
}
int MemoryClip::height() const noexcept {
  return content_->info.height;
}
const std::string& MemoryClip::codec() const noexcept {
  return content_->info.codec;
}
std::size_t MemoryClip::packets() const noexcept {
  return content_->packets.size();
}
double MemoryClip::frame_rate() const noexcept {
  return content_->info.frame_rate;
}

std::unique_ptr<Source> MemoryClip::play(double frame_rate, Duration phase) const {
  GANTRY_EXPECTS(frame_rate > 0, "a clip is played at more than 0 pictures a second");
  return std::make_unique<ClipSource>(shared_from_this(), content_->info, content_->packets, content_->shown,
                                      frame_rate, phase);
}

}  // namespace gantry::media
