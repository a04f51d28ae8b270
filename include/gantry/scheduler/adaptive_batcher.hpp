#pragma once
// gantry::AdaptiveBatcher<Request, Response>: turns single calls into batches of a function of yours, so that as many
// answers as possible come before their deadlines. It runs Gantry's own policy (docs/scheduler.md): it learns how long
// your function takes by batch size, waits for more requests only while that pays, drops what could not be answered in
// time before it costs anything, and under overload shares out fairly.
//
//   gantry::AdaptiveBatcher<Image, Label> batcher({.max_batch = 16}, [](std::span<Image> images) {
//     return classify(images);                 // std::vector<Label>, one for each image
//   });
//   batcher.start();
//   std::future<gantry::Answer<Label>> label = batcher.submit(image, {.camera = 7, .deadline = 50ms});
//   gantry::Answer<Label> other = co_await batcher.ask(image2, {.priority = gantry::Priority::kUrgent});
//
// Thread-safety: submit, ask, metrics and in_flight from any thread. The function is called on `workers` threads, at
// most one call a thread. Callbacks and coroutines run on those threads or on the scheduler's: they should be short.
// Bounds: at most max_in_flight requests wait or run; the next is answered kShed at once.
// Faults: a function that throws, or returns the wrong number of answers, costs its own batch (kEngineError; the
// exception is in Answer::error). One that does not return is given up by the watchdog; stop() still waits for it,
// because a thread cannot be taken back.
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "gantry/core/expects.hpp"
#include "gantry/scheduler/dispatch_core.hpp"
#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry {

/// How a request ended.
template <typename Response>
struct Answer {
  Outcome outcome = Outcome::kShutdown;
  std::optional<Response> value;  ///< with kPublished and kPublishedLate
  std::exception_ptr error;       ///< with kEngineError, where the function threw
  Duration queue_wait{};          ///< submit to start; zero where it was never started
  int batch_size = 0;             ///< requests in its batch; 0 where it was never started

  explicit operator bool() const noexcept { return value.has_value(); }
};

struct RequestOptions {
  CameraId camera = 0;  ///< whose request: fairness under overload is by camera (client, stream, tenant, …)
  Priority priority = Priority::kNormal;
  Duration deadline{};  ///< from now; zero: the batcher's default
};

struct BatcherConfig {
  int max_batch = 32;                ///< 1…256
  int workers = 1;                   ///< calls of the function at the same time, 1…16
  std::size_t max_in_flight = 4096;  ///< requests that wait or run, 1…2^20
  Duration default_deadline = std::chrono::milliseconds{100};
  /// What one call with one request is taken to last until calls have been measured. > 0
  Duration first_guess = std::chrono::milliseconds{1};
  /// Requests of one camera that may wait; a newer one takes the place of the oldest (kSuperseded). 0: no limit.
  int newest_of_camera = 0;
  Duration watchdog = std::chrono::seconds{10};   ///< a call longer than this (and 20 × the usual) is given up
  Duration stop_grace = std::chrono::seconds{5};  ///< how long stop() lets waiting requests try for their turn
  scheduler::PolicyConfig policy;
};

template <typename Request, typename Response>
class AdaptiveBatcher final : private scheduler::DispatchCore::Client {
 public:
  /// One answer for each request, in their order. Requests may be moved from.
  using Function = std::function<std::vector<Response>(std::span<Request> requests)>;
  using Callback = std::function<void(Answer<Response>&& answer)>;

  /// @throws PreconditionError for values out of range
  AdaptiveBatcher(const BatcherConfig& config, Function function)
      : config_(config),
        function_(std::move(function)),
        core_(std::make_shared<scheduler::DispatchCore>(
            std::make_unique<scheduler::GantryPolicy>(config.policy), static_cast<Core::Client&>(*this), clock_,
            scheduler::DispatcherConfig{config.max_in_flight, config.watchdog, 20, config.stop_grace})),
        held_(config.max_in_flight) {
    GANTRY_EXPECTS(function_ != nullptr, "AdaptiveBatcher needs a function to call");
    GANTRY_EXPECTS(config.first_guess > Duration::zero() && config.default_deadline > Duration::zero(),
                   "first_guess and default_deadline must be longer than zero");
    const auto device = core_->add_device("function", config.max_batch, config.workers);
    core_->with_policy([&](scheduler::Policy& policy, TimePoint now) {
      std::vector<scheduler::LatencyPoint> guess;
      for (int batch = 1; batch <= config.max_batch; batch *= 2)
        guess.push_back({batch, config.first_guess * (3 + batch) / 4, {}});
      policy.set_profile(device, 0, guess, now);
    });
  }
  /// stop()s.
  ~AdaptiveBatcher() override { stop(); }
  AdaptiveBatcher(const AdaptiveBatcher&) = delete;
  AdaptiveBatcher& operator=(const AdaptiveBatcher&) = delete;

  void start() {
    for (int i = 0; i < config_.workers; ++i) workers_.emplace_back([this] { work(); });
    core_->start();
  }
  /// Takes no more requests, answers or drops those that wait, waits for calls that run. Idempotent.
  void stop() {
    if (workers_.empty() && in_flight() > 0) start();  // what was submitted before start() is still answered
    core_->stop();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    job_ready_.notify_all();
    for (std::thread& worker : workers_)
      if (worker.joinable()) worker.join();
  }

  [[nodiscard]] std::future<Answer<Response>> submit(Request request, const RequestOptions& options = {}) {
    std::promise<Answer<Response>> promise;
    auto future = promise.get_future();
    enqueue(std::move(request), options, std::move(promise));
    return future;
  }
  void submit(Request request, const RequestOptions& options, Callback callback) {
    GANTRY_EXPECTS(callback != nullptr, "submit with a callback needs one that can be called");
    enqueue(std::move(request), options, std::move(callback));
  }

  class Awaitable;
  /// To be awaited once, at once: `Answer<Response> answer = co_await batcher.ask(request, options);`
  [[nodiscard]] Awaitable ask(Request request, const RequestOptions& options = {}) {
    return Awaitable(*this, std::move(request), options);
  }

  [[nodiscard]] scheduler::DispatcherMetrics metrics() const { return core_->metrics(); }
  [[nodiscard]] std::size_t in_flight() const noexcept { return core_->in_flight(); }

  class Awaitable {
   public:
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      // The coroutine may go on, and this object with it, before enqueue() returns.
      batcher_.enqueue(std::move(request_), options_, Resume{handle, &answer_});
    }
    Answer<Response> await_resume() { return std::move(answer_); }

   private:
    friend class AdaptiveBatcher;
    Awaitable(AdaptiveBatcher& batcher, Request&& request, const RequestOptions& options)
        : batcher_(batcher), request_(std::move(request)), options_(options) {}
    AdaptiveBatcher& batcher_;
    Request request_;
    RequestOptions options_;
    Answer<Response> answer_;
  };

 private:
  using Core = scheduler::DispatchCore;

  struct Resume {
    std::coroutine_handle<> handle;
    Answer<Response>* answer;
  };
  using Receiver = std::variant<std::monostate, std::promise<Answer<Response>>, Callback, Resume>;

  struct Held {
    std::optional<Request> request;
    Answer<Response> answer;
    Receiver receiver;
  };
  struct Job {
    Core::BatchRef ref;
    std::vector<Request> requests;
  };

  void enqueue(Request&& request, const RequestOptions& options, Receiver receiver) {
    know(options.camera);
    const TimePoint now = clock_.now();
    Core::Item item;
    item.camera = options.camera;
    item.priority = options.priority;
    item.captured_at = now;
    item.deadline = now + (options.deadline > Duration::zero() ? options.deadline : config_.default_deadline);
    const auto slot = core_->reserve();
    if (!slot) {
      core_->refuse(options.priority, Outcome::kShed);
      Answer<Response> answer;
      answer.outcome = Outcome::kShed;
      deliver(receiver, std::move(answer));
      return;
    }
    Held& held = held_[*slot];
    held.request.emplace(std::move(request));
    held.answer = Answer<Response>{};
    held.receiver = std::move(receiver);
    core_->submit(*slot, item);
  }

  void know(CameraId camera) {
    const std::lock_guard lock(cameras_mutex_);  // until the policy knows it too, or another thread could be faster
    if (!cameras_.insert(camera).second) return;
    core_->with_policy([&](scheduler::Policy& policy, TimePoint now) {
      scheduler::CameraSpec spec;
      spec.id = camera;
      spec.slot_depth =
          config_.newest_of_camera > 0 ? config_.newest_of_camera : static_cast<int>(config_.max_in_flight);
      policy.set_camera(spec, now);
    });
  }

  static void deliver(Receiver& receiver, Answer<Response>&& answer) {
    if (auto* promise = std::get_if<std::promise<Answer<Response>>>(&receiver)) {
      promise->set_value(std::move(answer));
    } else if (auto* callback = std::get_if<Callback>(&receiver)) {
      (*callback)(std::move(answer));
    } else if (auto* resume = std::get_if<Resume>(&receiver)) {
      *resume->answer = std::move(answer);
      resume->handle.resume();
    }
  }

  // -- DispatchCore::Client

  void run(Core::BatchRef ref, scheduler::DeviceId, scheduler::ShapeId, std::span<const Core::Slot> items) override {
    {
      const std::lock_guard lock(mutex_);
      Job& job = jobs_.emplace_back();
      job.ref = ref;
      job.requests.reserve(items.size());
      for (const Core::Slot slot : items) job.requests.push_back(std::move(*held_[slot].request));
    }
    job_ready_.notify_one();
  }

  void end(Core::Slot slot, const Core::End& end) override {
    Held& held = held_[slot];
    held.request.reset();
    held.answer.outcome = end.outcome;
    held.answer.batch_size = end.batch_size;
    if (end.batch_size > 0) held.answer.queue_wait = end.started_at - end.submitted_at;
    Receiver receiver = std::exchange(held.receiver, Receiver{});
    deliver(receiver, std::move(held.answer));
  }

  void work() {
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex_);
        job_ready_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      std::vector<Response> responses;
      std::exception_ptr error;
      try {
        responses = function_(job.requests);
      } catch (...) {
        error = std::current_exception();
      }
      const auto given = error ? scheduler::BatchStatus::kError : scheduler::BatchStatus::kOk;
      const auto status = core_->claim(job.ref, given, responses.size());
      if (!status) continue;  // the watchdog gave it up
      const auto items = core_->items(job.ref);
      for (std::size_t i = 0; i < items.size(); ++i) {
        Answer<Response>& answer = held_[items[i]].answer;
        if (*status == scheduler::BatchStatus::kOk)
          answer.value.emplace(std::move(responses[i]));
        else
          answer.error = error;
      }
      core_->finish(job.ref);
    }
  }

  BatcherConfig config_;
  Function function_;
  SteadyClock clock_;
  std::shared_ptr<Core> core_;
  std::vector<Held> held_;  // by slot

  std::mutex cameras_mutex_;
  std::unordered_set<CameraId> cameras_;

  std::mutex mutex_;  // guards jobs_ and stopping_
  std::condition_variable job_ready_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace gantry
