#include "media/nvdec/fake_nvcuvid.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <span>

#include "gantry/memory/fake_gpu.hpp"
#include "media/nvdec/parameter_sets.hpp"

namespace gantry::media::testing {
namespace {

constexpr auto kInvalid = static_cast<CUresult>(1);
constexpr auto kOutOfMemory = static_cast<CUresult>(2);
constexpr std::uint64_t kMissing = 0xdeadbeef;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  return (hash ^ value) * 1099511628211ULL;
}

struct Nal {
  int type = 0;
  bool referred_to = false;
  std::span<const std::uint8_t> bytes;
};

std::vector<Nal> split(std::span<const std::uint8_t> bytes, bool hevc) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i + 3 < bytes.size(); ++i)
    if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1) starts.push_back(i + 3);
  std::vector<Nal> nals;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t end = i + 1 < starts.size() ? starts[i + 1] - 3 : bytes.size();
    const auto nal = bytes.subspan(starts[i], end - starts[i]);
    if (hevc)
      nals.push_back({nal[0] >> 1 & 63, true, nal});
    else
      nals.push_back({nal[0] & 31, (nal[0] >> 5 & 3) != 0, nal});
  }
  return nals;
}

}  // namespace

struct FakeNvcuvid::Parser {
  CUVIDPARSERPARAMS parameters{};
  std::optional<StreamTraits> traits;
  int surfaces = 0;
  std::deque<int> dpb;  ///< indices of references, newest last
  int next = 0;
  // A picture that may not be whole yet.
  std::vector<std::uint8_t> held;
  CUvideotimestamp held_time = 0;

  [[nodiscard]] bool hevc() const { return parameters.CodecType == cudaVideoCodec_HEVC; }
  void picture(std::span<const std::uint8_t> bytes, CUvideotimestamp time);
};

/// One access unit: parameter sets, then the picture.
void FakeNvcuvid::Parser::picture(std::span<const std::uint8_t> bytes, CUvideotimestamp time) {
  bool slice = false, referred_to = false, instant = false;
  std::uint64_t hash = 14695981039346656037ULL;
  for (const Nal& nal : split(bytes, hevc())) {
    const bool sps = nal.type == (hevc() ? 33 : 7);
    if (sps) {
      const auto found = hevc() ? parse_hevc_sps(nal.bytes) : parse_h264_sps(nal.bytes);
      if (!found || found == traits) continue;
      traits = found;
      dpb.clear();
      CUVIDEOFORMAT format{};
      format.codec = parameters.CodecType;
      format.progressive_sequence = traits->interlaced ? 0 : 1;
      format.coded_width = static_cast<unsigned>(traits->width);
      format.coded_height = static_cast<unsigned>((traits->height + 15) / 16 * 16);
      format.display_area.right = traits->width;
      format.display_area.bottom = traits->height;
      format.chroma_format = cudaVideoChromaFormat_420;
      format.bit_depth_luma_minus8 = static_cast<unsigned char>(traits->bit_depth - 8);
      format.min_num_decode_surfaces = static_cast<unsigned char>(traits->references + 1);
      surfaces = parameters.pfnSequenceCallback(parameters.pUserData, &format);
      next = 0;
    }
    const bool is_slice = hevc() ? nal.type < 32 : nal.type >= 1 && nal.type <= 5;
    if (!is_slice) continue;
    slice = true;
    referred_to = nal.referred_to;
    instant = instant || (hevc() ? nal.type >= 16 && nal.type <= 21 : nal.type == 5);
    for (const std::uint8_t byte : nal.bytes) hash = mix(hash, byte);
  }
  if (!slice || surfaces <= 0) return;
  if (instant) dpb.clear();
  while (std::find(dpb.begin(), dpb.end(), next % surfaces) != dpb.end()) ++next;
  CUVIDPICPARAMS params{};
  params.CurrPicIdx = next++ % surfaces;
  const int index = params.CurrPicIdx;
  params.nBitstreamDataLen = sizeof hash;
  params.pBitstreamData = reinterpret_cast<const unsigned char*>(&hash);
  params.ref_pic_flag = referred_to ? 1 : 0;
  if (hevc()) {
    auto& own = params.CodecSpecific.hevc;
    std::fill(std::begin(own.RefPicIdx), std::end(own.RefPicIdx), -1);
    for (std::size_t i = 0; i < dpb.size(); ++i) own.RefPicIdx[i] = dpb[i];
  } else {
    auto& own = params.CodecSpecific.h264;
    own.num_ref_frames = traits->references;
    for (auto& entry : own.dpb) entry.PicIdx = -1;
    for (std::size_t i = 0; i < dpb.size(); ++i) own.dpb[i] = {dpb[i], static_cast<int>(i), 0, 0, 3, {0, 0}};
  }
  if (parameters.pfnDecodePicture(parameters.pUserData, &params) == 0) return;
  if (referred_to) {
    dpb.push_back(index);
    while (static_cast<int>(dpb.size()) > std::max(1, traits->references)) dpb.pop_front();
  }
  CUVIDPARSERDISPINFO shown{};
  shown.picture_index = index;
  shown.progressive_frame = 1;
  shown.timestamp = time;
  parameters.pfnDisplayPicture(parameters.pUserData, &shown);
}

FakeNvcuvid::FakeNvcuvid() = default;
FakeNvcuvid::~FakeNvcuvid() = default;

int FakeNvcuvid::sessions() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(decoders_.size());
}
int FakeNvcuvid::sessions_made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}
int FakeNvcuvid::mapped() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [handle, decoder] : decoders_) count += decoder->outputs.size();
  return static_cast<int>(count);
}
int FakeNvcuvid::surfaces_of_last_session() const {
  const std::lock_guard lock(mutex_);
  return last_surfaces_;
}

CUresult FakeNvcuvid::decoder_caps(CUVIDDECODECAPS& caps) {
  caps.bIsSupported = (caps.eCodecType == cudaVideoCodec_H264 || caps.eCodecType == cudaVideoCodec_HEVC) &&
                      caps.eChromaFormat == cudaVideoChromaFormat_420 && caps.nBitDepthMinus8 == 0;
  caps.nNumNVDECs = 7;
  caps.nOutputFormatMask = 1;
  caps.nMinWidth = caps.nMinHeight = 48;
  caps.nMaxWidth = caps.nMaxHeight = 4096;
  caps.nMaxMBCount = 65536;
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::create_decoder(CUvideodecoder& decoder, CUVIDDECODECREATEINFO& info) {
  const std::lock_guard lock(mutex_);
  if (!memory::FakeGpu::entered() || info.ulNumDecodeSurfaces > 32) return kInvalid;
  if (static_cast<int>(decoders_.size()) >= most_sessions) return kOutOfMemory;
  auto made = std::make_unique<Decoder>();
  made->info = info;
  made->surfaces.resize(info.ulNumDecodeSurfaces);
  decoder = made.get();
  decoders_.emplace(decoder, std::move(made));
  ++made_;
  last_surfaces_ = static_cast<int>(info.ulNumDecodeSurfaces);
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::destroy_decoder(CUvideodecoder decoder) {
  const std::lock_guard lock(mutex_);
  if (!memory::FakeGpu::entered()) return kInvalid;
  for (std::uint8_t* output : decoders_.at(decoder)->outputs) delete[] output;
  decoders_.erase(decoder);
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::decode_picture(CUvideodecoder handle, CUVIDPICPARAMS& picture) {
  const std::lock_guard lock(mutex_);
  Decoder& decoder = *decoders_.at(handle);
  if (!memory::FakeGpu::entered() || refuse_pictures-- > 0) return kInvalid;
  refuse_pictures = std::max(0, refuse_pictures);
  std::uint64_t content = 0;
  std::memcpy(&content, picture.pBitstreamData, sizeof content);
  std::set<int> listed{picture.CurrPicIdx};
  bool foreign = false;
  const auto refer = [&](int surface) {
    const Surface& reference = decoder.surfaces.at(static_cast<std::size_t>(surface));
    content = mix(content, reference.referable ? reference.content : kMissing);
  };
  if (decoder.info.CodecType == cudaVideoCodec_H264) {
    for (const auto& entry : picture.CodecSpecific.h264.dpb) {
      if (entry.PicIdx < 0) continue;
      listed.insert(entry.PicIdx);
      entry.is_long_term != 0 ? void(foreign = true) : refer(entry.PicIdx);
    }
    if (listed.size() - 1 > most_listed_h264) content = kMissing;
  } else {
    const auto& hevc = picture.CodecSpecific.hevc;
    for (std::size_t i = 0; i < 16; ++i) {
      if (hevc.RefPicIdx[i] < 0) continue;
      listed.insert(hevc.RefPicIdx[i]);
      hevc.PicOrderCntVal[i] <= -100'000 ? void(foreign = true) : refer(hevc.RefPicIdx[i]);
    }
  }
  if (foreign && spoil_shared > 0) {
    --spoil_shared;
    content = kMissing;
  }
  for (std::size_t i = 0; i < decoder.surfaces.size(); ++i)
    if (!listed.contains(static_cast<int>(i))) decoder.surfaces[i].referable = false;
  decoder.surfaces.at(static_cast<std::size_t>(picture.CurrPicIdx)) = {content, true, conceal_pictures > 0, true};
  conceal_pictures = std::max(0, conceal_pictures - 1);
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::decode_status(CUvideodecoder decoder, int surface, CUVIDGETDECODESTATUS& status) {
  const std::lock_guard lock(mutex_);
  status.decodeStatus = decoders_.at(decoder)->surfaces.at(static_cast<std::size_t>(surface)).concealed
                            ? cuvidDecodeStatus_Error_Concealed
                            : cuvidDecodeStatus_Success;
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::map(CUvideodecoder handle, int surface, unsigned long long& memory, unsigned& pitch,
                          CUVIDPROCPARAMS&) {
  const std::lock_guard lock(mutex_);
  Decoder& decoder = *decoders_.at(handle);
  const Surface& from = decoder.surfaces.at(static_cast<std::size_t>(surface));
  if (!memory::FakeGpu::entered() || !from.decoded || decoder.outputs.size() >= decoder.info.ulNumOutputSurfaces)
    return kInvalid;
  pitch = static_cast<unsigned>((decoder.info.ulTargetWidth + 255) / 256 * 256);
  const std::size_t bytes = pitch * decoder.info.ulTargetHeight * 3 / 2;
  auto* output = new std::uint8_t[bytes];
  std::memset(output, 0, bytes);
  std::memcpy(output, &from.content, sizeof from.content);
  decoder.outputs.insert(output);
  memory = reinterpret_cast<unsigned long long>(output);
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::unmap(CUvideodecoder decoder, unsigned long long memory) {
  const std::lock_guard lock(mutex_);
  auto* output = reinterpret_cast<std::uint8_t*>(memory);  // NOLINT(performance-no-int-to-ptr)
  if (!memory::FakeGpu::entered() || decoders_.at(decoder)->outputs.erase(output) != 1) return kInvalid;
  delete[] output;
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::create_parser(CUvideoparser& parser, CUVIDPARSERPARAMS& parameters) {
  auto made = std::make_unique<Parser>();
  made->parameters = parameters;
  const std::lock_guard lock(mutex_);
  parser = reinterpret_cast<CUvideoparser>(made.get());
  parsers_.emplace(parser, std::move(made));
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::parse(CUvideoparser handle, CUVIDSOURCEDATAPACKET& packet) {
  Parser* parser = nullptr;
  {
    const std::lock_guard lock(mutex_);
    parser = parsers_.at(handle).get();
  }
  const std::span bytes(packet.payload, packet.payload_size);
  // Without the flag a picture is whole only when the next one begins.
  const auto flush = [&] {
    if (!parser->held.empty()) parser->picture(parser->held, parser->held_time);
    parser->held.clear();
  };
  flush();
  if ((packet.flags & CUVID_PKT_ENDOFSTREAM) != 0) return CUDA_SUCCESS;
  parser->held.assign(bytes.begin(), bytes.end());
  parser->held_time = packet.timestamp;
  if ((packet.flags & CUVID_PKT_ENDOFPICTURE) != 0) flush();
  return CUDA_SUCCESS;
}

CUresult FakeNvcuvid::destroy_parser(CUvideoparser parser) {
  const std::lock_guard lock(mutex_);
  parsers_.erase(parser);
  return CUDA_SUCCESS;
}

}  // namespace gantry::media::testing
