#pragma once
// Plays a plan's ops in some order over an arena of which every byte remembers which buffer's image wrote it, and says
// where an op would read something else: an independent proof of the liveness planner.
#include <optional>
#include <string>
#include <vector>

#include "gantry/engine/graph/plan.hpp"

namespace gantry::test {

class ArenaSim {
 public:
  ArenaSim(const graph::Plan& plan, int batch)
      : plan_(plan), batch_(batch), owners_(plan.arena_bytes(batch) / kGrain) {}

  /// One op for the images of a sub-batch. The first fault, if any.
  std::optional<std::string> play(int op, int first_image, int images) {
    const graph::Op& played = plan_.ops[static_cast<std::size_t>(op)];
    std::vector<graph::View> reads = played.inputs;
    if (const auto* conv = played.as<graph::ConvOp>(); conv != nullptr && conv->residual)
      reads.push_back(*conv->residual);
    // Reads and writes of one op overlap in time: nothing that it reads may lie where it writes.
    for (int image = first_image; image < first_image + images; ++image) {
      for (const graph::View& view : reads)
        if (auto fault = visit(view, image, false)) return played.name + " reads " + *fault;
      for (const graph::View& view : played.outputs)
        if (auto fault = visit(view, image, true)) return played.name + " writes " + *fault;
      for (const graph::View& view : reads)
        if (auto fault = visit(view, image, false)) return played.name + " overwrites what it reads: " + *fault;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kGrain = 16;  ///< bytes; views start and end at whole grains of a pixel
  struct Owner {
    int buffer = -1, image = -1;
  };

  std::optional<std::string> visit(const graph::View& view, int image, bool write) {
    const graph::Buffer& buffer = plan_.buffers[static_cast<std::size_t>(view.buffer)];
    if (buffer.external) return std::nullopt;
    int slot = image;
    if (buffer.segment >= 0) slot = image % plan_.segments[static_cast<std::size_t>(buffer.segment)].images(batch_);
    const std::size_t start = plan_.offset_of(view.buffer, batch_) + static_cast<std::size_t>(slot) * buffer.bytes();
    const std::size_t element = graph::size_of(buffer.type);
    for (int pixel = 0; pixel < buffer.height * buffer.width; ++pixel) {
      const std::size_t from = start + (static_cast<std::size_t>(pixel) * static_cast<std::size_t>(buffer.pitch) +
                                        static_cast<std::size_t>(view.channel)) *
                                           element;
      const std::size_t to = from + static_cast<std::size_t>(view.channels) * element;
      for (std::size_t grain = from / kGrain; grain < (to + kGrain - 1) / kGrain; ++grain) {
        if (grain >= owners_.size()) return buffer.name + " beyond the arena";
        Owner& owner = owners_[grain];
        if (write) {
          owner.buffer = view.buffer;
          owner.image = image;
        } else if (owner.buffer != view.buffer || owner.image != image) {
          return buffer.name + " of image " + std::to_string(image) + ", pixel " + std::to_string(pixel) +
                 ", where buffer " + std::to_string(owner.buffer) + " of image " + std::to_string(owner.image) +
                 " lies";
        }
      }
    }
    return std::nullopt;
  }

  const graph::Plan& plan_;
  int batch_;
  std::vector<Owner> owners_;
};

}  // namespace gantry::test
