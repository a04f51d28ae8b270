#pragma once
// scene:// addresses as a media::Source.
#include <memory>

#include "gantry/media/source_factory.hpp"
#include "gantry/scene/options.hpp"

namespace gantry::scene {

/// Raw NV12 packets of a simulated camera (options.hpp has the address). Buffers come from a pool of the source's own
/// that grows to what the reader holds at once and then allocates no more; they may outlive the source.
/// Paced by the clock where the address says pace=live, where it has no `for`, or where the reader asks for live
/// pacing; such cameras share one world by scene, seed, density, hour and incidents. Otherwise every frame comes as
/// fast as it can be drawn and the same address gives the same bytes.
/// @throws MediaError for an address that can't be understood
[[nodiscard]] std::unique_ptr<media::Source> make_scene_source(const media::SourceConfig& config);

/// Makes scene:// known to media::make_source. Idempotent.
void register_scene_sources();

}  // namespace gantry::scene
