#pragma once
// The seam over NVIDIA's decoder library: its functions as they are, so that a fake can stand in for it in tests.
// Decoder functions need a card's context on the calling thread (memory::GpuScope); parser functions do not. A parser
// is used by one thread at a time and calls back on it.
#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_nvcuvid.h>

#include <memory>

namespace gantry::media {

class Nvcuvid {
 public:
  virtual ~Nvcuvid() = default;
  virtual CUresult decoder_caps(CUVIDDECODECAPS& caps) = 0;
  virtual CUresult create_decoder(CUvideodecoder& decoder, CUVIDDECODECREATEINFO& info) = 0;
  virtual CUresult destroy_decoder(CUvideodecoder decoder) = 0;
  virtual CUresult decode_picture(CUvideodecoder decoder, CUVIDPICPARAMS& picture) = 0;
  virtual CUresult decode_status(CUvideodecoder decoder, int surface, CUVIDGETDECODESTATUS& status) = 0;
  virtual CUresult map(CUvideodecoder decoder, int surface, unsigned long long& memory, unsigned& pitch,
                       CUVIDPROCPARAMS& options) = 0;
  virtual CUresult unmap(CUvideodecoder decoder, unsigned long long memory) = 0;
  virtual CUresult create_parser(CUvideoparser& parser, CUVIDPARSERPARAMS& parameters) = 0;
  virtual CUresult parse(CUvideoparser parser, CUVIDSOURCEDATAPACKET& packet) = 0;
  virtual CUresult destroy_parser(CUvideoparser parser) = 0;
};

/// libnvcuvid.so.1. @throws DeviceError where it is not there or too old
[[nodiscard]] std::shared_ptr<Nvcuvid> load_nvcuvid();

}  // namespace gantry::media
