#include "gantry/core/expects.hpp"

namespace gantry::detail {

void precondition_failed(const char* expression, const char* file, int line, const std::string& message) {
  throw PreconditionError(message + " [" + expression + " is false, " + file + ":" + std::to_string(line) + "]");
}

}  // namespace gantry::detail
