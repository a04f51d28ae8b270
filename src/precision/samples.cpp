#include "gantry/precision/samples.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "gantry/core/errors.hpp"
#include "gantry/media/decoder.hpp"
#include "gantry/media/source_factory.hpp"
#include "gantry/media/still.hpp"
#include "gantry/vision/letterbox.hpp"

namespace gantry::precision {
namespace {

namespace fs = std::filesystem;

/// Files of one kind that share a place: a folder of pictures, or one video.
struct Group {
  std::vector<std::string> pictures;
  std::string video;
};

std::vector<Group> find_groups(const std::vector<std::string>& inputs) {
  std::vector<Group> groups;
  for (const std::string& input : inputs) {
    if (!fs::exists(input)) throw StartupError(input + ": no such file or folder (--calibration)");
    if (!fs::is_directory(input)) {
      groups.push_back(media::is_picture_path(input) ? Group{{input}, {}} : Group{{}, input});
      continue;
    }
    std::map<std::string, std::vector<std::string>> folders;
    for (const auto& entry : fs::recursive_directory_iterator(input)) {
      if (!entry.is_regular_file() || !media::is_picture_path(entry.path().string())) continue;
      folders[entry.path().parent_path().string()].push_back(entry.path().string());
    }
    if (folders.empty()) throw StartupError(input + ": holds no pictures (--calibration)");
    for (auto& [folder, files] : folders) {
      std::sort(files.begin(), files.end());
      groups.push_back({std::move(files), {}});
    }
  }
  return groups;
}

/// Equal shares of `count`; what small groups leave goes to the others. A video takes whatever it is given.
std::vector<std::size_t> share_out(const std::vector<Group>& groups, std::size_t count) {
  std::vector<std::size_t> shares(groups.size(), 0);
  for (std::size_t left = count; left > 0;) {
    const std::size_t before = left;
    for (std::size_t i = 0; i < groups.size() && left > 0; ++i) {
      if (groups[i].video.empty() && shares[i] == groups[i].pictures.size()) continue;
      ++shares[i];
      --left;
    }
    if (left == before) break;
  }
  return shares;
}

/// Letterboxes pictures into Samples.
class Collector {
 public:
  Collector(engine::InputShape shape, Samples& samples) : shape_(shape), samples_(samples) {
    planes_.resize(3 * static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height));
  }
  void add(std::string name, const Image& image) {
    letterboxer_.run(image, vision::letterbox_geometry(image.width, image.height, shape_.width, shape_.height),
                     planes_.data());
    Sample sample{std::move(name), std::vector<std::uint8_t>(planes_.size())};
    std::transform(planes_.begin(), planes_.end(), sample.planes.begin(),
                   [](float value) { return static_cast<std::uint8_t>(std::lround(value * 255.0F)); });
    samples_.pictures.push_back(std::move(sample));
  }

 private:
  engine::InputShape shape_;
  Samples& samples_;
  vision::Letterboxer letterboxer_;
  std::vector<float> planes_;
};

/// Every frame of a video in turn, until `frame` says enough. Returns how many it had seen.
std::size_t for_each_frame(const std::string& file, const std::function<bool(std::size_t, const Image&)>& frame) {
  const auto source = media::make_source({.url = file});
  if (const auto opened = source->open(); !opened) throw MediaError(opened.error().message);
  const auto decoder = media::make_ffmpeg_decoder();
  std::size_t seen = 0;
  bool more = true;
  bool open = false;
  const auto drain = [&] {
    Frame decoded;
    for (auto event = decoder->receive(decoded); event != media::DecodeEvent::kNeedPacket;
         event = decoder->receive(decoded))
      if (event == media::DecodeEvent::kFrame && more) more = frame(seen++, decoded.image);
  };
  while (more) {
    const auto packet = source->next();
    if (!packet && packet.error().code != ErrorCode::kEndOfStream) throw MediaError(packet.error().message);
    if (open && (!packet || packet->stream_changed)) {
      decoder->finish();
      drain();
    }
    if (!packet) break;
    if (packet->stream_changed) {
      if (const auto ready = decoder->open(source->stream()); !ready) throw MediaError(ready.error().message);
      open = true;
    }
    decoder->send(*packet);
    drain();
  }
  return seen;
}

std::size_t count_frames(const std::string& file) {
  const auto source = media::make_source({.url = file});
  if (const auto opened = source->open(); !opened) throw MediaError(opened.error().message);
  if (source->stream().live) throw StartupError(file + ": calibrate from a recording, not from a live stream");
  if (source->stream().frames > 0) return static_cast<std::size_t>(source->stream().frames);
  return for_each_frame(file, [](std::size_t, const Image&) { return true; });
}

void read_video(const std::string& file, std::size_t share, Collector& collector) {
  const std::size_t frames = count_frames(file);
  std::size_t taken = 0;
  for_each_frame(file, [&](std::size_t index, const Image& image) {
    // The middle of each of `share` equal spans.
    if (index == (2 * taken + 1) * frames / (2 * share)) {
      collector.add(file + "#" + std::to_string(index), image);
      ++taken;
    }
    return taken < share;
  });
}

/// FNV-1a, as for model files.
std::string digest_of(const std::vector<Sample>& pictures) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const Sample& picture : pictures)
    for (const std::uint8_t byte : picture.planes) hash = (hash ^ byte) * 0x100000001B3U;
  return fmt::format("{:016x}", hash);
}

/// Standard deviation of the pixels that aren't padding, 0…255.
double contrast(const Sample& sample) {
  double sum = 0;
  double squares = 0;
  std::size_t count = 0;
  for (const std::uint8_t value : sample.planes) {
    if (value == vision::kPadding) continue;
    sum += value;
    squares += double{static_cast<double>(value)} * value;
    ++count;
  }
  if (count == 0) return 0;
  const double mean = sum / static_cast<double>(count);
  return std::sqrt(std::max(0.0, squares / static_cast<double>(count) - mean * mean));
}

/// Pixels of a frame that no pool knows.
class HeapPixels final : public Storage {
 public:
  explicit HeapPixels(std::size_t size) : bytes(size) {}
  std::vector<std::uint8_t> bytes;

 protected:
  void recycle() noexcept override { delete this; }
};

}  // namespace

Samples read_samples(const std::vector<std::string>& inputs, std::size_t count, engine::InputShape shape) {
  const std::vector<Group> groups = find_groups(inputs);
  const std::vector<std::size_t> shares = share_out(groups, count);
  Samples samples{shape, {}, {}};
  Collector collector{shape, samples};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (shares[i] == 0) continue;
    if (!groups[i].video.empty()) {
      read_video(groups[i].video, shares[i], collector);
      continue;
    }
    const auto& files = groups[i].pictures;
    for (std::size_t k = 0; k < shares[i]; ++k) {
      const std::string& file = files[k * files.size() / shares[i]];
      collector.add(file, media::read_still(file).image);
    }
  }
  if (samples.pictures.empty()) throw StartupError("nothing could be drawn from the calibration inputs");
  samples.digest = digest_of(samples.pictures);
  return samples;
}

void refuse_useless(const Samples& samples) {
  const std::size_t count = samples.pictures.size();
  if (count < kLeastSamples)
    throw StartupError(
        fmt::format("{} calibration picture{}: too few to know the ranges of anything; give at least {}, "
                    "better a few hundred of your own cameras, at all hours",
                    count, count == 1 ? "" : "s", kLeastSamples));
  constexpr double kLeastContrast = 4;  // a covered lens at night still shows noise of 2 or 3
  const auto blank =
      static_cast<std::size_t>(std::count_if(samples.pictures.begin(), samples.pictures.end(),
                                             [](const Sample& sample) { return contrast(sample) < kLeastContrast; }));
  if (10 * blank > count)
    throw StartupError(
        fmt::format("{} of {} calibration pictures are blank (no contrast), the first {}; ranges measured "
                    "on them would be worthless. Give pictures of traffic",
                    blank, count, std::find_if(samples.pictures.begin(), samples.pictures.end(), [](const Sample& s) {
                                    return contrast(s) < kLeastContrast;
                                  })->name));
}

graph::Tensor as_input(const Samples& samples, std::size_t index) {
  const auto& planes = samples.pictures[index].planes;
  graph::Tensor tensor = graph::Tensor::zeros({1, 3, samples.shape.height, samples.shape.width}, true);
  std::transform(planes.begin(), planes.end(), tensor.floats().begin(),
                 [](std::uint8_t value) { return static_cast<float>(value) / 255.0F; });
  return tensor;
}

Frame as_frame(const Samples& samples, std::size_t index, bool swapped) {
  const auto width = static_cast<std::size_t>(samples.shape.width);
  const auto& planes = samples.pictures[index].planes;
  const std::size_t area = planes.size() / 3;
  auto pixels = std::make_unique<HeapPixels>(planes.size());
  for (std::size_t i = 0; i < area; ++i)
    for (std::size_t c = 0; c < 3; ++c) pixels->bytes[3 * i + c] = planes[(swapped ? 2 - c : c) * area + i];
  Frame frame;
  frame.image = {.width = samples.shape.width, .height = samples.shape.height, .format = PixelFormat::kRgb24};
  frame.image.planes[0] = {pixels->bytes.data(), static_cast<std::ptrdiff_t>(3 * width)};
  frame.pixels = StorageRef(pixels.release());
  return frame;
}

}  // namespace gantry::precision
