#pragma once
// The newest events of all cameras in a ring of bounded length and size; each reader has a place in it. Who is too slow
// loses the oldest and is told how many. Thread-safe.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gantry/server/http.hpp"

namespace gantry::server {

/// What a reader wants; empty sets want everything.
struct EventFilter {
  std::set<std::string> cameras;
  std::set<int> classes;        ///< detections events with at least one of them
  std::set<std::string> types;  ///< "detections", "state"
};

struct Event {
  std::uint64_t id = 0;
  std::string type;
  std::string camera;
  std::vector<int> classes;
  std::shared_ptr<const std::string> json;  ///< complete object, no line break
};

class EventLog : public std::enable_shared_from_this<EventLog> {
 public:
  struct Limits {
    std::size_t events = 16384;
    std::size_t bytes = 16U << 20U;
  };
  /// @param first id of the first event; larger than any that an earlier process gave
  explicit EventLog(std::uint64_t first) : EventLog(first, Limits{}) {}
  EventLog(std::uint64_t first, Limits limits) : limits_(limits), first_(first), next_(first) {}

  /// @param fields the event's members as JSON text without braces: "\"seq\":7,…"
  void publish(std::string type, std::string camera, std::vector<int> classes, const std::string& fields);
  /// Lets sleeping readers look around; also forgets those that are gone.
  void wake_all();

  enum class Form { kServerSent, kWebSocket };
  /// @param after id of the last event that the reader has seen; nothing: only what comes from now on
  [[nodiscard]] std::shared_ptr<Stream> reader(EventFilter filter, std::optional<std::uint64_t> after, Form form);
  /// Memory of the events that are kept; grows up to Limits::bytes.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_.load(std::memory_order_relaxed); }

 private:
  class Reader;
  [[nodiscard]] static std::size_t bytes_of(const Event& event);
  const Limits limits_;
  const std::uint64_t first_;
  std::atomic<std::uint64_t> missed_{0};
  mutable std::mutex mutex_;
  std::deque<Event> ring_;  ///< ids without gaps, next_ - ring_.size() … next_ - 1
  std::size_t bytes_ = 0;
  std::uint64_t next_;
  std::uint64_t wakes_ = 0;
  std::vector<std::function<void()>> sleepers_;
};

}  // namespace gantry::server
