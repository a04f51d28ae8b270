#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "gantry/core/errors.hpp"
#include "gantry/sinks/jsonl.hpp"

namespace gantry::sinks {
namespace {

std::string reason() {
  return std::strerror(errno);
}  // NOLINT(concurrency-mt-unsafe): glibc's is per thread

}  // namespace

LineFile::LineFile(std::string path, Mode mode) : path_(std::move(path)) {
  if (auto opened = open(mode); !opened) throw StartupError(opened.error().message);
}

LineFile::~LineFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<void> LineFile::open(Mode mode) {
  if (path_ == "-") {
    descriptor_ = STDOUT_FILENO;
    return {};
  }
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | (mode == Mode::kReplace ? O_TRUNC : O_APPEND);
  descriptor_ = ::open(path_.c_str(), flags, 0644);
  if (descriptor_ < 0) return fail(ErrorCode::kInvalid, path_ + ": can't be written: " + reason());
  // A line that a crash or a full disk cut short must not swallow the next one.
  char last = '\n';
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  if (size > 0 && ::pread(descriptor_, &last, 1, size - 1) == 1 && last != '\n') return write("\n");
  return {};
}

Result<void> LineFile::write(std::string_view lines) {
  while (!lines.empty()) {
    const auto written = ::write(descriptor_, lines.data(), lines.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(ErrorCode::kExhausted, path_ + ": can't be written: " + reason());
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> LineFile::reopen() {
  if (path_ == "-") return {};
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  descriptor_ = -1;
  return open(Mode::kAppend);
}

}  // namespace gantry::sinks
