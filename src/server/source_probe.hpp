#pragma once
// Looks at a source once, to tell whoever is about to add a camera what is there.
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "gantry/core/result.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::server {

struct ProbeFinding {
  std::string codec;
  int width = 0, height = 0;       ///< pixels of the first picture, upright
  double fps = 0;                  ///< as the stream says, otherwise as measured; 0 where neither is known
  bool fps_measured = false;       ///< from when pictures came
  Duration first_picture{};        ///< from the start of the attempt
  std::vector<std::uint8_t> jpeg;  ///< the first picture
};

/// One at a time. probe() belongs to one thread; cancel() may be called from any.
class SourceProbe {
 public:
  /// @param gate null: the URL is trusted. Connects, decodes the first picture, and lets go. Blocks, at most a little
  /// longer than `limit`.
  /// @return why not, as a sentence without secrets
  [[nodiscard]] Result<ProbeFinding> probe(const std::string& url, std::shared_ptr<const media::SourceGate> gate,
                                           media::Transport transport, Duration limit);
  /// Ends a probe that runs, and all that come.
  void cancel() noexcept;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool cancelled_ = false;
};

}  // namespace gantry::server
