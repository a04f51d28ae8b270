#pragma once
// Tells when a file's content has become different, however it was replaced: written in place, renamed over, swapped
// through a symbolic link (as container platforms do), or removed.
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

namespace gantry::cli {

struct FileWatchOptions {
  std::chrono::milliseconds settle{300};        ///< without another event for this long a change is over…
  std::chrono::milliseconds at_most{3000};      ///< …or this long after its first event
  std::chrono::milliseconds look_anyway{5000};  ///< for file systems that tell nobody about changes
};

/// From construction to destruction `changed` is called on a thread of this object, one call for each burst of changes
/// after which the file's content is another than before. Touching a file, or writing the same content, is no change.
/// A file that somebody still writes is not read: only its closing counts.
class FileWatch {
 public:
  using Changed = std::function<void()>;
  /// @param file need not exist. @throws StartupError where the kernel grants no watch
  FileWatch(std::filesystem::path file, Changed changed, FileWatchOptions options = {});
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gantry::cli
