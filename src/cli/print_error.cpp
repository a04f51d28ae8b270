#include <cstdio>
#include <string_view>

#include "cli/commands.hpp"

namespace gantry::cli {

void print_error(const char* message) {
  std::string_view rest = message;
  while (true) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    std::fprintf(stderr, "gantry: %.*s\n", static_cast<int>(line.size()), line.data());
    if (end == std::string_view::npos) return;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace gantry::cli
