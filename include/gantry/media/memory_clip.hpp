#pragma once
// A video file's coded packets in memory, played to any number of cameras at once: a load generator's source, which
// costs neither disk nor network nor demuxing.
#include <memory>
#include <string>

#include "gantry/media/source.hpp"

namespace gantry::media {

/// Immutable once loaded; thread-safe.
class MemoryClip : public std::enable_shared_from_this<MemoryClip> {
 public:
  /// @throws MediaError where the file can't be read or holds no video
  [[nodiscard]] static std::shared_ptr<const MemoryClip> load(const std::string& path);
  ~MemoryClip();
  MemoryClip(const MemoryClip&) = delete;
  MemoryClip& operator=(const MemoryClip&) = delete;

  [[nodiscard]] int width() const noexcept;
  [[nodiscard]] int height() const noexcept;
  [[nodiscard]] const std::string& codec() const noexcept;
  [[nodiscard]] std::size_t packets() const noexcept;
  [[nodiscard]] double frame_rate() const noexcept;  ///< as the file says; 0: not

  /// The clip over and over, one packet every 1 / frame_rate seconds, the first `phase` after the source is opened. A
  /// packet has arrived when its time came, even where the reader was late for it: what the reader's lateness costs
  /// shows in its latency. But time runs only once the reader asks for the second packet: a decoder is opened for the
  /// first. @pre frame_rate > 0
  [[nodiscard]] std::unique_ptr<Source> play(double frame_rate, Duration phase) const;

 private:
  MemoryClip();
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace gantry::media
