#pragma once
// Signals as ordinary calls on an ordinary thread.
#include <csignal>
#include <functional>
#include <initializer_list>
#include <thread>

namespace gantry::cli {

/// From construction to destruction the given signals no longer do what they do by themselves; instead `handler` is
/// called with the number, one at a time, on a thread of this object. Make it before any other thread, because threads
/// inherit what is blocked. The second SIGINT or SIGTERM within its life ends the process at once with 128 + number,
/// for the user who will not wait.
class SignalWatch {
 public:
  SignalWatch(std::initializer_list<int> signals, std::function<void(int)> handler);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void run(const std::function<void(int)>& handler);
  sigset_t watched_{};
  sigset_t before_{};
  int stop_event_ = -1;
  int signal_fd_ = -1;
  std::thread thread_;
};

}  // namespace gantry::cli
