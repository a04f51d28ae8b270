#include "media/nvdec/session.hpp"

#include <algorithm>
#include <cstring>

#include "gantry/core/trace.hpp"

namespace gantry::media {
namespace {

/// Index fields of AV1 and VP9 are bytes; this one means none.
constexpr unsigned char kNoSurface = 255;

/// Adds what a call took.
class CallTimer {
 public:
  explicit CallTimer(std::atomic<Duration::rep>& total) : total_(total) {}
  ~CallTimer() { total_.fetch_add((SteadyClock{}.now() - began_).count(), std::memory_order_relaxed); }
  CallTimer(const CallTimer&) = delete;
  CallTimer& operator=(const CallTimer&) = delete;

 private:
  std::atomic<Duration::rep>& total_;
  const TimePoint began_ = SteadyClock{}.now();
};

}  // namespace

std::size_t SessionFormat::bytes() const noexcept {
  const auto pixels = static_cast<std::size_t>(coded_width) * static_cast<std::size_t>(coded_height);
  const std::size_t decode = pixels * 3 / 2 * (bit_depth > 8 ? 2 : 1) * static_cast<std::size_t>(surfaces());
  const std::size_t output = pixels * 3 / 2 * static_cast<std::size_t>(output_surfaces);
  return (decode + output) * static_cast<std::size_t>(cameras);
}

// -- Session

std::shared_ptr<Session> Session::open(std::shared_ptr<memory::Gpu> gpu, std::shared_ptr<Nvcuvid> cuvid,
                                       std::shared_ptr<NvdecCounters> counters, const SessionFormat& format,
                                       memory::MemoryBudget::Reservation memory, CUresult& error) {
  std::shared_ptr<Session> session(
      new Session(std::move(gpu), std::move(cuvid), std::move(counters), format, std::move(memory)));
  CUVIDDECODECREATEINFO info{};
  info.ulWidth = info.ulMaxWidth = info.ulTargetWidth = static_cast<tcu_ulong>(format.coded_width);
  info.ulHeight = info.ulMaxHeight = info.ulTargetHeight = static_cast<tcu_ulong>(format.coded_height);
  info.CodecType = format.native;
  info.ChromaFormat = format.chroma;
  info.bitDepthMinus8 = static_cast<tcu_ulong>(format.bit_depth - 8);
  info.OutputFormat = cudaVideoSurfaceFormat_NV12;
  info.DeinterlaceMode = cudaVideoDeinterlaceMode_Weave;
  info.ulCreationFlags = cudaVideoCreate_PreferCUVID;
  info.ulNumDecodeSurfaces = static_cast<tcu_ulong>(format.surfaces() * format.cameras);
  info.ulNumOutputSurfaces = static_cast<tcu_ulong>(format.output_surfaces * format.cameras);
  const memory::GpuScope scope(*session->gpu_);
  error = session->cuvid_->create_decoder(session->decoder_, info);
  if (error != CUDA_SUCCESS) {
    session->decoder_ = nullptr;
    return nullptr;
  }
  return session;
}

Session::~Session() {
  if (decoder_ == nullptr) return;
  const memory::GpuScope scope(*gpu_);
  cuvid_->destroy_decoder(decoder_);
}

int Session::free_seats() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count(seats_.begin(), seats_.end(), nullptr));
}

std::shared_ptr<Seat> Session::take_seat(const std::shared_ptr<Session>& session) {
  const std::lock_guard lock(session->mutex_);
  const auto free = std::find(session->seats_.begin(), session->seats_.end(), nullptr);
  if (free == session->seats_.end()) return nullptr;
  auto seat = std::make_shared<Seat>(session, static_cast<int>(free - session->seats_.begin()));
  *free = seat.get();
  return seat;
}

// -- Seat

Seat::Seat(std::shared_ptr<Session> session, int number)
    : session_(std::move(session)),
      number_(number),
      table_(static_cast<std::size_t>(format().parser_surfaces), -1),
      holders_(static_cast<std::size_t>(format().surfaces()), 0) {}

Seat::~Seat() {
  const std::lock_guard lock(session_->mutex_);
  session_->seats_[static_cast<std::size_t>(number_)] = nullptr;
}

/// A surface for a new picture of that index.
int Seat::place(int parser_index) {
  int& entry = table_[static_cast<std::size_t>(parser_index)];
  if (entry >= 0) --holders_[static_cast<std::size_t>(entry)];
  entry = -1;
  auto free = std::find(holders_.begin(), holders_.end(), 0);
  if (free == holders_.end() && give_up_oldest()) free = std::find(holders_.begin(), holders_.end(), 0);
  if (free == holders_.end()) return -1;
  *free = 1;
  entry = static_cast<int>(free - holders_.begin());
  return entry;
}

/// AV1 with film grain decodes into one surface, which stays the reference, and shows another.
bool Seat::place_grainless(const CUVIDPICPARAMS& picture) {
  if (format().codec != VideoCodec::kAv1) return true;
  const int index = picture.CodecSpecific.av1.decodePicIdx;
  if (index == picture.CurrPicIdx) return true;
  return index >= 0 && index < format().parser_surfaces && place(index) >= 0;
}

/// Takes the surface of the oldest frame that nobody is fetching, where that makes it free.
bool Seat::give_up_oldest() {
  NvdecPicture* oldest = nullptr;
  for (const auto& picture : pictures_) {
    if (picture->seat_ == nullptr || picture->state_ != NvdecPicture::State::kDecoded) continue;
    if (holders_[static_cast<std::size_t>(picture->surface_)] != 1) continue;  // the parser's, too
    if (oldest == nullptr || picture->order_ < oldest->order_) oldest = picture.get();
  }
  if (oldest == nullptr) return false;
  holders_[static_cast<std::size_t>(oldest->surface_)] = 0;
  oldest->surface_ = -1;
  oldest->state_ = NvdecPicture::State::kGivenUp;
  session_->counters_->given_up.fetch_add(1, std::memory_order_relaxed);
  return true;
}

/// Parser indices to surfaces of the session. False where the picture refers to an index that holds nothing: its
/// reference was lost, and the card is told so by a surface that exists.
bool Seat::translate(CUVIDPICPARAMS& picture) {
  const int first = first_surface();
  const int current = table_[static_cast<std::size_t>(picture.CurrPicIdx)];
  const auto surface = [&](int index) {
    if (index < 0 || index >= static_cast<int>(table_.size())) return index;
    const int at = table_[static_cast<std::size_t>(index)];
    return first + (at >= 0 ? at : current);
  };
  const auto byte = [&](unsigned char& index) {
    if (index != kNoSurface) index = static_cast<unsigned char>(surface(index));
  };
  switch (format().codec) {
    case VideoCodec::kH264:
      for (auto& entry : picture.CodecSpecific.h264.dpb)
        if (entry.PicIdx >= 0) entry.PicIdx = surface(entry.PicIdx);
      break;
    case VideoCodec::kHevc:
      for (int& index : picture.CodecSpecific.hevc.RefPicIdx)
        if (index >= 0) index = surface(index);
      break;
    case VideoCodec::kVp9: {
      auto& vp9 = picture.CodecSpecific.vp9;
      byte(vp9.LastRefIdx);
      byte(vp9.GoldenRefIdx);
      byte(vp9.AltRefIdx);
      break;
    }
    case VideoCodec::kAv1: {
      auto& av1 = picture.CodecSpecific.av1;
      if (av1.decodePicIdx >= 0) av1.decodePicIdx = surface(av1.decodePicIdx);
      for (unsigned char& index : av1.ref_frame_map) byte(index);
      for (auto& reference : av1.ref_frame) byte(reference.index);
      break;
    }
    case VideoCodec::kMjpeg:
      break;
  }
  picture.CurrPicIdx = first + current;
  return current >= 0;
}

/// What the camera's next picture may refer to: what this one lists, and this one.
void Seat::remember_live(const CUVIDPICPARAMS& picture) {
  live_.clear();
  const bool window_of_one = format().codec == VideoCodec::kH264 && picture.CodecSpecific.h264.num_ref_frames == 1;
  if (!(window_of_one && picture.ref_pic_flag != 0)) {
    if (format().codec == VideoCodec::kH264) {
      for (const auto& entry : picture.CodecSpecific.h264.dpb)
        if (entry.PicIdx >= 0) live_.push_back(entry.PicIdx);
    } else if (format().codec == VideoCodec::kHevc) {
      for (const int index : picture.CodecSpecific.hevc.RefPicIdx)
        if (index >= 0) live_.push_back(index);
    }
  }
  if (picture.ref_pic_flag != 0) live_.push_back(picture.CurrPicIdx);
}

void Seat::list_foreign_references(CUVIDPICPARAMS& picture) {
  std::array<int, kMostSurfaces> foreign{};
  std::size_t count = 0, listed = 0;
  for (const Seat* other : session_->seats_) {
    if (other == nullptr || other == this) continue;
    for (const int surface : other->live_)
      if (count < foreign.size()) foreign[count++] = surface;
  }
  if (format().codec == VideoCodec::kH264) {
    // As long-term references, which come last in every list that a P slice builds (8.2.4.2.1), with numbers of their
    // own.
    auto& entries = picture.CodecSpecific.h264.dpb;
    unsigned numbers = 0;
    for (const auto& entry : entries)
      if (entry.PicIdx >= 0 && entry.is_long_term != 0 && entry.FrameIdx >= 0 && entry.FrameIdx < 16)
        numbers |= 1U << entry.FrameIdx;
    int number = 15;
    for (auto& entry : entries) {
      if (entry.PicIdx >= 0 || entry.not_existing != 0) continue;
      if (listed == count) break;
      while (number > 0 && (numbers >> number & 1U) != 0) --number;
      entry = {};
      entry.PicIdx = foreign[listed++];
      entry.FrameIdx = number--;
      entry.is_long_term = 1;
      entry.used_for_reference = 3;
    }
  } else {
    // No reference set of the picture names these entries; their order counts only have to be nobody's.
    constexpr int kFarAway = -100'000;
    auto& hevc = picture.CodecSpecific.hevc;
    for (std::size_t i = 0; i < 16 && listed < count; ++i) {
      if (hevc.RefPicIdx[i] >= 0) continue;
      hevc.RefPicIdx[i] = foreign[listed++];
      hevc.PicOrderCntVal[i] = kFarAway - static_cast<int>(i);
      hevc.IsLongTerm[i] = 0;
    }
  }
  if (listed < count) session_->counters_->unlisted.fetch_add(count - listed, std::memory_order_relaxed);
}

bool Seat::decode(CUVIDPICPARAMS& picture) {
  if (picture.CurrPicIdx < 0 || picture.CurrPicIdx >= format().parser_surfaces) return false;
  const std::lock_guard lock(session_->mutex_);
  if ((picture.second_field == 0 && place(picture.CurrPicIdx) < 0) || !place_grainless(picture) ||
      !translate(picture)) {
    session_->counters_->refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  remember_live(picture);
  if (format().cameras > 1) list_foreign_references(picture);
  const memory::GpuScope scope(*session_->gpu_);
  const CallTimer timer(session_->counters_->in_decode_calls);
  if (session_->cuvid_->decode_picture(session_->decoder_, picture) != CUDA_SUCCESS) {
    session_->counters_->refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  session_->counters_->decoded.fetch_add(1, std::memory_order_relaxed);
  return true;
}

StorageRef Seat::lend(int parser_index, const Presentation& presentation) {
  if (parser_index < 0 || parser_index >= format().parser_surfaces) return {};
  const std::lock_guard lock(session_->mutex_);
  const int surface = table_[static_cast<std::size_t>(parser_index)];
  if (surface < 0) return {};
  if (free_pictures_.empty()) {
    pictures_.push_back(std::make_unique<NvdecPicture>());
    free_pictures_.reserve(pictures_.capacity());
    free_pictures_.push_back(pictures_.back().get());
  }
  NvdecPicture* picture = free_pictures_.back();
  free_pictures_.pop_back();
  ++holders_[static_cast<std::size_t>(surface)];
  picture->seat_ = shared_from_this();
  picture->state_ = NvdecPicture::State::kDecoded;
  picture->surface_ = surface;
  picture->order_ = order_++;
  picture->sent_at_ = SteadyClock{}.now();
  picture->presentation_ = presentation;
  return StorageRef(picture);
}

// -- NvdecPicture

Result<void> NvdecPicture::map(Image& image, void* stream) {
  Session& session = *seat_->session_;
  NvdecCounters& counters = *session.counters_;
  int surface = -1;
  {
    const std::lock_guard lock(session.mutex_);
    if (state_ == State::kGivenUp) return fail(ErrorCode::kExhausted, "superseded");
    if (state_ == State::kFailed) return fail(ErrorCode::kCorrupt, "not decoded");
    if (state_ == State::kDecoded) {
      if (seat_->mapped_ == session.format_.output_surfaces) {
        counters.no_output.fetch_add(1, std::memory_order_relaxed);
        return fail(ErrorCode::kExhausted, "no output");
      }
      ++seat_->mapped_;
      state_ = State::kMapping;
      surface = seat_->first_surface() + surface_;
    }
  }
  if (surface >= 0) {
    CUVIDPROCPARAMS options{};
    options.progressive_frame = 1;  // weave whatever it is, as FFmpeg's decoder does
    options.output_stream = static_cast<CUstream>(stream);
    CUVIDGETDECODESTATUS status{};
    CUresult error = CUDA_SUCCESS;
    {
      const memory::GpuScope scope(*session.gpu_);
      const CallTimer timer(counters.in_map_calls);
      const std::lock_guard one(session.map_mutex_);
      error = session.cuvid_->map(session.decoder_, surface, memory_, pitch_, options);
      if (error == CUDA_SUCCESS) (void)session.cuvid_->decode_status(session.decoder_, surface, status);
    }
    const std::lock_guard lock(session.mutex_);
    --seat_->holders_[static_cast<std::size_t>(surface_)];
    surface_ = -1;
    if (error != CUDA_SUCCESS) {
      --seat_->mapped_;
      state_ = State::kFailed;
      counters.map_failed.fetch_add(1, std::memory_order_relaxed);
      return fail(ErrorCode::kCorrupt, "map failed");
    }
    state_ = State::kMapped;
    if (Trace* trace = Trace::active())
      trace->add({.name = "in the decoder",
                  .track = TraceSpan::Track::kDecoder,
                  .number = seat_->trace_row(),
                  .begin = sent_at_,
                  .took = SteadyClock{}.now() - sent_at_});
    counters.mapped.fetch_add(1, std::memory_order_relaxed);
    if (status.decodeStatus == cuvidDecodeStatus_Error || status.decodeStatus == cuvidDecodeStatus_Error_Concealed) {
      counters.concealed.fetch_add(1, std::memory_order_relaxed);
      seat_->concealed_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  const auto* memory = reinterpret_cast<const std::uint8_t*>(memory_);  // NOLINT(performance-no-int-to-ptr): CUDA's own
  const Presentation& shown = presentation_;
  const auto pitch = static_cast<std::ptrdiff_t>(pitch_);
  image.planes[0] = {memory + shown.top * pitch + shown.left, pitch};
  image.planes[1] = {memory + (session.format_.coded_height + shown.top / 2) * pitch + shown.left, pitch};
  image.planes[2] = {};
  return {};
}

Result<void> NvdecPicture::download(std::uint8_t* nv12) {
  Image image;
  if (Result<void> mapped = map(image, nullptr); !mapped) return mapped;
  const auto width = static_cast<std::size_t>(presentation_.width + 1) / 2 * 2;
  const auto height = static_cast<std::size_t>(presentation_.height + 1) / 2 * 2;
  memory::Gpu& gpu = *seat_->session_->gpu_;
  if (Result<void> luma = gpu.download(nv12, width, image.planes[0].data, pitch_, width, height, nullptr); !luma)
    return luma;
  return gpu.download(nv12 + width * height, width, image.planes[1].data, pitch_, width, height / 2, nullptr);
}

void NvdecPicture::recycle() noexcept {
  const std::shared_ptr<Seat> seat = seat_;  // outlives the lock below
  Session& session = *seat->session_;
  bool mapped = false;
  {
    const std::lock_guard lock(session.mutex_);
    mapped = state_ == State::kMapped;
    if (state_ == State::kDecoded) --seat->holders_[static_cast<std::size_t>(surface_)];
    state_ = State::kFailed;  // nothing of it is to be had any more
  }
  if (mapped) {
    const memory::GpuScope scope(*session.gpu_);
    const std::lock_guard one(session.map_mutex_);
    session.cuvid_->unmap(session.decoder_, memory_);
  }
  const std::lock_guard lock(session.mutex_);
  if (mapped) --seat->mapped_;
  seat_.reset();
  seat->free_pictures_.push_back(this);
}

}  // namespace gantry::media
