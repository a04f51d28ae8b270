#include "gantry/scheduler/dispatch_core.hpp"

#include <algorithm>
#include <cmath>

#include "gantry/core/expects.hpp"

namespace gantry::scheduler {
namespace {

double seconds_of(Duration d) {
  return std::chrono::duration<double>(d).count();
}

FrameTicket make_ticket(DispatchCore::Slot slot, std::uint32_t generation) {
  return (FrameTicket{generation} << 32U) | slot;
}
DispatchCore::Slot slot_of(FrameTicket ticket) {
  return static_cast<DispatchCore::Slot>(ticket);
}

}  // namespace

DispatchCore::DispatchCore(std::unique_ptr<Policy> policy, Client& client, const Clock& clock,
                           const DispatcherConfig& config)
    : policy_(std::move(policy)), client_(client), clock_(clock), config_(config) {
  GANTRY_EXPECTS(policy_ != nullptr, "the dispatcher needs a policy");
  GANTRY_EXPECTS(config.max_frames >= 1 && config.max_frames <= (1U << 20U), "max_frames must be 1 to 1048576");
  GANTRY_EXPECTS(config.watchdog_factor >= 2 && config.watchdog_min > Duration::zero(),
                 "watchdog_factor must be at least 2 and watchdog_min longer than zero");
  GANTRY_EXPECTS(config.stop_grace >= Duration::zero(), "stop_grace must not be negative");
  slots_.resize(config.max_frames);
  free_slots_.reserve(config.max_frames);
  for (std::size_t i = config.max_frames; i > 0; --i) free_slots_.push_back(static_cast<Slot>(i - 1));
  inbox_.reserve(config.max_frames + 1024);
  events_.reserve(config.max_frames + 1024);
  drops_.reserve(config.max_frames);
}

DispatchCore::~DispatchCore() {
  stop();
}

DeviceId DispatchCore::add_device(std::string name, int max_batch, int concurrent_batches) {
  DeviceId id = 0;
  {
    const std::lock_guard lock(devices_mutex_);
    id = static_cast<DeviceId>(devices_.size());
    devices_.emplace_back().name = std::move(name);
  }
  with_policy([&](Policy& policy, TimePoint now) { policy.add_device({id, max_batch, concurrent_batches}, now); });
  return id;
}

// -- items

std::optional<DispatchCore::Slot> DispatchCore::reserve() {
  const std::lock_guard lock(slots_mutex_);
  if (free_slots_.empty()) return std::nullopt;
  const Slot slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void DispatchCore::submit(Slot slot, const Item& item) {
  SlotState& state = slots_[slot];
  state.item = item;
  state.submitted_at = clock_.now();
  ++state.generation;
  classes_[static_cast<int>(item.priority)].ledger.received();
  in_flight_.fetch_add(1);
  bool accepted = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    accepted = accepting_;
    if (accepted) {
      Event event;
      event.arrival = true;
      event.slot = slot;
      inbox_.push_back(event);
    }
  }
  if (accepted) {
    inbox_ready_.notify_one();
    return;
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  End end;
  end.outcome = Outcome::kShutdown;
  end.submitted_at = end.ended_at = state.submitted_at;
  end_item(slot, end);
}

void DispatchCore::refuse(Priority priority, Outcome reason) {
  ClassState& cls = classes_[static_cast<int>(priority)];
  cls.ledger.received();
  cls.ledger.ended(reason);
  refused_.fetch_add(1, std::memory_order_relaxed);
}

void DispatchCore::end_item(Slot slot, const End& end) {
  classes_[static_cast<int>(slots_[slot].item.priority)].ledger.ended(end.outcome);
  client_.end(slot, end);
  {
    const std::lock_guard lock(slots_mutex_);
    free_slots_.push_back(slot);
  }
  if (in_flight_.fetch_sub(1) == 1) wake();  // stop() may be waiting for the last one
}

// -- batches

DispatchCore::BatchSlot& DispatchCore::acquire_batch(std::uint32_t& index) {
  const std::lock_guard lock(batches_mutex_);
  if (free_batches_.empty()) {
    free_batches_.push_back(static_cast<std::uint32_t>(batches_.size()));
    batches_.emplace_back().items.reserve(kMaxBatch);
    free_batches_.reserve(batches_.size());
  }
  index = free_batches_.back();
  free_batches_.pop_back();
  return batches_[index];
}

DispatchCore::BatchSlot& DispatchCore::batch(std::uint32_t index) const {
  const std::lock_guard lock(batches_mutex_);
  return batches_[index];
}

/// @pre the slot's mutex is not held and nobody else can reach it in a state other than kFree
void DispatchCore::release_batch(BatchSlot& slot, std::uint32_t index) {
  std::shared_ptr<DispatchCore> keep;  // dropped last: it may be the last owner
  {
    const std::lock_guard lock(slot.mutex);
    slot.state = BatchState::kFree;
    ++slot.generation;
    keep.swap(slot.keep);
  }
  const std::lock_guard lock(batches_mutex_);
  free_batches_.push_back(index);
}

std::span<const DispatchCore::Slot> DispatchCore::items(BatchRef ref) const {
  return batch(ref.slot).items;
}

DispatchCore::DeviceStats& DispatchCore::stats(DeviceId device) const {
  const std::lock_guard lock(devices_mutex_);
  return devices_[device];
}

std::optional<BatchStatus> DispatchCore::claim(BatchRef ref, BatchStatus status, std::size_t answers) {
  BatchSlot& slot = batch(ref.slot);
  Event event;
  bool claimed = false;
  bool late = false;
  {
    const std::lock_guard lock(slot.mutex);
    if (slot.generation == ref.generation && slot.state == BatchState::kRunning) {
      if (status == BatchStatus::kOk && answers != slot.items.size()) status = BatchStatus::kError;
      slot.state = BatchState::kClaimed;
      slot.status = status;
      slot.claimed_at = clock_.now();
      claimed = true;
    } else if (slot.generation == ref.generation && slot.state == BatchState::kGivenUp) {
      late = true;
    }
    event.completion = {slot.id, slot.device, status};
  }
  DeviceStats& device = stats(event.completion.device);
  if (claimed || late) post(event);
  if (!claimed) device.late_answers.fetch_add(1, std::memory_order_relaxed);
  if (late) release_batch(slot, ref.slot);
  return claimed ? std::optional{status} : std::nullopt;
}

void DispatchCore::drop(Slot item, Outcome reason) {
  GANTRY_EXPECTS(is_drop(reason), "a frame that was not run can't end with a result");
  slots_[item].drop = reason;
}

void DispatchCore::finish(BatchRef ref) {
  BatchSlot& slot = batch(ref.slot);
  end_items(slot, slot.status != BatchStatus::kOk);
  release_batch(slot, ref.slot);
}

void DispatchCore::end_items(BatchSlot& slot, bool failed) {
  DeviceStats& device = stats(slot.device);
  const int size = static_cast<int>(slot.items.size());
  const double took = seconds_of(slot.claimed_at - slot.started_at);
  device.busy.fetch_add(took, std::memory_order_relaxed);
  if (failed) {
    if (slot.status == BatchStatus::kError) device.errors.fetch_add(1, std::memory_order_relaxed);
  } else {
    const double predicted = seconds_of(slot.predicted);
    if (predicted > 0) device.prediction_error.add(std::abs(took - predicted) / predicted);
  }
  End end;
  end.device = slot.device;
  end.batch_size = size;
  end.started_at = slot.started_at;
  end.ended_at = slot.claimed_at;
  for (const Slot item_slot : slot.items) {
    SlotState& state = slots_[item_slot];
    end.submitted_at = state.submitted_at;
    const std::optional<Outcome> drop = std::exchange(state.drop, std::nullopt);
    if (failed) {
      end.outcome = Outcome::kEngineError;
    } else if (drop) {
      end.outcome = *drop;
    } else {
      ClassState& cls = classes_[static_cast<int>(state.item.priority)];
      const bool in_time = end.ended_at <= state.item.deadline;
      end.outcome = in_time ? Outcome::kPublished : Outcome::kPublishedLate;
      if (!in_time) cls.late_waste.fetch_add(took / size, std::memory_order_relaxed);
      cls.latency.add(end.ended_at - state.item.captured_at);
    }
    end_item(item_slot, end);
  }
}

// -- the thread

void DispatchCore::start() {
  GANTRY_EXPECTS(!thread_.joinable(), "the dispatcher was started before");
  thread_ = std::thread([this] { loop(); });
}

void DispatchCore::stop() {
  {
    const std::lock_guard lock(inbox_mutex_);
    if (stopping_ && !thread_.joinable()) return;
    accepting_ = false;
    stopping_ = true;
  }
  with_policy([](Policy& policy, TimePoint now) { policy.on_input_closed(now); });
  if (!thread_.joinable()) start();  // never started: what was submitted still ends
  thread_.join();
}

void DispatchCore::wake() {
  {
    const std::lock_guard lock(inbox_mutex_);
    woken_ = true;
  }
  inbox_ready_.notify_one();
}

void DispatchCore::post(const Event& event) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(event);
  }
  inbox_ready_.notify_one();
}

void DispatchCore::loop() {
  TimePoint next = kNever;
  TimePoint stop_by = kNever;
  bool abandoned = false;
  for (;;) {
    bool stopping = false;
    {
      std::unique_lock lock(inbox_mutex_);
      const auto ready = [&] { return woken_ || !inbox_.empty(); };
      if (next == kNever) {
        inbox_ready_.wait(lock, ready);
      } else if (const Duration rest = next - clock_.now(); rest > Duration::zero()) {
        inbox_ready_.wait_for(lock, rest, ready);
      }
      woken_ = false;
      stopping = stopping_;
      events_.clear();
      events_.swap(inbox_);
    }
    apply_inbox();
    next = kNever;
    if (stopping) {
      if (stop_by == kNever) stop_by = clock_.now() + config_.stop_grace;
      if (!abandoned && clock_.now() >= stop_by) {
        abandoned = true;
        end_waiting();
      }
      if (!abandoned) next = std::min(next, stop_by);
    }
    if (!abandoned) next = std::min(next, decide_all());
    next = std::min(next, watch());  // after the launches, whose time runs from now
    if (stopping && in_flight_.load() == 0) return;
  }
}

void DispatchCore::apply_inbox() {
  if (events_.empty()) return;
  const std::lock_guard lock(policy_mutex_);
  const TimePoint now = clock_.now();
  for (const Event& event : events_) {
    if (!event.arrival) {
      policy_->on_completion(event.completion, now);
      continue;
    }
    SlotState& state = slots_[event.slot];
    state.waiting = true;
    const Item& item = state.item;
    policy_->on_arrival({make_ticket(event.slot, state.generation), item.camera, item.shape, item.priority,
                         item.captured_at, item.deadline},
                        now);
  }
}

TimePoint DispatchCore::decide_all() {
  for (;;) {
    TimePoint wait_until = kNever;
    std::optional<Launch> start;
    drops_.clear();
    {
      const std::lock_guard lock(policy_mutex_);
      const TimePoint before = clock_.now();
      const Decision decision = policy_->decide(before);
      decision_seconds_.add(clock_.now() - before);
      drops_.assign(decision.drops.begin(), decision.drops.end());
      start = decision.launch;
      wait_until = decision.wait_until;
      launch_items_.clear();
      if (start)
        for (const FrameTicket ticket : start->frames) launch_items_.push_back(slot_of(ticket));
    }
    decisions_.fetch_add(1, std::memory_order_relaxed);
    if (start) launch(*start);  // first: the device waits for it
    for (const Drop& drop : drops_) {
      SlotState& state = slots_[slot_of(drop.frame)];
      state.waiting = false;
      End end;
      end.outcome = drop.reason;
      end.submitted_at = state.submitted_at;
      end.ended_at = clock_.now();
      end_item(slot_of(drop.frame), end);
    }
    if (!start) return wait_until;
  }
}

void DispatchCore::launch(const Launch& launch) {
  std::uint32_t index = 0;
  BatchSlot& slot = acquire_batch(index);
  BatchRef ref;
  ref.slot = index;
  const TimePoint now = clock_.now();
  {
    const std::lock_guard lock(slot.mutex);
    slot.state = BatchState::kRunning;
    slot.id = launch.batch;
    slot.device = launch.device;
    slot.status = BatchStatus::kOk;
    slot.items.assign(launch_items_.begin(), launch_items_.end());
    slot.started_at = now;
    slot.predicted = launch.predicted_finish - now;
    const auto patience =
        Duration{static_cast<Duration::rep>(config_.watchdog_factor * static_cast<double>(slot.predicted.count()))};
    slot.give_up_at = now + std::max(config_.watchdog_min, patience);
    slot.keep = shared_from_this();
    ref.generation = slot.generation;
  }
  DeviceStats& device = stats(launch.device);
  device.batches.fetch_add(1, std::memory_order_relaxed);
  device.frames.fetch_add(launch_items_.size(), std::memory_order_relaxed);
  device.batch_size.add(static_cast<double>(launch_items_.size()));
  for (const Slot item : launch_items_) {
    SlotState& state = slots_[item];
    state.waiting = false;
    ClassState& cls = classes_[static_cast<int>(state.item.priority)];
    cls.queue_wait.add(now - state.submitted_at);
    cls.slack.add(state.item.deadline - now);
  }
  try {
    client_.run(ref, launch.device, launch.shape, launch_items_);
  } catch (...) {
    if (claim(ref, BatchStatus::kError, 0)) finish(ref);
  }
}

TimePoint DispatchCore::watch() {
  const TimePoint now = clock_.now();
  TimePoint next = kNever;
  std::size_t count = 0;
  {
    const std::lock_guard lock(batches_mutex_);
    count = batches_.size();
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    BatchSlot& slot = batch(index);
    Completion completion;
    TimePoint started_at{};
    {
      const std::lock_guard lock(slot.mutex);
      if (slot.state != BatchState::kRunning) continue;
      if (slot.give_up_at > now) {
        next = std::min(next, slot.give_up_at);
        continue;
      }
      slot.state = BatchState::kGivenUp;
      slot.status = BatchStatus::kTimeout;
      slot.claimed_at = now;
      completion = {slot.id, slot.device, BatchStatus::kTimeout};
      started_at = slot.started_at;
      // Its items end here; a late answer finds none.
      launch_items_.assign(slot.items.begin(), slot.items.end());
    }
    stats(completion.device).timeouts.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(policy_mutex_);
      policy_->on_completion(completion, now);
    }
    End end;
    end.outcome = Outcome::kEngineError;
    end.device = completion.device;
    end.batch_size = static_cast<int>(launch_items_.size());
    end.started_at = started_at;
    end.ended_at = now;
    for (const Slot item : launch_items_) {
      end.submitted_at = slots_[item].submitted_at;
      end_item(item, end);
    }
  }
  return next;
}

/// The grace of stop() is over: what still waits ends, and the policy is not asked again.
void DispatchCore::end_waiting() {
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].waiting) continue;
    slots_[slot].waiting = false;
    End end;
    end.outcome = Outcome::kShutdown;
    end.submitted_at = slots_[slot].submitted_at;
    end.ended_at = clock_.now();
    end_item(slot, end);
  }
}

// -- readings

DispatcherMetrics DispatchCore::metrics() const {
  DispatcherMetrics out;
  for (int i = 0; i < kPriorityCount; ++i) {
    const ClassState& cls = classes_[i];
    out.classes[i].frames = cls.ledger.read();
    out.classes[i].queue_wait = &cls.queue_wait;
    out.classes[i].latency = &cls.latency;
    out.classes[i].slack_at_dispatch = &cls.slack;
    out.classes[i].late_waste_seconds = cls.late_waste.load(std::memory_order_relaxed);
  }
  {
    const std::lock_guard lock(devices_mutex_);
    for (const DeviceStats& device : devices_) {
      DeviceMetrics entry;
      entry.name = device.name;
      entry.batches = device.batches.load(std::memory_order_relaxed);
      entry.frames = device.frames.load(std::memory_order_relaxed);
      entry.errors = device.errors.load(std::memory_order_relaxed);
      entry.timeouts = device.timeouts.load(std::memory_order_relaxed);
      entry.late_answers = device.late_answers.load(std::memory_order_relaxed);
      entry.busy_seconds = device.busy.load(std::memory_order_relaxed);
      entry.batch_size = &device.batch_size;
      entry.prediction_error = &device.prediction_error;
      out.devices.push_back(entry);
    }
  }
  out.decisions = decisions_.load(std::memory_order_relaxed);
  out.decision_seconds = &decision_seconds_;
  out.refused = refused_.load(std::memory_order_relaxed);
  return out;
}

PolicyReport DispatchCore::report() const {
  return ask_policy([](const Policy& policy, TimePoint now) {
    PolicyReport out;
    policy.report(out, now);
    return out;
  });
}

}  // namespace gantry::scheduler
