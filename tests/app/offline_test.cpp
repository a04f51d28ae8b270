#include "gantry/app/offline.hpp"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "app/fakes.hpp"

namespace gantry::app {
namespace {

using std::chrono::milliseconds;
using test::FakeBackend;
using test::FakeSource;

class Collect final : public OfflineOutput {
 public:
  void opened(std::size_t, const media::StreamInfo&) override { ++opened_inputs; }
  void frame(std::size_t input, const sinks::FrameResult& result, const Frame& frame) override {
    const std::lock_guard lock{mutex};
    results[input].push_back(result);
    if (frame.pixels) ++with_pixels;
    if (throw_at != 0 && results[input].size() == throw_at) throw std::runtime_error("disk full");
  }
  void closed(std::size_t) override { ++closed_inputs; }

  std::mutex mutex;
  std::map<std::size_t, std::vector<sinks::FrameResult>> results;
  std::size_t throw_at = 0;
  int with_pixels = 0;
  std::atomic<int> opened_inputs{0};
  std::atomic<int> closed_inputs{0};
};

class OfflineTest : public testing::Test {
 protected:
  OfflineInput input(const std::string& name, std::uint64_t frames, FakeSource::Script script = {}) {
    OfflineInput in;
    in.name = name;
    in.url = name + ".mp4";
    in.source = std::make_unique<FakeSource>(frames, alive, std::move(script));
    return in;
  }
  OfflineOptions options() {
    OfflineOptions out;
    out.make_decoder = [] { return media::make_ffmpeg_decoder(); };
    return out;
  }
  static void expect_balanced(const InputReport& report) {
    EXPECT_EQ(report.frames.received, report.frames.published() + report.frames.dropped()) << report.name;
    EXPECT_EQ(report.frames.in_flight, 0U) << report.name;
  }

  std::atomic<int> alive{0};
  SteadyClock clock;
  Collect collect;
};

TEST_F(OfflineTest, EveryFrameOfEveryInputComesOutOnceAndInOrder) {
  // Batches on four threads with delays that make answers overtake each other.
  std::atomic<int> turn{0};
  FakeBackend backend{4, 1, [&](const engine::Batch&) { return milliseconds{(turn++ * 7) % 5}; }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 100));
  inputs.push_back(input("b", 60));
  inputs.push_back(input("c", 1));
  const auto reports = job.run(std::move(inputs), collect);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& results = collect.results[i];
    ASSERT_EQ(results.size(), reports[i].frames.received);
    for (std::size_t n = 0; n < results.size(); ++n) {
      EXPECT_EQ(results[n].seq, n);
      EXPECT_EQ(results[n].camera, reports[i].name);
      EXPECT_EQ(results[n].pts, milliseconds{40 * n});
      ASSERT_EQ(results[n].detections.size(), 1U);
      EXPECT_EQ(results[n].detections[0].box.x1, static_cast<float>(n)) << "the answer belongs to another frame";
    }
    expect_balanced(reports[i]);
  }
  EXPECT_EQ(collect.results[0].size(), 100U);
  EXPECT_EQ(job.progress().frames, 161U);
  EXPECT_EQ(job.progress().frames_total, 161U);
  EXPECT_EQ(job.progress().inputs_done, 3U);
  EXPECT_EQ(job.latency().total.count(), 161U);
  EXPECT_EQ(alive, 0) << "a frame's pixels were kept";
  EXPECT_EQ(collect.opened_inputs, 3);
  EXPECT_EQ(collect.closed_inputs, 3);
}

TEST_F(OfflineTest, PartsOfTheLatencyAddUp) {
  FakeBackend backend{2, 1, [](const engine::Batch&) { return milliseconds{1}; }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 20));
  (void)job.run(std::move(inputs), collect);
  for (const auto& result : collect.results[0]) {
    const auto& at = result.latency;
    EXPECT_EQ(at.queue + at.preprocess + at.inference + at.postprocess, at.total);
    EXPECT_GE(at.total, milliseconds{1});
  }
}

TEST_F(OfflineTest, BatchesGrowWhileTheDeviceIsBusy) {
  FakeBackend backend{1, 8, [](const engine::Batch&) { return milliseconds{5}; }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 200));
  const auto reports = job.run(std::move(inputs), collect);
  EXPECT_EQ(backend.largest_batch(), 8U);
  EXPECT_EQ(reports[0].frames.published(), 200U);
}

TEST_F(OfflineTest, MemoryIsBoundedHoweverSlowTheNetworkIs) {
  std::atomic<int> most{0};
  FakeBackend backend{1, 1, [&](const engine::Batch&) {
                        most = std::max(most.load(), alive.load());
                        return milliseconds{2};
                      }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 100));
  (void)job.run(std::move(inputs), collect);
  EXPECT_LE(most, 8);
}

TEST_F(OfflineTest, AFailedInputIsReportedAndTheOthersGoOn) {
  FakeBackend backend;
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("broken", 10, [](std::uint64_t n) -> std::optional<Error> {
    if (n == 4) return Error{ErrorCode::kCorrupt, "broken.mp4: torn"};
    return std::nullopt;
  }));
  inputs.push_back(input("closed", 10, [](std::uint64_t n) -> std::optional<Error> {
    if (n == FakeSource::kOpening) return Error{ErrorCode::kNotFound, "closed.mp4: no such file"};
    return std::nullopt;
  }));
  inputs.push_back(input("good", 10));
  const auto reports = job.run(std::move(inputs), collect);
  EXPECT_EQ(reports[0].error.value().message, "broken.mp4: torn");
  EXPECT_EQ(reports[0].frames.published(), 4U);
  EXPECT_EQ(reports[1].error.value().code, ErrorCode::kNotFound);
  EXPECT_EQ(reports[1].frames.received, 0U);
  EXPECT_FALSE(reports[2].error);
  EXPECT_EQ(reports[2].frames.published(), 10U);
  for (const auto& report : reports) expect_balanced(report);
}

TEST_F(OfflineTest, PicturesCarryTheirOwnNamesAndABadOneCostsOnlyItself) {
  FakeBackend backend;
  OfflineJob job{backend, clock, options()};
  auto source = std::make_unique<FakeSource>(4, alive, [](std::uint64_t n) -> std::optional<Error> {
    if (n == 0) return Error{ErrorCode::kCorrupt, "one.jpg: no picture"};
    return std::nullopt;
  });
  source->name_pictures({"one", "two", "three", "four"});
  std::vector<OfflineInput> inputs;
  inputs.push_back({"folder", "folder", std::move(source), true});
  const auto reports = job.run(std::move(inputs), collect);
  ASSERT_EQ(collect.results[0].size(), 3U);
  const std::vector<std::string> names{"two", "three", "four"};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(collect.results[0][i].camera, names[i]);
    EXPECT_EQ(collect.results[0][i].seq, 0U);
  }
  EXPECT_EQ(reports[0].frames[Outcome::kDecodeError], 1U);
  EXPECT_EQ(reports[0].errors, 1U);
  expect_balanced(reports[0]);
}

TEST_F(OfflineTest, FailedBatchesAreCountedAsEngineErrors) {
  FakeBackend backend{1, 1, {}, [](const engine::Batch& batch) -> Result<void> {
                        if (batch.entries[0].frame.seq % 3 == 1) return fail(ErrorCode::kDevice, "out of order");
                        return {};
                      }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 9));
  const auto reports = job.run(std::move(inputs), collect);
  EXPECT_EQ(reports[0].frames[Outcome::kEngineError], 3U);
  EXPECT_EQ(reports[0].frames.published(), 6U);
  EXPECT_EQ(reports[0].error.value().message, "out of order");
  EXPECT_EQ(collect.results[0].size(), 6U);
  expect_balanced(reports[0]);
}

TEST_F(OfflineTest, AnOutputThatThrowsEndsTheJobCleanly) {
  FakeBackend backend{2, 1, [](const engine::Batch&) { return milliseconds{1}; }};
  collect.throw_at = 5;
  {
    OfflineJob job{backend, clock, options()};
    std::vector<OfflineInput> inputs;
    inputs.push_back(input("a", 100'000));
    inputs.push_back(input("b", 100'000));
    EXPECT_THROW((void)job.run(std::move(inputs), collect), std::runtime_error);
    EXPECT_LT(job.progress().frames, 1000U);
  }
  EXPECT_EQ(alive, 0);
}

TEST_F(OfflineTest, StopFinishesWhatWasRead) {
  FakeBackend backend{1, 1, [](const engine::Batch&) { return milliseconds{1}; }};
  OfflineJob job{backend, clock, options()};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 1'000'000));
  std::thread stopper{[&] {
    while (job.progress().frames < 10) std::this_thread::yield();
    job.stop();
  }};
  const auto reports = job.run(std::move(inputs), collect);
  stopper.join();
  expect_balanced(reports[0]);
  EXPECT_EQ(reports[0].frames.published(), reports[0].frames.received);
  EXPECT_FALSE(reports[0].error);
}

TEST_F(OfflineTest, MaxFramesIsExact) {
  FakeBackend backend;
  auto limited = options();
  limited.max_frames = 7;
  limited.keep_pixels = true;
  OfflineJob job{backend, clock, limited};
  std::vector<OfflineInput> inputs;
  inputs.push_back(input("a", 100));
  inputs.push_back(input("b", 3));
  const auto reports = job.run(std::move(inputs), collect);
  EXPECT_EQ(reports[0].frames.published(), 7U);
  EXPECT_EQ(reports[1].frames.published(), 3U);
  EXPECT_EQ(collect.with_pixels, 10);
  EXPECT_EQ(job.progress().frames_total, 10U);
}

}  // namespace
}  // namespace gantry::app
