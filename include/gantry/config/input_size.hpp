#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace gantry::config {

/// The network's input as the user asks for it: "auto" (the smallest rectangle around the letterboxed picture, like
/// Ultralytics' rect), "640" (a square), or "640x384" (width x height).
struct InputSize {
  int width = 0;  ///< pixels; 0 x 0 is "auto"
  int height = 0;
  [[nodiscard]] bool automatic() const noexcept { return width == 0; }
  friend bool operator==(const InputSize&, const InputSize&) = default;
};

inline constexpr int kMinInputSide = 32;
inline constexpr int kMaxInputSide = 4096;

/// Nothing where the text is none of the three forms or a side is outside 32…4096.
[[nodiscard]] std::optional<InputSize> parse_input_size(std::string_view text) noexcept;
[[nodiscard]] std::string to_string(InputSize size);

}  // namespace gantry::config
