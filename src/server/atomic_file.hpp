#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "gantry/core/result.hpp"

namespace gantry::server {

/// Replaces `file` as a whole: a reader, or a machine that loses power, sees the old content or the new, never a mix.
[[nodiscard]] Result<void> write_file_atomically(const std::filesystem::path& file, std::string_view content,
                                                 mode_t mode);

}  // namespace gantry::server
