#include "cli/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "gantry/core/errors.hpp"

namespace gantry::cli {

SignalWatch::SignalWatch(std::initializer_list<int> signals, std::function<void(int)> handler) {
  sigemptyset(&watched_);
  for (const int signal : signals) sigaddset(&watched_, signal);
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  stop_event_ = ::eventfd(0, EFD_CLOEXEC);
  signal_fd_ = ::signalfd(-1, &watched_, SFD_CLOEXEC);
  if (stop_event_ < 0 || signal_fd_ < 0) throw StartupError("no file descriptors left; raise the limit (ulimit -n)");
  thread_ = std::thread{[this, handler = std::move(handler)] { run(handler); }};
}

SignalWatch::~SignalWatch() {
  const std::uint64_t one = 1;
  (void)!::write(stop_event_, &one, sizeof one);
  thread_.join();
  ::close(stop_event_);
  ::close(signal_fd_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void SignalWatch::run(const std::function<void(int)>& handler) {
  bool asked_to_end = false;
  while (true) {
    std::array<pollfd, 2> ready{{{stop_event_, POLLIN, 0}, {signal_fd_, POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[0].revents != 0) return;
    signalfd_siginfo info{};
    if (::read(signal_fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    const bool end = signal == SIGINT || signal == SIGTERM;
    if (end && asked_to_end) std::_Exit(128 + signal);
    asked_to_end = asked_to_end || end;
    handler(signal);
  }
}

}  // namespace gantry::cli
