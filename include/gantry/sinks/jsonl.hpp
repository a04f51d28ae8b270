#pragma once
// Results as JSON lines: a file that a program writes at its own pace, and a sink that a live server publishes into.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gantry/core/result.hpp"
#include "gantry/sinks/frame_result.hpp"

namespace gantry::sinks {

/// Unbuffered output of lines to a file or to standard output ("-"). Used by one thread at a time. A new file replaces
/// an old one or, with kAppend, is added to; an incomplete last line of an old file is ended first.
class LineFile {
 public:
  enum class Mode { kReplace, kAppend };
  /// @throws StartupError where the file can't be opened
  LineFile(std::string path, Mode mode);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  /// Takes whole lines. A line that a failure cut short is lost; reopen() ends it.
  [[nodiscard]] Result<void> write(std::string_view lines);
  /// Closes and opens the same path again, so that a rotated file is let go.
  [[nodiscard]] Result<void> reopen();
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  [[nodiscard]] Result<void> open(Mode mode);
  std::string path_;
  int descriptor_ = -1;
};

struct SinkStats {
  std::uint64_t accepted = 0;  ///< taken into the outbox
  std::uint64_t written = 0;
  std::uint64_t overflowed = 0;  ///< the outbox was full
  std::uint64_t failed = 0;      ///< could not be written
};

/// publish() copies into a bounded outbox and never waits for the disk; one thread writes. While the file fails,
/// results are counted as failed and one attempt a second is made. Thread-safe.
class JsonlSink {
 public:
  /// @throws StartupError where the file can't be opened
  JsonlSink(const std::string& path, std::vector<std::string> class_names, std::size_t outbox = 1024);
  /// Writes what is in the outbox.
  ~JsonlSink();
  JsonlSink(const JsonlSink&) = delete;
  JsonlSink& operator=(const JsonlSink&) = delete;

  void publish(const FrameResult& result);
  /// Lets go of a rotated file before the next line.
  void reopen();
  [[nodiscard]] SinkStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::sinks
