#pragma once
#include <memory>

#include "gantry/media/source_factory.hpp"

namespace gantry::media {

[[nodiscard]] std::unique_ptr<Source> make_ffmpeg_source(const SourceConfig& config);
[[nodiscard]] std::unique_ptr<Source> make_picture_source(const SourceConfig& config);

}  // namespace gantry::media
