#include "cli/file_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gantry/core/errors.hpp"

namespace gantry::cli {
namespace {

using Now = std::chrono::steady_clock::time_point;
namespace fs = std::filesystem;

constexpr std::uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::optional<std::string> read(const fs::path& file) {
  std::ifstream stream{file, std::ios::binary};
  if (!stream) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>{stream}, {}};
}

/// What tells a file that was written or replaced from the one before, without reading it.
struct Mark {
  ino_t inode = 0;
  off_t size = -1;
  std::int64_t changed_ns = 0;
  friend bool operator==(const Mark&, const Mark&) = default;
};
Mark mark_of(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec};
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path{"."};
}

}  // namespace

class FileWatch::Impl {
 public:
  Impl(fs::path file, Changed changed, FileWatchOptions options)
      : file_(std::move(file)), changed_(std::move(changed)), options_(options) {
    stop_event_ = ::eventfd(0, EFD_CLOEXEC);
    inotify_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (stop_event_ < 0 || inotify_ < 0) {
      close_all();
      throw StartupError(file_.string() +
                         " can't be watched: no inotify instance or descriptor is left; raise "
                         "fs.inotify.max_user_instances, or set reload.watch: false");
    }
    arm();
    known_ = read(file_);
    seen_ = looked_ = mark_of(file_);
    thread_ = std::thread{[this] { run(); }};
  }
  ~Impl() {
    const std::uint64_t one = 1;
    (void)!::write(stop_event_, &one, sizeof one);
    thread_.join();
    close_all();
  }

 private:
  void close_all() const {
    if (stop_event_ >= 0) ::close(stop_event_);
    if (inotify_ >= 0) ::close(inotify_);
  }

  /// Watches the folder of the file and, where it is a link, the folder it leads to. Watching a folder that is watched
  /// already changes nothing.
  void arm() {
    follow_ = fs::is_symlink(fs::symlink_status(file_, ignored_));
    ::inotify_add_watch(inotify_, folder_of(file_).c_str(), kEvents);
    if (!follow_) return;
    const auto target = fs::weakly_canonical(file_, ignored_);
    if (!target.empty()) ::inotify_add_watch(inotify_, folder_of(target).c_str(), kEvents);
  }

  /// Whether anything that came may have to do with the file.
  [[nodiscard]] bool drain() const {
    bool matters = false;
    alignas(inotify_event) std::array<char, 8192> buffer;
    for (;;) {
      const ssize_t got = ::read(inotify_, buffer.data(), buffer.size());
      if (got <= 0) return matters;
      for (const char* at = buffer.data(); at < buffer.data() + got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(at);
        matters = matters || is_ours(*event);
        at += sizeof(inotify_event) + event->len;
      }
    }
  }

  [[nodiscard]] bool is_ours(const inotify_event& event) const {
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW)) != 0) return true;
    if (follow_) return true;  // any link on the way may be swapped; the content decides
    if (event.len == 0 || file_.filename() != event.name) return false;
    if ((event.mask & IN_CREATE) == 0) return true;
    // A file that was just created is still empty and will be closed; a link is complete at once.
    struct stat info {};
    return ::lstat(file_.c_str(), &info) == 0 && (S_ISLNK(info.st_mode) || info.st_nlink > 1);
  }

  /// For network file systems, which tell of nothing: a file that is another than at the last reading and the same as
  /// at the look before has been replaced, and nobody is in the middle of it.
  [[nodiscard]] bool looks_changed() {
    const Mark now = mark_of(file_);
    const bool settled = now == std::exchange(looked_, now);
    return settled && now != seen_;
  }

  void take_in() {
    arm();
    seen_ = mark_of(file_);
    auto content = read(file_);
    if (content == known_) return;
    known_ = std::move(content);
    changed_();
  }

  void run() {
    bool pending = false;  // events wait to be taken in
    Now first{}, newest{};
    auto next_look = std::chrono::steady_clock::now() + options_.look_anyway;
    for (;;) {
      const auto over = [&] { return std::min(newest + options_.settle, first + options_.at_most); };
      const auto due = pending ? over() : next_look;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - std::chrono::steady_clock::now());
      std::array<pollfd, 2> ready{{{stop_event_, POLLIN, 0}, {inotify_, POLLIN, 0}}};
      const int got = ::poll(ready.data(), ready.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
      if (got < 0) continue;
      if (ready[0].revents != 0) return;
      const auto now = std::chrono::steady_clock::now();
      if (ready[1].revents != 0 && drain()) {
        newest = now;
        if (!pending) first = now;
        pending = true;
      }
      if (pending && now >= over()) {
        pending = false;
        take_in();
      }
      if (!pending && now >= next_look) {
        next_look = now + options_.look_anyway;
        if (looks_changed()) take_in();
      }
    }
  }

  const fs::path file_;
  const Changed changed_;
  const FileWatchOptions options_;
  int stop_event_ = -1;
  int inotify_ = -1;
  bool follow_ = false;
  std::error_code ignored_;
  std::optional<std::string> known_;
  Mark seen_, looked_;
  std::thread thread_;
};

FileWatch::FileWatch(fs::path file, Changed changed, FileWatchOptions options)
    : impl_(std::make_unique<Impl>(std::move(file), std::move(changed), options)) {}
FileWatch::~FileWatch() = default;

}  // namespace gantry::cli
