#include "scene/world_feed.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::scene {

WorldFeed::WorldFeed(const WorldOptions& options) : impl_(std::make_unique<Impl>(options)) {}
WorldFeed::~WorldFeed() = default;

WorldFeed::Impl::Impl(const WorldOptions& options) : world_(options), ring_(kMemory) {
  world_.snapshot(ring_[0]);
}

void WorldFeed::Impl::advance(std::int64_t to_ms) {
  const std::int64_t target = (to_ms + kGridMs - 1) / kGridMs;
  while (newest_ < target) {
    ++newest_;
    world_.advance_to(newest_ * kGridMs);
    world_.snapshot(ring_[static_cast<std::size_t>(newest_) % kMemory]);
  }
  world_.take_events(fresh_);
  for (WorldEvent& e : fresh_) events_.push_back(std::move(e));
  while (!events_.empty() && events_.front().at_ms < newest_ * kGridMs - 10'000) {
    events_.pop_front();
    ++events_begin_;
  }
}

void WorldFeed::Impl::at(double ms, Snapshot& out) {
  const std::lock_guard lock(mutex_);
  ms = std::max(ms, 0.0);
  advance(static_cast<std::int64_t>(std::ceil(ms)));
  const std::int64_t oldest = std::max<std::int64_t>(0, newest_ - static_cast<std::int64_t>(kMemory) + 2);
  std::int64_t below = static_cast<std::int64_t>(ms) / kGridMs;
  if (below < oldest) {
    below = oldest;
    ms = static_cast<double>(oldest * kGridMs);
  }
  const std::int64_t above = std::min(below + 1, newest_);
  interpolate(ring_[static_cast<std::size_t>(below) % kMemory], ring_[static_cast<std::size_t>(above) % kMemory], ms,
              out);
}

void WorldFeed::Impl::events_until(double ms, std::uint64_t& cursor, std::vector<WorldEvent>& out) {
  const std::lock_guard lock(mutex_);
  out.clear();
  cursor = std::max(cursor, events_begin_);
  while (cursor - events_begin_ < events_.size()) {
    const WorldEvent& e = events_[static_cast<std::size_t>(cursor - events_begin_)];
    if (static_cast<double>(e.at_ms) > ms) break;
    out.push_back(e);
    ++cursor;
  }
}

std::uint64_t WorldFeed::Impl::event_end() {
  const std::lock_guard lock(mutex_);
  return events_begin_ + events_.size();
}

}  // namespace gantry::scene
