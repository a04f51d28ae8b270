#include "media/nvdec/nvcuvid.hpp"

#include <dlfcn.h>

#include <string>

#include "gantry/core/errors.hpp"

namespace gantry::media {
namespace {

class Library final : public Nvcuvid {
 public:
  Library() {
    // Never closed: the driver keeps threads of its own.
    void* library = dlopen("libnvcuvid.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      throw DeviceError(
          "NVIDIA's video decoder (libnvcuvid.so.1) is not there; install the driver's decode library, in containers "
          "with NVIDIA_DRIVER_CAPABILITIES=video,compute");
    const auto find = [library](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr)
        throw DeviceError(std::string("libnvcuvid.so.1 has no ") + name + "; install a newer driver");
    };
    find(caps_, "cuvidGetDecoderCaps");
    find(create_, "cuvidCreateDecoder");
    find(destroy_, "cuvidDestroyDecoder");
    find(decode_, "cuvidDecodePicture");
    find(status_, "cuvidGetDecodeStatus");
    find(map_, "cuvidMapVideoFrame64");
    find(unmap_, "cuvidUnmapVideoFrame64");
    find(create_parser_, "cuvidCreateVideoParser");
    find(parse_, "cuvidParseVideoData");
    find(destroy_parser_, "cuvidDestroyVideoParser");
  }

  CUresult decoder_caps(CUVIDDECODECAPS& caps) override { return caps_(&caps); }
  CUresult create_decoder(CUvideodecoder& decoder, CUVIDDECODECREATEINFO& info) override {
    return create_(&decoder, &info);
  }
  CUresult destroy_decoder(CUvideodecoder decoder) override { return destroy_(decoder); }
  CUresult decode_picture(CUvideodecoder decoder, CUVIDPICPARAMS& picture) override {
    return decode_(decoder, &picture);
  }
  CUresult decode_status(CUvideodecoder decoder, int surface, CUVIDGETDECODESTATUS& status) override {
    return status_(decoder, surface, &status);
  }
  CUresult map(CUvideodecoder decoder, int surface, unsigned long long& memory, unsigned& pitch,
               CUVIDPROCPARAMS& options) override {
    return map_(decoder, surface, &memory, &pitch, &options);
  }
  CUresult unmap(CUvideodecoder decoder, unsigned long long memory) override { return unmap_(decoder, memory); }
  CUresult create_parser(CUvideoparser& parser, CUVIDPARSERPARAMS& parameters) override {
    return create_parser_(&parser, &parameters);
  }
  CUresult parse(CUvideoparser parser, CUVIDSOURCEDATAPACKET& packet) override { return parse_(parser, &packet); }
  CUresult destroy_parser(CUvideoparser parser) override { return destroy_parser_(parser); }

 private:
  tcuvidGetDecoderCaps* caps_ = nullptr;
  tcuvidCreateDecoder* create_ = nullptr;
  tcuvidDestroyDecoder* destroy_ = nullptr;
  tcuvidDecodePicture* decode_ = nullptr;
  tcuvidGetDecodeStatus* status_ = nullptr;
  CUresult (*map_)(CUvideodecoder, int, unsigned long long*, unsigned*, CUVIDPROCPARAMS*) = nullptr;
  CUresult (*unmap_)(CUvideodecoder, unsigned long long) = nullptr;
  tcuvidCreateVideoParser* create_parser_ = nullptr;
  tcuvidParseVideoData* parse_ = nullptr;
  tcuvidDestroyVideoParser* destroy_parser_ = nullptr;
};

}  // namespace

std::shared_ptr<Nvcuvid> load_nvcuvid() {
  return std::make_shared<Library>();
}

}  // namespace gantry::media
