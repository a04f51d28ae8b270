#include "server/pictures.hpp"

#include <algorithm>

namespace gantry::server {
namespace {

constexpr std::chrono::milliseconds kLeastInterval{80};
constexpr int kQuality = 80;

}  // namespace

class PictureBook::Live final : public Stream {
 public:
  Live(std::shared_ptr<PictureBook> book, Key key) : book_(std::move(book)), key_(std::move(key)) {}

  void on_ready(std::function<void()> wake) override {
    wake_ = std::move(wake);
    const std::lock_guard lock{book_->mutex_};
    if (!book_->worker_) return;
    Entry& entry = book_->entries_[key_];
    entry.watchers.push_back(self);
    book_->make_soon(key_, entry);
  }
  Poll poll(std::string& out) override {
    const Picture picture = book_->current(key_);
    if (!picture.jpeg) return ended_ ? Poll::kEnd : Poll::kWait;
    if (shown_ && picture.seq == seq_ && picture.camera == camera_) return ended_ ? Poll::kEnd : Poll::kWait;
    // Browsers show a part when they see the boundary after it, so that comes at once and not with the next picture.
    out = shown_ ? "" : "--gantryframe\r\n";
    out += "Content-Type: image/jpeg\r\nContent-Length: " + std::to_string(picture.jpeg->size()) + "\r\n\r\n";
    out += *picture.jpeg;
    out += "\r\n--gantryframe\r\n";
    shown_ = true;
    seq_ = picture.seq;
    camera_ = picture.camera;
    return Poll::kData;
  }
  /// From any thread.
  void look() { wake_(); }
  void end() {
    ended_ = true;
    wake_();
  }

  std::weak_ptr<Live> self;

 private:
  const std::shared_ptr<PictureBook> book_;
  const Key key_;
  std::function<void()> wake_;
  std::atomic<bool> ended_{false};
  bool shown_ = false;
  std::uint64_t seq_ = 0;
  CameraId camera_ = 0;
};

void PictureBook::close() {
  std::unique_ptr<Worker> worker;
  std::map<Key, Entry> entries;
  {
    const std::lock_guard lock{mutex_};
    worker = std::move(worker_);
    entries.swap(entries_);
  }
  worker.reset();  // joins, without the lock that its task may want
  for (auto& [key, entry] : entries) {
    for (const auto& done : entry.waiting) done(fail(ErrorCode::kCancelled, "the server is stopping"));
    for (const auto& watcher : entry.watchers)
      if (const auto live = watcher.lock()) live->end();
  }
}

Picture PictureBook::current(const Key& key) {
  const std::lock_guard lock{mutex_};
  const auto found = entries_.find(key);
  return found == entries_.end() ? Picture{} : found->second.picture;
}

void PictureBook::newest(const std::string& camera, bool boxes, const Done& done) {
  const auto snapshot = system_.snapshot(camera);
  if (!snapshot) return done(nothing_of(camera));
  Picture ready;
  {
    const std::lock_guard lock{mutex_};
    if (!worker_) return done(fail(ErrorCode::kCancelled, "the server is stopping"));
    const Key key{camera, boxes};
    Entry& entry = entries_[key];
    const bool fresh = entry.picture.jpeg && entry.picture.camera == snapshot->result.camera_number &&
                       entry.picture.seq == snapshot->result.seq;
    if (fresh) {
      ready = entry.picture;
    } else {
      entry.waiting.push_back(done);
      make_soon(key, entry);
    }
  }
  if (ready.jpeg) done(ready);
}

std::shared_ptr<Stream> PictureBook::live(const std::string& camera, bool boxes) {
  auto stream = std::make_shared<Live>(shared_from_this(), Key{camera, boxes});
  stream->self = stream;
  return stream;
}

void PictureBook::on_result(const std::string& camera) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock{mutex_};
  for (const bool boxes : {false, true}) {
    const auto found = entries_.find({camera, boxes});
    if (found == entries_.end() || found->second.watchers.empty()) continue;
    if (now - found->second.made >= kLeastInterval) make_soon(found->first, found->second);
  }
}

void PictureBook::make_soon(const Key& key, Entry& entry) {
  if (entry.queued || !worker_) return;
  entry.queued = worker_->post([this, key] { make(key); });
}

void PictureBook::make(const Key& key) {
  {
    const std::lock_guard lock{mutex_};
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    found->second.queued = false;  // who asks from here on wants the frame after this one
    found->second.made = std::chrono::steady_clock::now();
  }
  auto made = encode(key);
  std::vector<Done> waiting;
  std::vector<std::shared_ptr<Live>> watchers;
  {
    const std::lock_guard lock{mutex_};
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (made) entry.picture = *made;
    waiting.swap(entry.waiting);
    std::erase_if(entry.watchers, [&](const auto& watcher) {
      if (auto live = watcher.lock()) watchers.push_back(std::move(live));
      return watcher.expired();
    });
  }
  for (const auto& done : waiting) done(made);
  for (const auto& live : watchers) live->look();
}

Result<Picture> PictureBook::nothing_of(const std::string& camera) const {
  if (!system_.config().cameras.contains(camera)) return fail(ErrorCode::kNotFound, "there is no camera " + camera);
  return Picture{};
}

Result<Picture> PictureBook::encode(const Key& key) {
  const auto snapshot = system_.snapshot(key.first);
  if (!snapshot) return nothing_of(key.first);
  if (snapshot->image.space == MemorySpace::kDevice)
    return fail(ErrorCode::kUnsupported, "the pictures of camera " + key.first + " stay on its GPU");
  const Image image = key.second ? painter_.paint(snapshot->image, snapshot->result.detections) : snapshot->image;
  if (auto encoded = encoder_.encode(image, kQuality, buffer_); !encoded) return Unexpected<Error>{encoded.error()};
  return Picture{snapshot->result.camera_number, snapshot->result.seq,
                 std::make_shared<const std::string>(buffer_.begin(), buffer_.end())};
}

void PictureBook::tidy() {
  std::vector<std::shared_ptr<Live>> ended;
  const auto cameras = system_.cameras();
  {
    const std::lock_guard lock{mutex_};
    for (auto it = entries_.begin(); it != entries_.end();) {
      Entry& entry = it->second;
      const bool gone =
          std::none_of(cameras.begin(), cameras.end(), [&](const auto& c) { return c.id == it->first.first; });
      std::erase_if(entry.watchers, [&](const auto& watcher) {
        auto live = watcher.lock();
        if (live && gone) ended.push_back(std::move(live));
        return watcher.expired() || gone;
      });
      it = gone && entry.waiting.empty() && !entry.queued ? entries_.erase(it) : std::next(it);
    }
  }
  for (const auto& live : ended) live->end();
}

}  // namespace gantry::server
