#pragma once
// Which input rectangle the frames of a camera run in. The best one for each picture size is the model's own answer
// (Backend::shape_for); but each rectangle costs a compilation, memory, and batches that cannot be shared. So a picture
// size joins a rectangle that is there already where that is nearly as small, and where it is not, its frames run in
// the best of those that are there while a thread in the background gets theirs ready: no camera waits for another
// camera's new resolution.
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/scheduler/dispatcher.hpp"

namespace gantry::app {

/// The one of `ready` that holds `ideal` and is at most a tenth larger; the smallest such.
[[nodiscard]] std::optional<engine::InputShape> nearly_as_good(const std::set<engine::InputShape>& ready,
                                                               engine::InputShape ideal);
/// The one of `ready` that shows most of a picture of this size, and of those the smallest. @pre ready is not empty
[[nodiscard]] engine::InputShape best_of(const std::set<engine::InputShape>& ready, int width, int height);

/// Thread-safe. Device n of the dispatcher runs backends[n].
class ShapeBook {
 public:
  ShapeBook(std::vector<engine::Backend*> backends, scheduler::Dispatcher& dispatcher, int max_batch, LogFn log);
  ~ShapeBook();
  /// Wakes whoever waits, with nothing, and makes no more shapes. Idempotent; what is ready stays.
  void stop() noexcept;
  ShapeBook(const ShapeBook&) = delete;
  ShapeBook& operator=(const ShapeBook&) = delete;

  /// Gets the shape of pictures of that size ready before the first of them comes; returns at once.
  void expect(int width, int height);
  /// Waits only where no shape at all is ready yet; nothing where none can be made.
  [[nodiscard]] std::optional<scheduler::ShapeId> shape_for(int width, int height);
  /// Measures the batch profiles of every shape that is ready anew, in the background.
  void measure_again();

 private:
  using Size = std::pair<int, int>;
  void run();
  /// Gets one shape ready on every device, or measures it anew; false, and said why, where that fails.
  [[nodiscard]] bool prepare(engine::InputShape shape);
  [[nodiscard]] std::optional<scheduler::ShapeId> assign(Size size);

  const std::vector<engine::Backend*> backends_;
  scheduler::Dispatcher& dispatcher_;
  const int max_batch_;
  const LogFn log_;

  std::shared_mutex sizes_mutex_;  // innermost
  std::map<Size, scheduler::ShapeId> sizes_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<engine::InputShape> ready_;
  std::set<engine::InputShape> failed_;
  std::set<engine::InputShape> wanted_;  // the largest of them is being made
  std::set<engine::InputShape> stale_;   // to be measured anew
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace gantry::app
