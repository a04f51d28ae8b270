#include "media/gated_io.hpp"

#include <cstring>

#include "gantry/media/url.hpp"

namespace gantry::media {
namespace {

/// What a scheme needs below it, and nothing else: no files, no pipes, no other protocol by a trick in a playlist.
const char* protocols_of(const std::string& scheme) {
  if (scheme == "rtsp" || scheme == "rtsps") return "tcp,tls,rtp,srtp,udp";
  if (scheme == "http" || scheme == "https") return "http,https,httpproxy,tcp,tls,crypto";
  if (scheme == "rtmp" || scheme == "rtmps") return "rtmp,rtmps,tcp,tls";
  return "srt";
}

/// "host:port" of a URL.
std::string authority(const std::string& url) {
  const auto begin = url.find("://") + 3;
  const auto end = std::min(url.find_first_of("/?#", begin), url.size());
  const auto at = url.rfind('@', end);
  const auto from = at != url.npos && at >= begin ? at + 1 : begin;
  return url.substr(from, end - from);
}

}  // namespace

void GatedIo::install(AVFormatContext& format, const std::string& scheme) {
  refusal_.clear();
  names_.clear();
  format.opaque = this;
  open_ = format.io_open;
  format.io_open = [](AVFormatContext* self, AVIOContext** io, const char* url, int flags, AVDictionary** options) {
    return static_cast<GatedIo*>(self->opaque)->open(self, io, url, flags, options);
  };
  format.protocol_whitelist = av_strdup(protocols_of(scheme));
}

int GatedIo::open(AVFormatContext* format, AVIOContext** io, const char* url, int flags, AVDictionary** options) {
  // "crypto+https://…" is an encrypted segment of a playlist.
  const char* crypto = std::strncmp(url, "crypto+", 7) == 0 || std::strncmp(url, "crypto:", 7) == 0 ? url : nullptr;
  const std::string prefix = crypto != nullptr ? std::string(url, 7) : std::string{};
  const auto passage = gate_.pass(url + prefix.size());
  if (!passage) {
    refusal_ = passage.error().message;
    return passage.error().code == ErrorCode::kNetwork ? AVERROR(EIO) : AVERROR(EPERM);
  }
  if (passage->trusted) return open_(format, io, url, flags, options);
  // A playlist's own address is the checked one, and what it names is relative to that: find the name again.
  const std::string where = authority(passage->url);
  if (passage->host != where) names_[where] = passage->host;
  const auto known = names_.find(where);
  const std::string& host = known != names_.end() ? known->second : where;
  AVDictionary* own = nullptr;
  if (options != nullptr) av_dict_copy(&own, *options, 0);
  av_dict_set(&own, "max_redirects", "0", 0);
  av_dict_set(&own, "headers", ("Host: " + host + "\r\n").c_str(), 0);
  const int code = open_(format, io, (prefix + passage->url).c_str(), flags, &own);
  if (options != nullptr) {
    av_dict_free(options);
    *options = own;
  } else {
    av_dict_free(&own);
  }
  return code;
}

}  // namespace gantry::media
