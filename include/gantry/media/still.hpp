#pragma once
// One picture of a file, for measuring models and calibrating them.
#include <string>

#include "gantry/core/frame.hpp"

namespace gantry::media {

/// Opens `file` and reads its one picture; the Frame owns the pixels. Thread-safe.
/// @throws MediaError where it can't be read or is no still picture
[[nodiscard]] Frame read_still(const std::string& file);

}  // namespace gantry::media
