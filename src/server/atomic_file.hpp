#pragma once
#include <sys/types.h>

#include <filesystem>
#include <string_view>

#include "gantry/core/result.hpp"

namespace gantry::server {

/// Replaces `file` as a whole: a reader, or a machine that loses power, sees the old content or the new, never a mix.
[[nodiscard]] Result<void> write_file_atomically(const std::filesystem::path& file, std::string_view content,
                                                 mode_t mode);
/// Takes away what writers of `file` that were killed have left beside it. Only where nobody else writes it.
void remove_leftovers(const std::filesystem::path& file) noexcept;

}  // namespace gantry::server
