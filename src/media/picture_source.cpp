#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "media/ffmpeg_source.hpp"
#include "media/picture.hpp"

namespace gantry::media {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEndings[] = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"};

bool has_picture_ending(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::any_of(std::begin(kEndings), std::end(kEndings), [&](const char* e) { return ending == e; });
}

/// One picture, or all pictures of one folder in the order of their names.
class PictureSource final : public Source {
 public:
  explicit PictureSource(const SourceConfig& config) : path_(config.url), loop_(config.loop) {
    info_.codec = "raw";
    info_.time_base_num = 1;
    info_.time_base_den = 1000;
  }

  Result<void> open() override;
  Result<Packet> next() override;
  const StreamInfo& stream() const noexcept override { return info_; }
  void cancel() noexcept override { cancelled_ = true; }

 private:
  Result<void> load(const fs::path& path);

  fs::path path_;
  bool loop_;
  std::atomic<bool> cancelled_{false};
  bool opened_ = false;
  bool first_ = true;
  std::vector<fs::path> pictures_;
  std::size_t next_ = 0;
  std::string name_;
  std::vector<std::uint8_t> bytes_;
  PictureReader reader_;
  StreamInfo info_;
};

Result<void> PictureSource::open() {
  std::error_code error;
  pictures_.clear();
  next_ = 0;
  opened_ = false;
  first_ = true;
  const fs::file_status status = fs::status(path_, error);
  if (status.type() == fs::file_type::not_found)
    return fail(ErrorCode::kNotFound, path_.string() + ": no such file; check the path");
  if (status.type() == fs::file_type::directory) {
    fs::directory_iterator entries(path_, error);
    if (error) return fail(ErrorCode::kUnauthorized, path_.string() + ": " + error.message());
    for (const fs::directory_entry& entry : entries)
      if (entry.is_regular_file(error) && has_picture_ending(entry.path())) pictures_.push_back(entry.path());
    std::sort(pictures_.begin(), pictures_.end());
    if (pictures_.empty())
      return fail(ErrorCode::kNotFound, path_.string() +
                                            ": no pictures in this folder; it needs .jpg, .png, .bmp, .webp, .tif or "
                                            ".ppm files directly inside it");
  } else {
    pictures_.push_back(path_);
  }
  info_.frames = static_cast<std::int64_t>(pictures_.size());
  opened_ = true;
  return {};
}

Result<void> PictureSource::load(const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  if (size < 0) return fail(ErrorCode::kNotFound, path.string() + ": can't be opened");
  bytes_.resize(static_cast<std::size_t>(size));
  file.seekg(0);
  if (size > 0 && !file.read(reinterpret_cast<char*>(bytes_.data()), size))
    return fail(ErrorCode::kCorrupt, path.string() + ": reading failed");
  return {};
}

Result<Packet> PictureSource::next() {
  if (cancelled_) return fail(ErrorCode::kCancelled, "cancelled");
  if (!opened_)
    if (Result<void> opened = open(); !opened) return Unexpected<Error>{opened.error()};
  if (next_ == pictures_.size() && loop_) next_ = 0;
  if (next_ == pictures_.size()) return fail(ErrorCode::kEndOfStream, path_.string() + ": no more pictures");
  const fs::path& path = pictures_[next_++];
  if (Result<void> loaded = load(path); !loaded) return Unexpected<Error>{loaded.error()};
  Packet packet;
  packet.arrived_at = SteadyClock{}.now();
  Result<PictureLoan> picture = reader_.read(bytes_, path.string());
  if (!picture) return Unexpected<Error>{picture.error()};
  RawPayload raw;
  if (!describe(*picture->frame, raw.image)) return fail(ErrorCode::kUnsupported, path.string() + ": pixel format");
  raw.pixels = std::move(picture->owner);
  name_ = path.stem().string();
  info_.width = raw.image.width;
  info_.height = raw.image.height;
  packet.payload = std::move(raw);
  packet.keyframe = true;
  packet.stream_changed = std::exchange(first_, false);
  packet.name = name_;
  return packet;
}

}  // namespace

bool is_picture_path(const std::string& url) {
  std::error_code error;
  return fs::is_directory(url, error) || has_picture_ending(url);
}

std::unique_ptr<Source> make_picture_source(const SourceConfig& config) {
  quiet_ffmpeg_log();
  return std::make_unique<PictureSource>(config);
}

}  // namespace gantry::media
