#pragma once
// The thread that runs a Policy, without knowing what it schedules: items are numbered slots, batches are started
// through a Client. Dispatcher (camera frames on engine::Backends) and AdaptiveBatcher (a caller's function) are built
// on it; use those.
//
// Thread-safety: all public functions from any thread, except start, stop and the destructor (one thread, not from
// inside a Client call). Client calls are made without any lock held: run() on the core's thread, end() on the core's
// thread or on whatever thread calls finish(). Allocates nothing an item or batch once warm.
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/scheduler/histogram.hpp"
#include "gantry/scheduler/policy.hpp"

namespace gantry::scheduler {

struct DispatcherConfig {
  std::size_t max_frames = 16384;  ///< that wait or run at one time, 1…2^20
  /// A batch that has not come back after max(watchdog_min, watchdog_factor × predicted latency) is given up.
  Duration watchdog_min = std::chrono::seconds{2};
  double watchdog_factor = 20;  ///< >= 2
  /// How long stop() lets waiting frames try for their turn before it ends them with kShutdown.
  Duration stop_grace = std::chrono::seconds{5};
};

/// One class's counters since start.
struct ClassMetrics {
  FrameCounts frames;                            ///< received = submitted here
  const Histogram* queue_wait = nullptr;         ///< seconds from submit to start, of frames that ran
  const Histogram* latency = nullptr;            ///< seconds from captured_at to result
  const Histogram* slack_at_dispatch = nullptr;  ///< seconds from start to deadline
  double late_waste_seconds = 0;  ///< device time spent on results that came late (a batch's time over its size)
};

struct DeviceMetrics {
  std::string name;
  std::uint64_t batches = 0;
  std::uint64_t frames = 0;
  std::uint64_t errors = 0;        ///< batches that failed
  std::uint64_t timeouts = 0;      ///< batches given up by the watchdog
  std::uint64_t late_answers = 0;  ///< answers to batches already given up, or given twice
  double busy_seconds = 0;         ///< summed over batches
  const Histogram* batch_size = nullptr;
  const Histogram* prediction_error = nullptr;  ///< |actual - predicted| / predicted latency, a batch
};

/// A reading; the histograms live as long as the dispatcher.
struct DispatcherMetrics {
  std::array<ClassMetrics, kPriorityCount> classes;
  std::vector<DeviceMetrics> devices;
  std::uint64_t decisions = 0;
  const Histogram* decision_seconds = nullptr;
  std::uint64_t refused = 0;  ///< frames ended at once: max_frames reached, or stopped
};

class DispatchCore : public std::enable_shared_from_this<DispatchCore> {
 public:
  using Slot = std::uint32_t;

  struct Item {
    CameraId camera = 0;
    ShapeId shape = 0;
    Priority priority = Priority::kNormal;
    TimePoint captured_at{};
    TimePoint deadline{};
  };
  struct End {
    Outcome outcome = Outcome::kShutdown;
    DeviceId device = kNoDevice;
    int batch_size = 0;  ///< 0: never started
    TimePoint submitted_at{};
    TimePoint started_at{};
    TimePoint ended_at{};
  };
  /// A batch that runs. Small and trivially copyable, so that it fits into a std::function without allocating.
  struct BatchRef {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };

  class Client {
   public:
    virtual ~Client() = default;
    /// Starts the batch; claim() and finish() it when it is done, on any thread. An exception fails the batch.
    virtual void run(BatchRef batch, DeviceId device, ShapeId shape, std::span<const Slot> items) = 0;
    /// The item's end. Its slot is free for others when this returns. Must not throw.
    virtual void end(Slot slot, const End& end) = 0;
  };

  /// @param client outlives stop(). @throws PreconditionError for values out of range
  DispatchCore(std::unique_ptr<Policy> policy, Client& client, const Clock& clock, const DispatcherConfig& config);
  ~DispatchCore();
  DispatchCore(const DispatchCore&) = delete;
  DispatchCore& operator=(const DispatchCore&) = delete;

  DeviceId add_device(std::string name, int max_batch, int concurrent_batches);
  /// Calls `action(policy, now)` with the policy locked, then lets the thread decide anew.
  template <typename Action>
  auto with_policy(Action&& action) {
    const Wake wake(*this);
    const std::lock_guard lock(policy_mutex_);
    return action(*policy_, clock_.now());
  }

  template <typename Question>
  auto ask_policy(Question&& question) const {
    const std::lock_guard lock(policy_mutex_);
    return question(static_cast<const Policy&>(*policy_), clock_.now());
  }

  /// A slot to put the item's payload in before submit(); nothing where max_frames are in flight.
  [[nodiscard]] std::optional<Slot> reserve();
  /// Takes the item. Ends it at once with kShutdown after stop().
  void submit(Slot slot, const Item& item);
  /// Counts an item that got no slot.
  void refuse(Priority priority, Outcome reason);

  /// Whoever claims a batch ends its items: nothing where the watchdog (or an earlier answer) was faster, and then
  /// there is nothing to do. Frees the batch's place on the device.
  /// @param answers how many results came; fewer or more than items turn kOk into kError
  /// @return the status that counts
  [[nodiscard]] std::optional<BatchStatus> claim(BatchRef batch, BatchStatus status, std::size_t answers);
  /// An item of a claimed batch that alone could not be run: it ends like this, unless the whole batch has failed.
  void drop(Slot item, Outcome reason);
  /// Ends the items of a claimed batch.
  void finish(BatchRef batch);
  /// The items of a batch between run() and finish().
  [[nodiscard]] std::span<const Slot> items(BatchRef batch) const;

  void start();
  void stop();
  [[nodiscard]] DispatcherMetrics metrics() const;
  [[nodiscard]] PolicyReport report() const;
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.load(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return config_.max_frames; }
  [[nodiscard]] Client& client() const noexcept { return client_; }
  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }

 private:
  struct SlotState {
    Item item;
    TimePoint submitted_at{};
    std::uint32_t generation = 0;
    bool waiting = false;  // in the policy's hands; the thread's own
    std::optional<Outcome> drop;
  };
  enum class BatchState : std::uint32_t { kFree, kRunning, kClaimed, kGivenUp };
  struct BatchSlot {
    std::mutex mutex;  // guards state and generation against a watchdog and an answer at the same time
    BatchState state = BatchState::kFree;
    std::uint32_t generation = 0;
    BatchId id = 0;
    DeviceId device = 0;
    BatchStatus status = BatchStatus::kOk;
    std::vector<Slot> items;
    TimePoint started_at{};
    TimePoint claimed_at{};
    Duration predicted{};
    TimePoint give_up_at = kNever;
    std::shared_ptr<DispatchCore> keep;  // a batch that nobody answers keeps the core for a late answer
  };
  struct Event {
    bool arrival = false;
    Slot slot = 0;  // of an arrival
    Completion completion;
  };
  struct ClassState {
    FrameLedger ledger;
    Histogram queue_wait, latency, slack;
    std::atomic<double> late_waste{0};
  };
  struct DeviceStats {
    std::string name;
    std::atomic<std::uint64_t> batches{0}, frames{0}, errors{0}, timeouts{0}, late_answers{0};
    std::atomic<double> busy{0};
    Histogram batch_size, prediction_error;
  };
  /// Wakes the thread when the policy's lock has been let go.
  class Wake {
   public:
    explicit Wake(DispatchCore& core) : core_(core) {}
    ~Wake() { core_.wake(); }
    Wake(const Wake&) = delete;
    Wake& operator=(const Wake&) = delete;

   private:
    DispatchCore& core_;
  };

  void loop();
  void wake();
  void post(const Event& event);
  void apply_inbox();
  /// @return when to look again without an event.
  TimePoint decide_all();
  void launch(const Launch& launch);
  /// Gives up batches that are overdue. @return when the next one will be.
  TimePoint watch();
  void end_waiting();
  void end_item(Slot slot, const End& end);
  void end_items(BatchSlot& batch, bool failed);
  [[nodiscard]] BatchSlot& acquire_batch(std::uint32_t& index);
  [[nodiscard]] BatchSlot& batch(std::uint32_t index) const;
  void release_batch(BatchSlot& batch, std::uint32_t index);
  [[nodiscard]] DeviceStats& stats(DeviceId device) const;

  std::unique_ptr<Policy> policy_;
  Client& client_;
  const Clock& clock_;
  const DispatcherConfig config_;

  mutable std::mutex policy_mutex_;

  std::mutex inbox_mutex_;
  std::condition_variable inbox_ready_;
  std::vector<Event> inbox_;
  bool woken_ = false;
  bool accepting_ = true;      // guarded by inbox_mutex_
  bool stopping_ = false;      // guarded by inbox_mutex_
  std::vector<Event> events_;  // the thread's own

  std::mutex slots_mutex_;
  std::vector<Slot> free_slots_;
  std::vector<SlotState> slots_;
  std::atomic<std::size_t> in_flight_{0};

  mutable std::mutex batches_mutex_;       // guards the containers, not the batches
  mutable std::deque<BatchSlot> batches_;  // stable addresses
  std::vector<std::uint32_t> free_batches_;

  // The thread's own, reused
  std::vector<Drop> drops_;
  std::vector<Slot> launch_items_;

  std::array<ClassState, kPriorityCount> classes_;
  mutable std::mutex devices_mutex_;
  mutable std::deque<DeviceStats> devices_;
  std::atomic<std::uint64_t> decisions_{0};
  std::atomic<std::uint64_t> refused_{0};
  Histogram decision_seconds_;

  std::thread thread_;
};

}  // namespace gantry::scheduler
