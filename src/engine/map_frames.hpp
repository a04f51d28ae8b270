#pragma once
// The step before a batch runs on a card: pictures that decoders keep there are fetched.
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

/// Makes every frame's pixels readable on `stream` and lists the images, one an entry. A frame whose picture is gone
/// gets its `drop`, and a neighbour's image stands in its place, so that the batch keeps its order: its results are to
/// be thrown away. Nothing to do for pixels in host memory.
/// @param images keeps its capacity
/// @returns how many can be run; 0: `images` is of no use
[[nodiscard]] inline int map_frames(Batch& batch, void* stream, std::vector<const Image*>& images) {
  images.clear();
  const Image* readable = nullptr;
  int count = 0;
  for (BatchEntry& entry : batch.entries) {
    const Result<void> mapped = entry.frame.map(stream);
    images.push_back(mapped ? &entry.frame.image : nullptr);
    if (mapped) {
      readable = &entry.frame.image;
      ++count;
    } else {
      entry.drop = mapped.error().code == ErrorCode::kExhausted ? Outcome::kSuperseded : Outcome::kDecodeError;
    }
  }
  for (const Image*& image : images)
    if (image == nullptr) image = readable;
  return count;
}

}  // namespace gantry::engine
