#pragma once
// FFmpeg's interrupt callback: cancel from any thread, a hard time-out, and a word when packets stay away.
#include <atomic>
#include <functional>

#include "gantry/core/clock.hpp"
#include "media/av.hpp"

namespace gantry::media {

class Interrupt {
 public:
  explicit Interrupt(std::function<void()> on_stall) : on_stall_(std::move(on_stall)) {}

  /// Starts one blocking call of FFmpeg's: it gives up after `timeout`, and `on_stall` comes after `stall_after`.
  /// Zero: never.
  void arm(Duration timeout, Duration stall_after = {}) noexcept {
    started_ = clock_.now();
    timeout_ = timeout;
    stall_after_ = stall_after;
    timed_out_ = false;
    stopped_otherwise_ = false;
  }
  /// Another reason to give up; asked on FFmpeg's thread.
  void also_stops(std::function<bool()> reason) { reason_ = std::move(reason); }
  /// That reason came true since arm().
  [[nodiscard]] bool stopped_otherwise() const noexcept { return stopped_otherwise_; }
  void cancel() noexcept { cancelled_.store(true, std::memory_order_release); }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
  [[nodiscard]] AVIOInterruptCB callback() noexcept { return {&Interrupt::ask, this}; }

 private:
  static int ask(void* self) noexcept { return static_cast<Interrupt*>(self)->should_stop() ? 1 : 0; }
  bool should_stop() noexcept {
    if (cancelled()) return true;
    if (reason_ && reason_()) stopped_otherwise_ = true;
    if (stopped_otherwise_) return true;
    const Duration waited = clock_.now() - started_;
    if (timeout_ > Duration::zero() && waited >= timeout_) timed_out_ = true;
    if (stall_after_ > Duration::zero() && waited >= stall_after_) {
      stall_after_ = {};
      if (on_stall_) on_stall_();
    }
    return timed_out_;
  }

  SteadyClock clock_;
  std::function<void()> on_stall_;
  std::function<bool()> reason_;
  std::atomic<bool> cancelled_{false};
  TimePoint started_{};
  Duration timeout_{};
  Duration stall_after_{};
  bool timed_out_ = false;
  bool stopped_otherwise_ = false;
};

}  // namespace gantry::media
