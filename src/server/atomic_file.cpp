#include "server/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace gantry::server {
namespace {

Unexpected<Error> system_error(const std::filesystem::path& file, const char* what) {
  return fail(ErrorCode::kInvalid, file.string() + ": " + what + ": " + std::strerror(errno));
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}
/// What the names of temporary files begin with; six letters follow.
std::string beside(const std::filesystem::path& file) {
  return "." + file.filename().string() + ".";
}

}  // namespace

void remove_leftovers(const std::filesystem::path& file) noexcept {
  try {
    const std::string begin = beside(file);
    std::error_code error;
    for (std::filesystem::directory_iterator it{folder_of(file), error}, end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.starts_with(begin) && name.size() == begin.size() + 6) std::filesystem::remove(it->path(), error);
    }
  } catch (const std::exception&) {
    return;  // they only take up room
  }
}

Result<void> write_file_atomically(const std::filesystem::path& file, std::string_view content, mode_t mode) {
  const auto folder = folder_of(file);
  std::string temporary = (folder / (beside(file) + "XXXXXX")).string();
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) return system_error(file, "can't write beside it");
  bool good = ::fchmod(descriptor, mode) == 0;
  for (std::size_t done = 0; good && done < content.size();) {
    const ssize_t wrote = ::write(descriptor, content.data() + done, content.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    good = wrote > 0;
    if (good) done += static_cast<std::size_t>(wrote);
  }
  good = good && ::fsync(descriptor) == 0;
  good = ::close(descriptor) == 0 && good;
  good = good && ::rename(temporary.c_str(), file.c_str()) == 0;
  if (!good) {
    auto error = system_error(file, "can't be replaced");
    ::unlink(temporary.c_str());
    return error;
  }
  // The rename itself must reach the disk too.
  const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return {};
}

}  // namespace gantry::server
