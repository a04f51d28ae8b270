#pragma once
// GANTRY_EXPECTS(condition, message): a precondition. A breach is a programmer's error and throws PreconditionError
// with file and line; the message says what to change.
#include <stdexcept>
#include <string>

namespace gantry {

class PreconditionError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace detail {
[[noreturn]] void precondition_failed(const char* expression, const char* file, int line, const std::string& message);
}

}  // namespace gantry

#define GANTRY_EXPECTS(condition, message)                                              \
  do {                                                                                  \
    if (!(condition)) [[unlikely]]                                                      \
      ::gantry::detail::precondition_failed(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
