#pragma once
// A decoder library without a card: it parses real H.264 and HEVC far enough to know pictures and references, and
// "decodes" each picture into a number that depends on its bytes and on the pictures that it refers to. Like the real
// one it forgets a reference that a picture does not list, holds a picture back until it knows that it is whole, and
// gives out only so many sessions.
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "media/nvdec/nvcuvid.hpp"

namespace gantry::media::testing {

class FakeNvcuvid final : public Nvcuvid {
 public:
  FakeNvcuvid();
  ~FakeNvcuvid() override;

  // -- what tests set
  int most_sessions = 288;
  int refuse_pictures = 0;            ///< the next ones are not taken
  int conceal_pictures = 0;           ///< the next ones are patched
  int spoil_shared = 0;               ///< the next ones that list more than their own references come out wrong
  std::size_t most_listed_h264 = 16;  ///< more entries than these come out wrong

  // -- what tests ask
  [[nodiscard]] int sessions() const;
  [[nodiscard]] int sessions_made() const;
  [[nodiscard]] int mapped() const;
  [[nodiscard]] int surfaces_of_last_session() const;

  CUresult decoder_caps(CUVIDDECODECAPS& caps) override;
  CUresult create_decoder(CUvideodecoder& decoder, CUVIDDECODECREATEINFO& info) override;
  CUresult destroy_decoder(CUvideodecoder decoder) override;
  CUresult decode_picture(CUvideodecoder decoder, CUVIDPICPARAMS& picture) override;
  CUresult decode_status(CUvideodecoder decoder, int surface, CUVIDGETDECODESTATUS& status) override;
  CUresult map(CUvideodecoder decoder, int surface, unsigned long long& memory, unsigned& pitch,
               CUVIDPROCPARAMS& options) override;
  CUresult unmap(CUvideodecoder decoder, unsigned long long memory) override;
  CUresult create_parser(CUvideoparser& parser, CUVIDPARSERPARAMS& parameters) override;
  CUresult parse(CUvideoparser parser, CUVIDSOURCEDATAPACKET& packet) override;
  CUresult destroy_parser(CUvideoparser parser) override;

 private:
  struct Surface {
    std::uint64_t content = 0;
    bool referable = false;
    bool concealed = false;
    bool decoded = false;
  };
  struct Decoder {
    CUVIDDECODECREATEINFO info{};
    std::vector<Surface> surfaces;
    std::set<std::uint8_t*> outputs;
  };
  struct Parser;

  mutable std::mutex mutex_;
  std::map<CUvideodecoder, std::unique_ptr<Decoder>> decoders_;
  std::map<CUvideoparser, std::unique_ptr<Parser>> parsers_;
  int made_ = 0;
  int last_surfaces_ = 0;
};

}  // namespace gantry::media::testing
