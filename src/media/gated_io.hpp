#pragma once
// FFmpeg's openings of a source that a client gave, past its gate. Internal to the room.
#include <map>
#include <string>

#include "gantry/media/source_gate.hpp"
#include "media/av.hpp"

namespace gantry::media {

class GatedIo {
 public:
  explicit GatedIo(const SourceGate& gate) : gate_(gate) {}

  /// Lets `format` open nothing but what passes. `this` stays where it is while `format` lives.
  void install(AVFormatContext& format, const std::string& scheme);
  /// The RTSP demuxer connects by itself: `url`, checked, is what it gets, and what it must stay with.
  void stay_with(const AVFormatContext& format, std::string url) {
    format_ = &format;
    url_ = std::move(url);
  }
  void release() noexcept { format_ = nullptr; }
  /// A redirect has taken the demuxer elsewhere. Nothing has been sent there yet.
  [[nodiscard]] bool strayed() const noexcept {
    return format_ != nullptr && format_->url != nullptr && url_ != format_->url;
  }
  /// Why the last opening was refused; "" where none was.
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

 private:
  int open(AVFormatContext* format, AVIOContext** io, const char* url, int flags, AVDictionary** options);

  const SourceGate& gate_;
  decltype(AVFormatContext::io_open) open_ = nullptr;  ///< FFmpeg's own
  std::map<std::string, std::string> names_;           ///< by checked address and port: the host as it stood
  std::string refusal_;
  const AVFormatContext* format_ = nullptr;
  std::string url_;
};

}  // namespace gantry::media
