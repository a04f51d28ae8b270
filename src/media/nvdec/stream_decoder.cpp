#include "media/nvdec/stream_decoder.hpp"

#include <algorithm>

namespace gantry::media {
namespace {

/// Pictures come out of order by at most this many in H.264 and HEVC. A packet further back whose picture has not come
/// will never have one.
constexpr std::uint64_t kReorder = 16;
/// Pictures in a row that the card did not take, after which it is given up for the stream.
constexpr int kMostRefused = 60;

cudaVideoCodec native_of(VideoCodec codec) noexcept {
  switch (codec) {
    case VideoCodec::kH264:
      return cudaVideoCodec_H264;
    case VideoCodec::kHevc:
      return cudaVideoCodec_HEVC;
    case VideoCodec::kAv1:
      return cudaVideoCodec_AV1;
    case VideoCodec::kVp9:
      return cudaVideoCodec_VP9;
    case VideoCodec::kMjpeg:
      break;
  }
  return cudaVideoCodec_JPEG;
}

bool has_nal_units(VideoCodec codec) noexcept {
  return codec == VideoCodec::kH264 || codec == VideoCodec::kHevc;
}

std::span<const std::uint8_t> extradata_of(const AVCodecParameters& parameters) noexcept {
  return {parameters.extradata, static_cast<std::size_t>(std::max(0, parameters.extradata_size))};
}

/// avcC and hvcC begin with version 1; Annex B begins with 0.
bool length_prefixed(const AVCodecParameters& parameters) noexcept {
  return parameters.extradata_size > 0 && parameters.extradata[0] == 1;
}

/// What the picture names of its colours; unnamed: BT.601, limited (table E-5).
ColorMatrix matrix_of(const CUVIDEOFORMAT& format) noexcept {
  switch (format.video_signal_description.matrix_coefficients) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_SMPTE240M:
      return ColorMatrix::kBt709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
      return ColorMatrix::kBt2020;
    default:
      return ColorMatrix::kBt601;
  }
}

bool needs_same_seat(const CUVIDEOFORMAT& a, const CUVIDEOFORMAT& b) noexcept {
  return a.codec == b.codec && a.coded_width == b.coded_width && a.coded_height == b.coded_height &&
         a.chroma_format == b.chroma_format && a.bit_depth_luma_minus8 == b.bit_depth_luma_minus8 &&
         a.min_num_decode_surfaces == b.min_num_decode_surfaces;
}

}  // namespace

std::optional<VideoCodec> video_codec_of(AVCodecID codec) noexcept {
  switch (codec) {
    case AV_CODEC_ID_H264:
      return VideoCodec::kH264;
    case AV_CODEC_ID_HEVC:
      return VideoCodec::kHevc;
    case AV_CODEC_ID_AV1:
      return VideoCodec::kAv1;
    case AV_CODEC_ID_VP9:
      return VideoCodec::kVp9;
    case AV_CODEC_ID_MJPEG:
      return VideoCodec::kMjpeg;
    default:
      return std::nullopt;
  }
}

NvdecStreamDecoder::NvdecStreamDecoder(std::shared_ptr<NvdecCard> card, bool may_share)
    : card_(std::move(card)),
      may_share_(may_share),
      parameters_(avcodec_parameters_alloc()),
      packet_(av_packet_alloc()) {}

NvdecStreamDecoder::~NvdecStreamDecoder() {
  if (parser_ != nullptr) card_->cuvid().destroy_parser(parser_);
}

Result<void> NvdecStreamDecoder::open(const StreamInfo& stream) {
  GANTRY_EXPECTS(stream.native != nullptr, "a coded stream needs FFmpeg's parameters: use a Source of this room");
  const auto& native = *static_cast<const NativeStream*>(stream.native);
  const auto codec = video_codec_of(native.parameters->codec_id);
  if (!codec) return fail(ErrorCode::kUnsupported, "the card's decoders do not know " + stream.codec);
  pending_.clear();
  events_.clear();
  refusal_.reset();
  refused_in_a_row_ = 0;
  gate_.reset();
  // A file that starts again keeps parser and seat: finish() has emptied both.
  const bool again = parser_ != nullptr && same_stream(*parameters_, *native.parameters);
  stream_ = native;
  if (again && make_filter()) return {};
  codec_ = *codec;
  traits_.reset();
  if (avcodec_parameters_copy(parameters_.get(), native.parameters) < 0)
    return fail(ErrorCode::kExhausted, "no memory for a decoder of " + stream.codec);
  judge_ = PictureJudge(*native.parameters);
  if (Result<void> filter = make_filter(); !filter) return filter;
  return make_parser();
}

/// Parsers take start codes; files and some networks deliver lengths instead.
Result<void> NvdecStreamDecoder::make_filter() {
  filter_.reset();
  if (!has_nal_units(codec_) || !length_prefixed(*parameters_)) return {};
  const AVBitStreamFilter* kind =
      av_bsf_get_by_name(codec_ == VideoCodec::kH264 ? "h264_mp4toannexb" : "hevc_mp4toannexb");
  AVBSFContext* context = nullptr;
  if (kind == nullptr || av_bsf_alloc(kind, &context) < 0)
    return fail(ErrorCode::kUnsupported, std::string("this FFmpeg can't unpack ") + to_string(codec_) + " of files");
  filter_.reset(context);
  context->time_base_in = stream_.time_base;
  if (avcodec_parameters_copy(context->par_in, parameters_.get()) < 0 || av_bsf_init(context) < 0)
    return fail(ErrorCode::kCorrupt,
                std::string("the parameter sets of the ") + to_string(codec_) + " stream are damaged");
  return {};
}

Result<void> NvdecStreamDecoder::make_parser() {
  if (parser_ != nullptr) card_->cuvid().destroy_parser(std::exchange(parser_, nullptr));
  CUVIDPARSERPARAMS parameters{};
  parameters.CodecType = native_of(codec_);
  parameters.ulMaxNumDecodeSurfaces = 1;  // on_sequence says how many
  parameters.ulMaxDisplayDelay = 0;
  parameters.ulErrorThreshold = 100;  // damaged pictures are decoded too: later ones refer to them
  parameters.pUserData = this;
  parameters.pfnSequenceCallback = [](void* self, CUVIDEOFORMAT* format) {
    return static_cast<NvdecStreamDecoder*>(self)->on_sequence(*format);
  };
  parameters.pfnDecodePicture = [](void* self, CUVIDPICPARAMS* picture) {
    return static_cast<NvdecStreamDecoder*>(self)->on_decode(*picture);
  };
  parameters.pfnDisplayPicture = [](void* self, CUVIDPARSERDISPINFO* shown) {
    return shown == nullptr ? 1 : static_cast<NvdecStreamDecoder*>(self)->on_display(*shown);
  };
  if (card_->cuvid().create_parser(parser_, parameters) != CUDA_SUCCESS) {
    parser_ = nullptr;
    return fail(ErrorCode::kUnsupported, std::string("the card has no parser for ") + to_string(codec_));
  }
  feed_parameter_sets();
  return {};
}

/// Cameras may send parameter sets once, beside the stream (SDP), and never in it. Where there is a filter, it puts
/// them before every key frame.
void NvdecStreamDecoder::feed_parameter_sets() {
  if (!has_nal_units(codec_) || filter_ != nullptr) return;
  const auto extra = extradata_of(*parameters_);
  if (extra.empty()) return;
  look_into(extra);
  feed(extra, 0);
}

void NvdecStreamDecoder::look_into(std::span<const std::uint8_t> bytes) {
  if (!has_nal_units(codec_)) return;
  const AccessUnit unit = inspect(bytes, codec_ == VideoCodec::kH264 ? NalCodec::kH264 : NalCodec::kHevc);
  if (unit.traits) {
    traits_ = unit.traits;
    progressive_ = !traits_->interlaced;
  }
  // A promise not kept: B slices in a stream whose parameter set rules them out.
  if (unit.bidirectional && shared()) leave_shared_session();
}

void NvdecStreamDecoder::feed(std::span<const std::uint8_t> bytes, unsigned flags) {
  CUVIDSOURCEDATAPACKET data{};
  data.flags = flags;
  data.payload = bytes.data();
  data.payload_size = bytes.size();
  data.timestamp = static_cast<CUvideotimestamp>(last_token_);
  if (bytes.size() != 0 || (flags & CUVID_PKT_ENDOFSTREAM) != 0) (void)card_->cuvid().parse(parser_, data);
}

void NvdecStreamDecoder::restart_alone() {
  leaves_ = false;
  may_share_ = false;
  if (seat_) concealed_before_ += seat_->concealed();
  seat_.reset();
  if (!make_parser()) refusal_ = DecodeReason::kCodec;
}

void NvdecStreamDecoder::send(const Packet& packet, Need need) {
  const auto* coded_packet = std::get_if<CodedPayload>(&packet.payload);
  GANTRY_EXPECTS(coded_packet != nullptr && coded_packet->native != nullptr,
                 "the card decodes coded packets of a Source of this room");
  GANTRY_EXPECTS(parser_ != nullptr, "open() the decoder before the first packet");
  const auto& coded = *static_cast<const AVPacket*>(coded_packet->native);
  if (coded.size == 0) return;
  const PictureKind kind = judge_(coded);
  if (kind != PictureKind::kNone && gate_.leaves_out(packet, kind, need)) {
    push(need == Need::kNothing ? DecodeEvent::kUnwanted : DecodeEvent::kSkipped);
    return;
  }
  if (leaves_ && packet.keyframe) restart_alone();
  ++last_token_;
  if (kind != PictureKind::kNone)
    pending_.push_back({last_token_, packet.pts, packet.arrived_at, need == Need::kPicture});

  const auto feed_unit = [this](const AVPacket& unit) {
    const std::span bytes(unit.data, static_cast<std::size_t>(unit.size));
    look_into(bytes);
    // An interlaced packet may hold two fields, and the flag says that it is one picture or one field.
    feed(bytes, progressive_ ? CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE : unsigned{CUVID_PKT_TIMESTAMP});
  };
  if (filter_ == nullptr) {
    feed_unit(coded);
  } else if (av_packet_ref(packet_.get(), &coded) >= 0) {
    if (av_bsf_send_packet(filter_.get(), packet_.get()) < 0) av_packet_unref(packet_.get());
    while (av_bsf_receive_packet(filter_.get(), packet_.get()) >= 0) {
      feed_unit(*packet_);
      av_packet_unref(packet_.get());
    }
  }
  if (!in_order_) return;
  // What has not come out by now never will.
  for (const Pending& entry : pending_) give_up(entry);
  pending_.clear();
}

void NvdecStreamDecoder::finish() {
  if (parser_ != nullptr) feed({}, CUVID_PKT_ENDOFSTREAM);
  for (const Pending& entry : pending_) give_up(entry);
  pending_.clear();
}

int NvdecStreamDecoder::on_sequence(const CUVIDEOFORMAT& format) {
  presentation_.left = format.display_area.left & ~1;
  presentation_.top = format.display_area.top & ~1;
  presentation_.width = format.display_area.right - format.display_area.left;
  presentation_.height = format.display_area.bottom - format.display_area.top;
  presentation_.matrix = matrix_of(format);
  presentation_.range = format.video_signal_description.video_full_range_flag != 0 || codec_ == VideoCodec::kMjpeg
                            ? ColorRange::kFull
                            : ColorRange::kLimited;
  in_order_ = codec_ == VideoCodec::kMjpeg || (traits_ && !traits_->reordered && progressive_);
  if (seat_ && needs_same_seat(seated_for_, format)) return seat_->format().parser_surfaces;
  if (seat_) concealed_before_ += seat_->concealed();
  seat_.reset();  // free for others once its last picture has come back
  seated_for_ = format;
  const StreamFormat stream{codec_, format, traits_ ? &*traits_ : nullptr};
  SeatOffer offer = card_->take_seat(stream, may_share_);
  if (!offer.seat) {
    refusal_ = offer.reason;
    return 0;
  }
  stats_.reason = offer.reason;
  seat_ = std::move(offer.seat);
  return seat_->format().parser_surfaces;
}

int NvdecStreamDecoder::on_decode(CUVIDPICPARAMS& picture) {
  if (!seat_) return 0;
  const int index = picture.CurrPicIdx;  // decode() translates it in place
  const bool frame_is_whole = picture.field_pic_flag == 0 || picture.second_field != 0;
  if (!seat_->decode(picture)) {
    if (++refused_in_a_row_ > kMostRefused) refusal_ = DecodeReason::kFaults;
    return 1;  // the packet stays pending, and is given up in its time
  }
  refused_in_a_row_ = 0;
  if (in_order_ && frame_is_whole && !pending_.empty()) {
    const Pending entry = pending_.front();
    pending_.pop_front();
    hand_out(entry, index);
  }
  return 1;
}

int NvdecStreamDecoder::on_display(const CUVIDPARSERDISPINFO& shown) {
  if (in_order_ || !seat_) return 1;
  const auto token = static_cast<std::uint64_t>(shown.timestamp);
  const auto it = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.token == token; });
  if (it == pending_.end()) return 1;
  const Pending entry = *it;
  pending_.erase(it);
  while (!pending_.empty() && pending_.front().token + kReorder < entry.token) {
    give_up(pending_.front());
    pending_.pop_front();
  }
  hand_out(entry, shown.picture_index);
  return 1;
}

void NvdecStreamDecoder::hand_out(const Pending& entry, int parser_index) {
  if (!entry.wanted) return push(DecodeEvent::kUnwanted);
  StorageRef picture = seat_->lend(parser_index, presentation_);
  if (!picture) return give_up(entry);
  events_.push_back({DecodeEvent::kFrame, entry.pts, entry.arrived_at, presentation_, std::move(picture)});
}

DecodeEvent NvdecStreamDecoder::receive(Frame& frame) {
  if (events_.empty()) return DecodeEvent::kNeedPacket;
  Event event = std::move(events_.front());
  events_.pop_front();
  if (event.what == DecodeEvent::kLost) ++stats_.lost;
  if (event.what != DecodeEvent::kFrame) return event.what;
  ++stats_.frames;
  frame.pts = event.pts;
  frame.captured_at = event.arrived_at;
  frame.image = {};
  frame.image.width = event.presentation.width;
  frame.image.height = event.presentation.height;
  frame.image.format = PixelFormat::kNv12;
  frame.image.matrix = event.presentation.matrix;
  frame.image.range = event.presentation.range;
  frame.image.space = MemorySpace::kDevice;
  frame.image.device = card_->gpu().index();
  frame.pixels = std::move(event.picture);
  return DecodeEvent::kFrame;
}

DecoderStats NvdecStreamDecoder::stats() const noexcept {
  DecoderStats stats = stats_;
  stats.place = DecodePlace::kGpu;
  stats.concealed = concealed_before_ + (seat_ ? seat_->concealed() : 0);
  return stats;
}

}  // namespace gantry::media
