#pragma once
#include <string>
#include <vector>

#include "gantry/app/offline.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::cli {

/// What the user named, as inputs: files, URLs, folders of pictures; of a folder without pictures its videos, sorted.
/// Each has a name of its own: the file's without ending, or the URL's host and path; a second "x" becomes "x_2".
/// @throws MediaError for a folder with neither
[[nodiscard]] std::vector<app::OfflineInput> make_inputs(const std::vector<std::string>& named,
                                                         const media::SourceConfig& like);

}  // namespace gantry::cli
