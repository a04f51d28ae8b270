#pragma once
#include <span>
#include <string>
#include <string_view>

namespace gantry::config {

/// The candidate nearest to `word` by edit distance (case ignored), or "" where none is near enough to be a typing
/// error: at most two edits, or a third of the word's length, or one the beginning of the other.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean 'NEAREST'?", or "" where nothing is near: to be hung on an error message.
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace gantry::config
