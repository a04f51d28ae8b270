#include "media/nvdec/card.hpp"

#include <algorithm>

#include "gantry/core/expects.hpp"
#include "media/nvdec/auto_decoder.hpp"

namespace gantry::media {
namespace {

constexpr auto kOutOfMemory = static_cast<CUresult>(2);  // CUDA_ERROR_OUT_OF_MEMORY

}  // namespace

const char* to_string(DecodeReason reason) noexcept {
  static constexpr std::array<const char*, kDecodeReasonCount> kNames{
      "only_place", "shared",           "own_session",    "codec",     "size",
      "turned",     "sessions_used_up", "memory_used_up", "saturated", "faults"};
  return kNames[static_cast<std::size_t>(reason)];
}

LoadShare::~LoadShare() {
  if (card_) card_->give_load_back(frames_);
}

double reckoned_load(VideoCodec codec, int width, int height, double frame_rate) noexcept {
  // An H100's seven decoders: 11,190 H.264 and 16,260 HEVC frames of 1280x720 a second, 5,410 of H.264 at 1920x1080. So
  // a picture costs 0.098 ms and 0.1466 µs a macroblock of one decoder. AV1 and VP9 are taken to cost what HEVC costs,
  // which nobody has measured here; MJPEG goes through another engine.
  constexpr double kHevcToH264 = 11'190.0 / 16'260.0;
  constexpr double kSmall = 80.0 * 45.0, kLarge = 120.0 * 68.0;  // macroblocks of the two sizes
  constexpr double kSmallTime = 7 / 11'190.0, kLargeTime = 7 / 5'410.0;
  constexpr double kEachMacroblock = (kLargeTime - kSmallTime) / (kLarge - kSmall);
  constexpr double kEachPicture = kSmallTime - kSmall * kEachMacroblock;
  constexpr double kUsualRate = 30;
  if (codec == VideoCodec::kMjpeg) return 0;
  const double macroblocks = (width + 15) / 16 * static_cast<double>((height + 15) / 16);
  const double time = kEachPicture + kEachMacroblock * macroblocks;
  const double frames = (frame_rate > 0 ? frame_rate : kUsualRate) * time / kSmallTime;
  return codec == VideoCodec::kH264 ? frames : frames * kHevcToH264;
}

std::shared_ptr<Nvdec> Nvdec::open(std::shared_ptr<memory::Gpu> gpu, const NvdecOptions& options) {
  return open(std::move(gpu), load_nvcuvid(), options);
}

std::shared_ptr<Nvdec> Nvdec::open(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> library,
                                   const NvdecOptions& options) {
  GANTRY_EXPECTS(gpu != nullptr && library != nullptr, "decoding on a card needs the card and its decoder library");
  GANTRY_EXPECTS(options.spare_surfaces >= 1 && options.spare_surfaces <= 8, "a camera has 1 to 8 spare surfaces");
  GANTRY_EXPECTS(options.output_surfaces >= 1 && options.output_surfaces <= 8, "a camera has 1 to 8 output surfaces");
  GANTRY_EXPECTS(options.share_of_card > 0 && options.share_of_card <= 1, "a share of a card is above 0 and at most 1");
  GANTRY_EXPECTS(options.memory_fraction > 0 && options.memory_fraction <= 1,
                 "the memory fraction lies above 0 and up to 1");
  GANTRY_EXPECTS(options.most_load >= 0 && options.frames_per_second >= 0, "a load limit and a rate are 0 or more");
  return std::make_shared<NvdecCard>(std::move(gpu), std::move(library), options);
}

NvdecCard::NvdecCard(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> cuvid, const NvdecOptions& options)
    : gpu_(std::move(gpu)), cuvid_(std::move(cuvid)), options_(options) {
  CUVIDEOFORMAT usual{};
  usual.codec = cudaVideoCodec_H264;
  usual.chroma_format = cudaVideoChromaFormat_420;
  constexpr double kEachDecoder = 11'190.0 / 7;
  const double card =
      options.frames_per_second > 0 ? options.frames_per_second : kEachDecoder * caps_of(usual).nNumNVDECs;
  capacity_ = card * options.share_of_card;
}

std::unique_ptr<Decoder> NvdecCard::make_decoder(const DecoderOptions& options) {
  return make_auto_decoder(std::static_pointer_cast<NvdecCard>(shared_from_this()), options);
}

bool NvdecCard::take_load(VideoCodec codec, int width, int height, double frame_rate, LoadShare& share) {
  const double frames = reckoned_load(codec, width, height, frame_rate);
  const std::lock_guard lock(mutex_);
  if (options_.most_load > 0 && load_ + frames > capacity_ * options_.most_load) return false;
  load_ += frames;
  share = LoadShare(std::static_pointer_cast<NvdecCard>(shared_from_this()), frames);
  return true;
}

void NvdecCard::give_load_back(double frames) noexcept {
  const std::lock_guard lock(mutex_);
  load_ = std::max(0.0, load_ - frames);
}

/// What the card can do with that codec, chroma and depth; asked once each.
const CUVIDDECODECAPS& NvdecCard::caps_of(const CUVIDEOFORMAT& format) {
  const std::array<unsigned, 3> key{static_cast<unsigned>(format.codec), static_cast<unsigned>(format.chroma_format),
                                    format.bit_depth_luma_minus8};
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = caps_.try_emplace(key);
  if (fresh) {
    CUVIDDECODECAPS& caps = at->second;
    caps.eCodecType = format.codec;
    caps.eChromaFormat = format.chroma_format;
    caps.nBitDepthMinus8 = format.bit_depth_luma_minus8;
    const memory::GpuScope scope(*gpu_);
    if (cuvid_->decoder_caps(caps) != CUDA_SUCCESS) caps.bIsSupported = 0;
  }
  return at->second;
}

/// kShared where the card can decode it.
DecodeReason NvdecCard::fits(const CUVIDEOFORMAT& format) {
  const CUVIDDECODECAPS& caps = caps_of(format);
  const bool as_nv12 = (caps.nOutputFormatMask >> cudaVideoSurfaceFormat_NV12 & 1) != 0;
  if (caps.bIsSupported == 0 || !as_nv12) return DecodeReason::kCodec;
  const unsigned macroblocks = (format.coded_width + 15) / 16 * ((format.coded_height + 15) / 16);
  if (format.coded_width < caps.nMinWidth || format.coded_height < caps.nMinHeight ||
      format.coded_width > caps.nMaxWidth || format.coded_height > caps.nMaxHeight || macroblocks > caps.nMaxMBCount)
    return DecodeReason::kSize;
  return DecodeReason::kShared;
}

SeatOffer NvdecCard::take_seat(const StreamFormat& stream, bool may_share) {
  const CUVIDEOFORMAT& parsed = stream.parsed;
  if (const DecodeReason reason = fits(parsed); reason != DecodeReason::kShared) return {nullptr, reason};
  SessionFormat format;
  format.codec = stream.codec;
  format.native = parsed.codec;
  format.chroma = parsed.chroma_format;
  format.bit_depth = 8 + parsed.bit_depth_luma_minus8;
  format.coded_width = static_cast<int>(parsed.coded_width);
  format.coded_height = static_cast<int>(parsed.coded_height);
  format.parser_surfaces = std::max(1, static_cast<int>(parsed.min_num_decode_surfaces));
  format.spare_surfaces = std::min(options_.spare_surfaces, kMostSurfaces - format.parser_surfaces);
  format.output_surfaces = options_.output_surfaces;
  const SharePlan plan = may_share && options_.share_sessions
                             ? plan_sharing(stream.codec, stream.traits, format.surfaces())
                             : SharePlan{1, ShareReason::kSwitchedOff};
  format.cameras = plan.cameras;
  const DecodeReason granted = plan.cameras > 1 ? DecodeReason::kShared : DecodeReason::kOwnSession;
  if (format.spare_surfaces < 1) return {nullptr, DecodeReason::kSize};

  const std::lock_guard one(opening_);
  // The fullest first. Seats come free while this looks, so each session is asked once.
  std::vector<std::pair<int, std::shared_ptr<Session>>> by_free_seats;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(sessions_, [](const auto& session) { return session.expired(); });
    for (const auto& weak : sessions_)
      if (auto session = weak.lock(); session && session->format() == format)
        by_free_seats.emplace_back(session->free_seats(), std::move(session));
  }
  std::stable_sort(by_free_seats.begin(), by_free_seats.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [free, session] : by_free_seats)
    if (auto seat = Session::take_seat(session)) return {std::move(seat), granted};

  // Engines and other programs take memory too, and not from this card's budget.
  if (format.bytes() > gpu_->memory().left_within(options_.memory_fraction))
    return {nullptr, DecodeReason::kMemoryUsedUp};
  memory::MemoryBudget::Reservation memory;
  if (options_.budget != nullptr) {
    auto reserved = options_.budget->reserve(format.bytes());
    if (!reserved) return {nullptr, DecodeReason::kMemoryUsedUp};
    memory = std::move(*reserved);
  }
  CUresult error = CUDA_SUCCESS;
  const auto session = Session::open(gpu_, cuvid_, counters_, format, std::move(memory), error);
  const std::lock_guard lock(mutex_);
  if (session == nullptr) {
    ++sessions_refused_;
    // Out of memory is also what the driver says when it has no sessions left, with most of the card's memory free.
    return {nullptr, error == kOutOfMemory ? DecodeReason::kSessionsUsedUp : DecodeReason::kCodec};
  }
  ++sessions_opened_;
  sessions_.push_back(session);
  return {Session::take_seat(session), granted};
}

void NvdecCard::chose(DecodeReason reason) noexcept {
  const std::lock_guard lock(mutex_);
  ++choices_[static_cast<std::size_t>(reason)];
}

void NvdecCard::verified(bool equal) noexcept {
  const std::lock_guard lock(mutex_);
  ++(equal ? verified_ : mismatched_);
}

NvdecStats& NvdecStats::operator+=(const NvdecStats& other) {
  sessions += other.sessions;
  cameras_shared += other.cameras_shared;
  cameras_alone += other.cameras_alone;
  load = std::max(load, other.load);
  for (std::size_t i = 0; i < choices.size(); ++i) choices[i] += other.choices[i];
  for (const auto counter :
       {&NvdecStats::sessions_opened, &NvdecStats::sessions_refused, &NvdecStats::decoded, &NvdecStats::refused,
        &NvdecStats::mapped, &NvdecStats::concealed, &NvdecStats::map_failed, &NvdecStats::given_up,
        &NvdecStats::no_output, &NvdecStats::unlisted, &NvdecStats::verified, &NvdecStats::mismatched})
    this->*counter += other.*counter;
  decode_call_seconds += other.decode_call_seconds;
  map_call_seconds += other.map_call_seconds;
  return *this;
}

NvdecStats NvdecCard::stats() const {
  NvdecStats stats;
  std::vector<std::shared_ptr<Session>> open;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : sessions_)
      if (auto session = weak.lock()) open.push_back(std::move(session));
    stats.load = capacity_ > 0 ? load_ / capacity_ : 0;
    stats.choices = choices_;
    stats.sessions_opened = sessions_opened_;
    stats.sessions_refused = sessions_refused_;
    stats.verified = verified_;
    stats.mismatched = mismatched_;
  }
  stats.sessions = static_cast<int>(open.size());
  for (const auto& session : open)
    (session->format().cameras > 1 ? stats.cameras_shared : stats.cameras_alone) += session->seats_taken();
  const NvdecCounters& counters = *counters_;
  stats.decoded = counters.decoded;
  stats.refused = counters.refused;
  stats.mapped = counters.mapped;
  stats.concealed = counters.concealed;
  stats.map_failed = counters.map_failed;
  stats.given_up = counters.given_up;
  stats.no_output = counters.no_output;
  const auto seconds = [](Duration::rep ticks) { return std::chrono::duration<double>(Duration{ticks}).count(); };
  stats.decode_call_seconds = seconds(counters.in_decode_calls);
  stats.map_call_seconds = seconds(counters.in_map_calls);
  stats.unlisted = counters.unlisted;
  return stats;
}

}  // namespace gantry::media
