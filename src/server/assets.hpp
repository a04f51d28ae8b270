#pragma once
// The files of web/, built into the program.
#include <span>
#include <string_view>

namespace gantry::server {

struct Asset {
  std::string_view name;  ///< "app.js"
  std::string_view type;  ///< of its content
  std::string_view bytes;
};
[[nodiscard]] std::span<const Asset> assets() noexcept;

}  // namespace gantry::server
