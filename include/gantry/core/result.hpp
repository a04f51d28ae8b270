#pragma once
// Result<T>: the value of an operation that is expected to fail now and then (end of stream, corrupt packet, refused
// connection). Programmer errors and failures at start throw instead. C++20 has no std::expected; the names are its.
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "gantry/core/expects.hpp"

namespace gantry {

enum class ErrorCode {
  kEndOfStream,   ///< nothing more will come; not a fault
  kCancelled,     ///< the caller asked to stop
  kTimeout,       ///< a hard time-out passed
  kNetwork,       ///< refused, unreachable, reset
  kUnauthorized,  ///< credentials missing or wrong
  kNotFound,      ///< no such file, stream or name
  kCorrupt,       ///< input that can't be understood
  kUnsupported,   ///< understood and not handled
  kExhausted,     ///< a pool or limit is used up
  kInvalid,       ///< a value outside its range
  kDevice,        ///< the device or its driver failed
};

[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

/// What went wrong and what to do about it. `message` names the file, camera, line or key and never a secret.
struct Error {
  ErrorCode code = ErrorCode::kInvalid;
  std::string message;
};

/// Wraps an Error on its way into a Result, like std::unexpected.
template <typename E = Error>
struct Unexpected {
  E error;
};
[[nodiscard]] inline Unexpected<Error> fail(ErrorCode code, std::string message) {
  return {Error{code, std::move(message)}};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit like std::expected
  Result(Unexpected<Error> unexpected) : state_(std::in_place_index<1>, std::move(unexpected.error)) {}  // NOLINT

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// @pre has_value()
  [[nodiscard]] T& value() & {
    GANTRY_EXPECTS(has_value(), error().message);
    return std::get<0>(state_);
  }
  [[nodiscard]] const T& value() const& {
    GANTRY_EXPECTS(has_value(), error().message);
    return std::get<0>(state_);
  }
  [[nodiscard]] T&& value() && {
    GANTRY_EXPECTS(has_value(), error().message);
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// @pre !has_value()
  [[nodiscard]] const Error& error() const& { return std::get<1>(state_); }
  [[nodiscard]] Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Unexpected<Error> unexpected) : error_(std::move(unexpected.error)) {}  // NOLINT: implicit like std::expected
  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] const Error& error() const& { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace gantry
