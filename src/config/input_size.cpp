#include "gantry/config/input_size.hpp"

#include <charconv>

namespace gantry::config {
namespace {

std::optional<int> parse_side(std::string_view text) noexcept {
  int side = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (side < kMinInputSide || side > kMaxInputSide) return std::nullopt;
  return side;
}

}  // namespace

std::optional<InputSize> parse_input_size(std::string_view text) noexcept {
  if (text == "auto") return InputSize{};
  const auto cross = text.find('x');
  const auto width = parse_side(text.substr(0, cross));
  const auto height = cross == std::string_view::npos ? width : parse_side(text.substr(cross + 1));
  if (!width || !height) return std::nullopt;
  return InputSize{*width, *height};
}

std::string to_string(InputSize size) {
  if (size.automatic()) return "auto";
  if (size.width == size.height) return std::to_string(size.width);
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

}  // namespace gantry::config
