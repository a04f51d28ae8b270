#include "server/events.hpp"

#include <algorithm>

namespace gantry::server {

class EventLog::Reader final : public Stream {
 public:
  Reader(std::shared_ptr<EventLog> log, EventFilter filter, std::uint64_t next, bool restarted, Form form)
      : log_(std::move(log)), filter_(std::move(filter)), next_(next), restarted_(restarted), form_(form) {}

  void on_ready(std::function<void()> wake) override { wake_ = std::move(wake); }

  Poll poll(std::string& out) override {
    out.clear();
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock{log_->mutex_};
    const std::uint64_t oldest = log_->next_ - log_->ring_.size();
    if (next_ < oldest || restarted_) tell_missed(oldest, out);
    // A few events a chunk: little overhead for the quick, little memory for the slow.
    constexpr std::size_t kChunk = 32 * 1024;
    const std::size_t most = form_ == Form::kWebSocket ? 1 : kChunk;  // a message holds one
    while (next_ < log_->next_ && out.size() < most) {
      const Event& event = log_->ring_[static_cast<std::size_t>(next_++ - oldest)];
      if (!wanted(event)) continue;
      append(event.id, event.type, *event.json, out);
    }
    if (out.empty() && form_ == Form::kServerSent && now - said_ > kSilence) out = ": still here\n\n";
    if (!out.empty()) {
      said_ = now;
      return Poll::kData;
    }
    if (armed_ != log_->wakes_ + 1) {
      armed_ = log_->wakes_ + 1;
      log_->sleepers_.push_back(wake_);
    }
    return Poll::kWait;
  }

 private:
  static constexpr std::chrono::seconds kSilence{15};  // proxies close what is silent for longer

  void tell_missed(std::uint64_t oldest, std::string& out) {
    const std::uint64_t missed = oldest > next_ ? oldest - next_ : 0;
    log_->missed_.fetch_add(missed, std::memory_order_relaxed);
    std::string text = R"({"type":"missed","count":)" + std::to_string(missed);
    text += std::string(R"(,"restarted":)") + (restarted_ ? "true}" : "false}");
    next_ = std::max(next_, oldest);
    restarted_ = false;
    append(next_ == 0 ? 0 : next_ - 1, "missed", text, out);
  }

  void append(std::uint64_t id, const std::string& type, const std::string& json, std::string& out) const {
    if (form_ == Form::kWebSocket) {
      out = json;
      return;
    }
    out += "id: " + std::to_string(id) + "\nevent: " + type + "\ndata: " + json + "\n\n";
  }

  bool wanted(const Event& event) const {
    if (!filter_.cameras.empty() && !filter_.cameras.contains(event.camera)) return false;
    if (!filter_.types.empty() && !filter_.types.contains(event.type)) return false;
    if (filter_.classes.empty() || event.type != "detections") return true;
    return std::any_of(event.classes.begin(), event.classes.end(),
                       [&](int id) { return filter_.classes.contains(id); });
  }

  const std::shared_ptr<EventLog> log_;
  const EventFilter filter_;
  std::uint64_t next_;
  bool restarted_;
  const Form form_;
  std::function<void()> wake_;
  std::uint64_t armed_ = 0;  // which wake-up it waits for, from 1
  std::chrono::steady_clock::time_point said_ = std::chrono::steady_clock::now();
};

/// What an event holds, to within what the allocator adds.
std::size_t EventLog::bytes_of(const Event& event) {
  return sizeof(Event) + event.classes.capacity() * sizeof(int) + sizeof(std::string) + event.json->capacity();
}

std::size_t EventLog::bytes() const {
  const std::lock_guard lock{mutex_};
  return bytes_;
}

void EventLog::publish(std::string type, std::string camera, std::vector<int> classes, const std::string& fields) {
  std::vector<std::function<void()>> sleepers;
  {
    const std::lock_guard lock{mutex_};
    const std::string head = "{\"id\":" + std::to_string(next_) + ",\"type\":\"" + type + "\",";
    std::string json;
    json.reserve(head.size() + fields.size() + 1);  // it is kept for long, so it takes no more than it needs
    json.append(head).append(fields).append("}");
    ring_.push_back({next_++, std::move(type), std::move(camera), std::move(classes),
                     std::make_shared<const std::string>(std::move(json))});
    bytes_ += bytes_of(ring_.back());
    while (ring_.size() > limits_.events || (bytes_ > limits_.bytes && ring_.size() > 1)) {
      bytes_ -= bytes_of(ring_.front());
      ring_.pop_front();
    }
    ++wakes_;
    sleepers.swap(sleepers_);
  }
  for (const auto& wake : sleepers) wake();
}

void EventLog::wake_all() {
  std::vector<std::function<void()>> sleepers;
  {
    const std::lock_guard lock{mutex_};
    ++wakes_;
    sleepers.swap(sleepers_);
  }
  for (const auto& wake : sleepers) wake();
}

std::shared_ptr<Stream> EventLog::reader(EventFilter filter, std::optional<std::uint64_t> after, Form form) {
  std::uint64_t next = 0;
  bool restarted = false;
  {
    const std::lock_guard lock{mutex_};
    next = after && *after < next_ ? *after + 1 : next_;
    if (next < first_) {
      next = first_;
      restarted = true;
    }
  }
  return std::make_shared<Reader>(shared_from_this(), std::move(filter), next, restarted, form);
}

}  // namespace gantry::server
