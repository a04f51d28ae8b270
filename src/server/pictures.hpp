#pragma once
// Newest pictures as JPEG: made on a thread of its own, once a frame however many ask, and only while somebody asks.
// Thread-safe.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/media/jpeg.hpp"
#include "gantry/server/http.hpp"
#include "server/boxes.hpp"
#include "server/worker.hpp"

namespace gantry::server {

struct Picture {
  CameraId camera = 0;
  std::uint64_t seq = 0;
  std::shared_ptr<const std::string> jpeg;  ///< null: nothing to show
};

class PictureBook : public std::enable_shared_from_this<PictureBook> {
 public:
  /// Called once, at once or on the book's thread.
  using Done = std::function<void(Result<Picture>)>;
  /// The book may outlive neither `system`; streams that outlive close() end.
  explicit PictureBook(const app::System& system) : system_(system) {}
  /// Nothing touches the system after this.
  void close();

  /// A camera that has no picture yet, or none any more, has one without a JPEG; only an unknown one is kNotFound.
  void newest(const std::string& camera, bool boxes, const Done& done);
  /// Multipart stream of pictures, newest wins; ends when the camera goes. Pictures come at most 12 times a second.
  [[nodiscard]] std::shared_ptr<Stream> live(const std::string& camera, bool boxes);
  static constexpr const char* kLiveType = "multipart/x-mixed-replace; boundary=gantryframe";

  /// To be called with every result: makes the next picture where somebody watches.
  void on_result(const std::string& camera);
  /// Lets go of pictures of cameras that are gone.
  void tidy();

 private:
  class Live;
  using Key = std::pair<std::string, bool>;  ///< camera, with boxes
  struct Entry {
    Picture picture;
    std::vector<Done> waiting;
    std::vector<std::weak_ptr<Live>> watchers;
    bool queued = false;
    std::chrono::steady_clock::time_point made{};
  };
  void make_soon(const Key& key, Entry& entry);  // with mutex_ held
  void make(const Key& key);                     // on the worker
  [[nodiscard]] Result<Picture> encode(const Key& key);
  [[nodiscard]] Result<Picture> nothing_of(const std::string& camera) const;
  [[nodiscard]] Picture current(const Key& key);

  const app::System& system_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
  media::JpegEncoder encoder_;  // the worker's
  BoxPainter painter_;          // the worker's
  std::vector<std::uint8_t> buffer_;
  std::unique_ptr<Worker> worker_ = std::make_unique<Worker>(4096);
};

}  // namespace gantry::server
