#include "app/shape_book.hpp"

#include <algorithm>
#include <exception>
#include <string>

#include "app/useful_batch.hpp"

namespace gantry::app {
namespace {

long long area(engine::InputShape shape) {
  return static_cast<long long>(shape.width) * shape.height;
}

std::string text(engine::InputShape shape) {
  return std::to_string(shape.width) + "x" + std::to_string(shape.height);
}

}  // namespace

std::optional<engine::InputShape> nearly_as_good(const std::set<engine::InputShape>& ready, engine::InputShape ideal) {
  std::optional<engine::InputShape> best;
  for (const auto shape : ready) {
    const bool holds = shape.width >= ideal.width && shape.height >= ideal.height;
    if (holds && area(shape) * 10 <= area(ideal) * 11 && (!best || area(shape) < area(*best))) best = shape;
  }
  return best;
}

engine::InputShape best_of(const std::set<engine::InputShape>& ready, int width, int height) {
  const auto scale = [&](engine::InputShape shape) {
    return std::min(static_cast<double>(shape.width) / width, static_cast<double>(shape.height) / height);
  };
  return *std::max_element(ready.begin(), ready.end(), [&](engine::InputShape a, engine::InputShape b) {
    return std::pair{scale(a), -area(a)} < std::pair{scale(b), -area(b)};
  });
}

ShapeBook::ShapeBook(std::vector<engine::Backend*> backends, scheduler::Dispatcher& dispatcher, int max_batch,
                     LogFn log)
    : backends_(std::move(backends)), dispatcher_(dispatcher), max_batch_(max_batch), log_(std::move(log)) {
  thread_ = std::thread{[this] { run(); }};
}

ShapeBook::~ShapeBook() {
  stop();
}

void ShapeBook::stop() noexcept {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ShapeBook::expect(int width, int height) {
  const auto shape = backends_.front()->shape_for(width, height);
  {
    const std::lock_guard lock{mutex_};
    if (ready_.contains(shape) || failed_.contains(shape)) return;
    wanted_.insert(shape);
  }
  changed_.notify_all();
}

std::optional<scheduler::ShapeId> ShapeBook::shape_for(int width, int height) {
  {
    const std::shared_lock lock{sizes_mutex_};
    if (const auto known = sizes_.find({width, height}); known != sizes_.end()) return known->second;
  }
  return assign({width, height});
}

std::optional<scheduler::ShapeId> ShapeBook::assign(Size size) {
  const auto ideal = backends_.front()->shape_for(size.first, size.second);
  std::unique_lock lock{mutex_};
  if (!failed_.contains(ideal) && !nearly_as_good(ready_, ideal) && wanted_.insert(ideal).second) changed_.notify_all();
  changed_.wait(lock, [&] { return !ready_.empty() || failed_.contains(ideal) || stopping_; });
  if (ready_.empty()) return std::nullopt;
  const auto good = ready_.contains(ideal) ? ideal : nearly_as_good(ready_, ideal);
  const bool settled = good.has_value() || failed_.contains(ideal);
  const auto shape = good.value_or(best_of(ready_, size.first, size.second));
  const auto id = dispatcher_.shape_id(0, shape);
  // What is not settled is asked again with the next frame, so that it moves over as soon as its shape is ready.
  if (settled) {
    constexpr std::size_t kMostSizes = 4096;  // clients may hand in pictures of every size
    const std::unique_lock sizes{sizes_mutex_};
    if (sizes_.size() >= kMostSizes) sizes_.clear();
    sizes_[size] = id;
  }
  return id;
}

void ShapeBook::measure_again() {
  {
    const std::lock_guard lock{mutex_};
    stale_ = ready_;
  }
  changed_.notify_all();
}

void ShapeBook::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !wanted_.empty() || !stale_.empty(); });
    if (stopping_) return;
    if (wanted_.empty()) {
      const auto shape = *stale_.begin();
      lock.unlock();
      if (prepare(shape)) log_(Severity::kDebug, "input shape " + text(shape) + " is measured anew");
      lock.lock();
      stale_.erase(shape);
      continue;
    }
    // The largest first: smaller ones may do with it.
    const auto shape =
        *std::max_element(wanted_.begin(), wanted_.end(), [](auto a, auto b) { return area(a) < area(b); });
    if (!nearly_as_good(ready_, shape)) {
      lock.unlock();
      const bool made = prepare(shape);
      if (made) log_(Severity::kInfo, "input shape " + text(shape) + " is ready");
      lock.lock();
      (made ? ready_ : failed_).insert(shape);
    }
    wanted_.erase(shape);
    changed_.notify_all();
  }
}

bool ShapeBook::prepare(engine::InputShape shape) {
  try {
    for (std::size_t device = 0; device < backends_.size(); ++device) {
      auto& backend = *backends_[device];
      backend.prepare(shape, useful_batch(backend.capabilities(), max_batch_));
      dispatcher_.set_backend(static_cast<scheduler::DeviceId>(device), 0, backend);
    }
    return true;
  } catch (const std::exception& error) {
    log_(Severity::kError, "input shape " + text(shape) + " can't be made ready: " + error.what());
    return false;
  }
}

}  // namespace gantry::app
