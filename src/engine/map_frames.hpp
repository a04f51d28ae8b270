#pragma once
// The step before a batch runs on a card: pictures that decoders keep there are fetched.
#include <vector>

#include "gantry/engine/backend.hpp"

namespace gantry::engine {

/// Makes every frame's pixels readable on `stream` and lists the images, one an entry. A frame whose picture is gone
/// gets its `drop`, and a neighbour's image stands in its place, so that the batch keeps its order: its results are to
/// be thrown away. Nothing to do for pixels in host memory.
/// @param device where the batch runs: a frame whose picture lies on another card is dropped, not the batch. Such a
/// frame was on its way when its camera moved
/// @param images keeps its capacity
/// @returns how many can be run; 0: `images` is of no use
[[nodiscard]] inline int map_frames(Batch& batch, int device, void* stream, std::vector<const Image*>& images) {
  images.clear();
  const Image* readable = nullptr;
  int count = 0;
  for (BatchEntry& entry : batch.entries) {
    const Image& image = entry.frame.image;
    const bool stranger = image.space == MemorySpace::kDevice && image.device != device;
    const Result<void> mapped = stranger ? fail(ErrorCode::kInvalid, "on another card") : entry.frame.map(stream);
    images.push_back(mapped ? &entry.frame.image : nullptr);
    if (mapped) {
      readable = &entry.frame.image;
      ++count;
    } else {
      entry.drop = stranger                                       ? Outcome::kEngineError
                   : mapped.error().code == ErrorCode::kExhausted ? Outcome::kSuperseded
                                                                  : Outcome::kDecodeError;
    }
  }
  for (const Image*& image : images)
    if (image == nullptr) image = readable;
  return count;
}

}  // namespace gantry::engine
