#pragma once
// A few threads over a known number of pieces of work.
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace gantry::precision {

/// work(0) … work(count - 1), each once, on as many threads as the machine has cores. What one of them throws first
/// comes out here.
template <typename Work>
void for_each_index(std::size_t count, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto run = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next = count;
    }
  };
  std::vector<std::jthread> threads;
  const std::size_t cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  for (std::size_t i = 1; i < std::min(cores, count); ++i) threads.emplace_back(run);
  run();
  threads.clear();
  if (error) std::rethrow_exception(error);
}

}  // namespace gantry::precision
