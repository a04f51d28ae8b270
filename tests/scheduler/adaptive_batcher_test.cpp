#include "gantry/scheduler/adaptive_batcher.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

namespace gantry {
namespace {

using namespace std::chrono_literals;

BatcherConfig patient() {
  BatcherConfig config;
  config.default_deadline = 30s;  // these tests are about answers, not about time
  return config;
}

/// Move-only, to show that requests need not be copied.
using Number = std::unique_ptr<int>;

std::vector<int> twice(std::span<Number> numbers) {
  std::vector<int> out;
  for (const Number& number : numbers) out.push_back(2 * *number);
  return out;
}

TEST(AdaptiveBatcher, FuturesGetTheirOwnAnswer) {
  AdaptiveBatcher<Number, int> batcher(patient(), twice);
  batcher.start();
  std::vector<std::future<Answer<int>>> answers;
  for (int i = 0; i < 500; ++i) answers.push_back(batcher.submit(std::make_unique<int>(i), {.camera = 1U + i % 7}));
  for (int i = 0; i < 500; ++i) {
    const Answer<int> answer = answers[i].get();
    ASSERT_EQ(answer.outcome, Outcome::kPublished);
    EXPECT_EQ(answer.value, 2 * i);
    EXPECT_GE(answer.batch_size, 1);
  }
  batcher.stop();
  EXPECT_GT(batcher.metrics().devices[0].batch_size->mean(), 1.5) << "500 requests at once were not batched";
}

TEST(AdaptiveBatcher, CallbacksAreCalledOnceAndStopDrains) {
  std::atomic<int> calls{0};
  std::atomic<int> right{0};
  {
    AdaptiveBatcher<Number, int> batcher(patient(), twice);
    for (int i = 0; i < 200; ++i) {
      batcher.submit(std::make_unique<int>(i), {}, [&, i](Answer<int>&& answer) {
        ++calls;
        right += answer.value == 2 * i ? 1 : 0;
      });
    }
    batcher.start();
    batcher.stop();
    EXPECT_EQ(calls, 200);
    EXPECT_EQ(batcher.in_flight(), 0U);
  }
  EXPECT_EQ(calls, 200);
  EXPECT_EQ(right, 200);
}

/// The smallest coroutine that can co_await: runs at once, frees itself.
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Task chain(AdaptiveBatcher<Number, int>& batcher, int start, std::promise<int>& result) {
  const Answer<int> first = co_await batcher.ask(std::make_unique<int>(start));
  const Answer<int> second = co_await batcher.ask(std::make_unique<int>(first.value.value()));
  result.set_value(second.value.value());
}

TEST(AdaptiveBatcher, CoroutinesAwaitAnswers) {
  AdaptiveBatcher<Number, int> batcher(patient(), twice);
  batcher.start();
  std::vector<std::promise<int>> results(50);
  for (int i = 0; i < 50; ++i) chain(batcher, i, results[i]);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(results[i].get_future().get(), 4 * i);
}

TEST(AdaptiveBatcher, AThrowingFunctionCostsItsBatchAndTellsWhy) {
  std::atomic<int> calls{0};
  AdaptiveBatcher<int, int> batcher(patient(), [&](std::span<int> numbers) -> std::vector<int> {
    if (++calls == 1) throw std::runtime_error("no such luck");
    return {numbers.begin(), numbers.end()};
  });
  batcher.start();
  const Answer<int> failed = batcher.submit(1).get();
  EXPECT_EQ(failed.outcome, Outcome::kEngineError);
  ASSERT_TRUE(failed.error);
  try {
    std::rethrow_exception(failed.error);
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "no such luck");
  }
  const Answer<int> fine = batcher.submit(2).get();
  EXPECT_EQ(fine.value, 2);
  batcher.stop();
  EXPECT_EQ(batcher.metrics().devices[0].errors, 1U);
}

TEST(AdaptiveBatcher, TooFewAnswersFailTheBatch) {
  AdaptiveBatcher<int, int> batcher(patient(), [](std::span<int>) { return std::vector<int>{}; });
  batcher.start();
  const Answer<int> answer = batcher.submit(1).get();
  EXPECT_EQ(answer.outcome, Outcome::kEngineError);
  EXPECT_FALSE(answer.error);
}

TEST(AdaptiveBatcher, WhatCannotBeInTimeIsNotStarted) {
  std::atomic<int> run{0};
  AdaptiveBatcher<int, int> batcher(patient(), [&](std::span<int> numbers) {
    run += static_cast<int>(numbers.size());
    std::this_thread::sleep_for(40ms);
    return std::vector<int>(numbers.begin(), numbers.end());
  });
  batcher.start();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(batcher.submit(i).get().value, i);  // learns 40 ms
  const Answer<int> hopeless = batcher.submit(9, {.deadline = 10ms}).get();
  EXPECT_TRUE(hopeless.outcome == Outcome::kPredictedLate || hopeless.outcome == Outcome::kExpired);
  EXPECT_EQ(hopeless.batch_size, 0);
  EXPECT_EQ(run, 8);
}

TEST(AdaptiveBatcher, BeyondItsBoundRequestsAreShedAtOnce) {
  BatcherConfig config = patient();
  config.max_in_flight = 2;
  AdaptiveBatcher<int, int> batcher(config, [](std::span<int> n) { return std::vector<int>(n.begin(), n.end()); });
  auto a = batcher.submit(1);
  auto b = batcher.submit(2);
  auto c = batcher.submit(3);
  EXPECT_EQ(c.get().outcome, Outcome::kShed);
  batcher.start();
  EXPECT_EQ(a.get().value, 1);
  EXPECT_EQ(b.get().value, 2);
}

TEST(AdaptiveBatcher, NewestOfACameraWinsWhereAskedFor) {
  BatcherConfig config = patient();
  config.newest_of_camera = 1;
  AdaptiveBatcher<int, int> batcher(config, [](std::span<int> n) { return std::vector<int>(n.begin(), n.end()); });
  auto old = batcher.submit(1, {.camera = 5});
  auto fresh = batcher.submit(2, {.camera = 5});
  auto other = batcher.submit(3, {.camera = 6});
  batcher.start();
  EXPECT_EQ(old.get().outcome, Outcome::kSuperseded);
  EXPECT_EQ(fresh.get().value, 2);
  EXPECT_EQ(other.get().value, 3);
}

TEST(AdaptiveBatcher, ManyCallersManyWorkers) {
  BatcherConfig config = patient();
  config.workers = 3;
  config.max_batch = 4;
  AdaptiveBatcher<int, std::string> batcher(config, [](std::span<int> numbers) {
    std::vector<std::string> out;
    for (const int n : numbers) out.push_back(std::to_string(n));
    return out;
  });
  batcher.start();
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 100; ++i) {
        const int n = caller * 100 + i;
        if (batcher.submit(n, {.camera = static_cast<CameraId>(caller)}).get().value == std::to_string(n)) ++right;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(right, 600);
}

}  // namespace
}  // namespace gantry
