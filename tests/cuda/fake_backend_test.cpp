// The CUDA back end around its kernels, on a fake runtime: what it says of bad cards and models, plan files, tuning
// behind running lanes, the exchange of graphs, a card that breaks, and that a warm batch allocates nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "cuda/fake_cuda.hpp"
#include "engine/backend_harness.hpp"
#include "engine/cuda/backend.hpp"
#include "engine/cuda/device.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/core/trace.hpp"
#include "gantry/engine/cuda/inference_engine.hpp"
#include "gantry/engine/graph/check.hpp"
#include "gantry/engine/graph/planner.hpp"
#include "graph/onnx_builder.hpp"
#include "media/counting_new.hpp"

namespace gantry::cuda {
namespace {

namespace fs = std::filesystem;
using engine::InputShape;
using test::Picture;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fake = test::fake_cuda;

constexpr InputShape kShape{64, 64};

class FakeBackend : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("gantry_fake_backend_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "cache");
    ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1);
    model_ = (folder_ / "mini.onnx").string();
    std::ofstream(model_, std::ios::binary) << test::mini_yolo({.attention = false}).bytes();
    fake::reset();
    before_ = spdlog::default_logger();
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)));
  }
  void TearDown() override {
    spdlog::set_default_logger(before_);
    fs::remove_all(folder_);
  }

  std::unique_ptr<engine::Backend> open(bool wait = false) const {
    engine::ModelOptions options;
    options.path = model_;
    options.wait_for_tuning = wait;
    return make_cuda_backend(options);
  }
  std::string refusal(const std::string& path) const {
    engine::ModelOptions options;
    options.path = path;
    try {
      static_cast<void>(make_cuda_backend(options));
    } catch (const StartupError& error) {
      return error.what();
    }
    return "accepted";
  }
  std::vector<fs::path> plan_files() const {
    std::vector<fs::path> found;
    if (fs::exists(folder_ / "cache/gantry"))
      for (const auto& entry : fs::directory_iterator(folder_ / "cache/gantry"))
        if (entry.path().extension() == ".plan") found.push_back(entry.path());
    return found;
  }
  int said(const std::string& words) const {
    spdlog::default_logger()->flush();
    int times = 0;
    const std::string all = log_.str();
    for (auto at = all.find(words); at != std::string::npos; at = all.find(words, at + 1)) ++times;
    return times;
  }
  /// Waits, generously, for something that another thread does.
  template <typename Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  fs::path folder_;
  std::string model_;
  std::ostringstream log_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST_F(FakeBackend, SaysWhatIsWrongWithTheCard) {
  const auto with = [&](fake::Card card) {
    fake::reset(card);
    return refusal(model_);
  };
  EXPECT_THAT(with({.count = 0}), HasSubstr("no CUDA GPU on this machine"));
  EXPECT_THAT(with({.driver_version = 12020, .driver_too_old = true}),
              AllOf(HasSubstr("driver"), HasSubstr("12.2"), HasSubstr("13.0"), HasSubstr("update the driver")));
  EXPECT_THAT(with({.name = "Tesla T4", .major = 7, .minor = 5}),
              AllOf(HasSubstr("Tesla T4"), HasSubstr("7.5"), HasSubstr("8.0"), HasSubstr("use the CPU")));
  engine::ModelOptions second;
  second.path = model_, second.device_index = 1;
  fake::reset();
  try {
    static_cast<void>(make_cuda_backend(second));
    FAIL() << "there is only one card";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no GPU 1"), HasSubstr("has 1")));
  }
}

TEST_F(FakeBackend, SaysWhatIsWrongWithTheModel) {
  const auto write = [&](const char* name, const std::string& bytes) {
    const std::string file = (folder_ / name).string();
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  };
  EXPECT_THAT(refusal(write("yolo11n.pt", "PK\003\004rest")), HasSubstr("yolo export model="));
  EXPECT_THAT(refusal((folder_ / "nowhere.onnx").string()), HasSubstr("nowhere.onnx"));
  test::OnnxBuilder odd = test::mini_yolo({.attention = false});
  odd.proto().mutable_graph()->mutable_node(0)->set_op_type("Einsum");
  EXPECT_THAT(refusal(write("odd.onnx", odd.bytes())),
              AllOf(HasSubstr("Einsum"), HasSubstr(odd.proto().graph().node(0).name()), HasSubstr("Conv")));
}

TEST_F(FakeBackend, AModelLargerThanTheCardSaysSoAndWhatRanStillRuns) {
  fake::reset({.memory_bytes = std::size_t{24} << 20});
  const auto backend = open();
  backend->prepare(kShape, 1);
  try {
    backend->prepare({640, 640}, 64);
    FAIL() << "64 pictures of 640x640 don't fit 24 MB";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("MB left"), HasSubstr("of 24 MB"), HasSubstr("smaller model")));
  }
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  EXPECT_EQ(test::detect(*backend, {&picture}, kShape).at(0).size(), 1U);
  EXPECT_FALSE(backend->failed());
}

TEST_F(FakeBackend, KeepsToItsFractionOfTheCard) {
  fake::reset({.memory_bytes = std::size_t{64} << 20});
  engine::ModelOptions options;
  options.path = model_;
  options.memory_fraction = 0.1;
  const auto backend = make_cuda_backend(options);
  try {
    backend->prepare({320, 320}, 8);
    FAIL() << "four lanes of that take more than 6 MB";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("57 stay so"), HasSubstr("memory fraction")));
  }
  backend->prepare(kShape, 1);
  EXPECT_LE(fake::counts().bytes, std::size_t{64} << 20) << "what fits is taken";
}

TEST_F(FakeBackend, LanesAreAPoolThatCanBeRead) {
  const auto backend = open();
  EXPECT_EQ(backend->pools().at(0).classes.at(0).block_bytes, 0U);
  backend->prepare(kShape, 4);
  const auto before = backend->pools().at(0).classes.at(0);
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  for (int i = 0; i < 3; ++i) static_cast<void>(test::detect(*backend, {&picture}, kShape));
  const auto pools = backend->pools();
  ASSERT_EQ(pools.size(), 1U);
  EXPECT_EQ(pools[0].name, "cuda:0 lanes");
  const auto& lanes = pools[0].classes.at(0);
  EXPECT_EQ(lanes.blocks, 4U);
  EXPECT_GE(lanes.block_bytes, std::size_t{4} * 64 * 64 * 4 * 2) << "at least the input of four pictures";
  EXPECT_EQ(lanes.leases, before.leases + 3);
  EXPECT_GE(lanes.high_water, 1U);
}

TEST_F(FakeBackend, ThreadsStayOnTheCpusNearTheCard) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  ASSERT_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
  if (CPU_COUNT(&mine) < 2) GTEST_SKIP() << "needs a second CPU to stay away from";
  int first = 0;
  while (!CPU_ISSET(first, &mine)) ++first;
  fs::create_directories(folder_ / "sys/bus/pci/devices/0000:1b:00.0");
  std::ofstream(folder_ / "sys/bus/pci/devices/0000:1b:00.0/numa_node") << "1\n";
  std::ofstream(folder_ / "sys/bus/pci/devices/0000:1b:00.0/local_cpulist") << first << "\n";
  engine::ModelOptions options;
  options.path = model_;
  const auto backend = make_cuda_backend(options, folder_ / "sys");
  backend->prepare(kShape, 1);
  EXPECT_EQ(said("GPU 0: its threads stay on NUMA node 1, CPUs " + std::to_string(first)), 1);
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  const engine::DetectOptions detect;
  engine::Batch batch;
  batch.shape = kShape;
  batch.entries.resize(1);
  batch.entries[0].frame = test::frame_of(picture), batch.entries[0].options = &detect;
  std::promise<cpu_set_t> lane;
  backend->enqueue(std::move(batch), [&](engine::Batch&&, Result<void>) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    lane.set_value(cpus);
  });
  const cpu_set_t of_lane = lane.get_future().get();
  EXPECT_EQ(CPU_COUNT(&of_lane), 1);
  EXPECT_TRUE(CPU_ISSET(first, &of_lane));
  cpu_set_t after;
  CPU_ZERO(&after);
  sched_getaffinity(0, sizeof after, &after);
  EXPECT_TRUE(CPU_EQUAL(&after, &mine)) << "whoever made it runs where it could before";
}

TEST_F(FakeBackend, SaysHowUsableThePictureOfAFrameIsThatAsks) {
  const auto backend = open();
  backend->prepare(kShape, 2);
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  const engine::DetectOptions options;
  engine::Batch batch;
  batch.shape = kShape;
  batch.entries.resize(2);
  for (auto& entry : batch.entries) entry.frame = test::frame_of(picture), entry.options = &options;
  batch.entries[1].frame.wants_quality = true;
  std::promise<engine::Batch> done;
  backend->enqueue(std::move(batch), [&](engine::Batch&& back, Result<void>) { done.set_value(std::move(back)); });
  const engine::Batch back = done.get_future().get();
  EXPECT_FALSE(back.entries[0].quality);
  ASSERT_TRUE(back.entries[1].quality);
  EXPECT_EQ(back.entries[1].quality->brightness, 0) << "no kernel ran here; letterbox_kernel_test has the figures";
}

TEST_F(FakeBackend, BoxesComeInSourcePixelsOfTheirOwnPicture) {
  const auto backend = open();
  backend->prepare(kShape, 4);
  const Picture same = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  const Picture wide = test::noise_picture(256, 128, PixelFormat::kBgr24, 2);
  engine::DetectOptions options;
  const auto found = test::detect(*backend, {&same, &wide, &same}, kShape, options);
  ASSERT_EQ(found.size(), 3U);
  for (const Detections& one : found) ASSERT_EQ(one.size(), 1U);
  EXPECT_FLOAT_EQ(found[0][0].box.x1, fake::kBox[0]);
  EXPECT_FLOAT_EQ(found[2][0].box.y2, fake::kBox[3]);
  // 256x128 lies in 64x64 at a quarter of its size, 16 rows from the top.
  EXPECT_FLOAT_EQ(found[1][0].box.x1, fake::kBox[0] * 4);
  EXPECT_FLOAT_EQ(found[1][0].box.y2, (fake::kBox[3] - 16) * 4);
  options.confidence = 0.95F;
  EXPECT_TRUE(test::detect(*backend, {&same}, kShape, options)[0].empty()) << "the threshold must reach the card";
  options = {.classes = {0, 2}};
  EXPECT_TRUE(test::detect(*backend, {&same}, kShape, options)[0].empty()) << "the classes must reach the card";
  options = {.every_class = true};
  const auto every = test::detect(*backend, {&same}, kShape, options)[0];
  EXPECT_GT(std::count_if(every.begin(), every.end(), [](const Detection& d) { return d.class_id != 1; }), 0)
      << "maps of zeros give every class the score 0.5";
}

TEST_F(FakeBackend, ATracedBatchShowsItsStepsOnTheCardAndOnTheHost) {
  const auto backend = open();
  backend->prepare(kShape, 4);
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  Trace trace{1000};
  trace.start();
  static_cast<void>(test::detect(*backend, {&picture, &picture}, kShape));
  trace.stop();
  static_cast<void>(test::detect(*backend, {&picture}, kShape));
  const fs::path file = folder_ / "trace.json";
  const auto written = trace.write(file);
  EXPECT_EQ(written.spans, 7U) << "three on the card, four on the host, of the traced batch alone";
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  for (const char* name : {"GPU streams", "host threads of the GPUs", "\"fetch\"", "\"preprocess\"",
                           "\"network and NMS\"", "\"wait for the network\"", "\"boxes\"", "\"frames\":2"})
    EXPECT_THAT(text.str(), HasSubstr(name));
}

TEST_F(FakeBackend, StartsUntunedTunesBehindAndKeepsThePlan) {
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  {
    const auto backend = open();
    backend->prepare(kShape, 4);
    EXPECT_EQ(backend->profiles().size(), 3U);
    EXPECT_EQ(test::detect(*backend, {&picture}, kShape)[0].size(), 1U);
    ASSERT_TRUE(eventually([&] { return said("64x64 is tuned") == 1; }));
    EXPECT_EQ(test::detect(*backend, {&picture}, kShape)[0].size(), 1U) << "after the exchange of graphs";
  }
  ASSERT_EQ(plan_files().size(), 1U);
  EXPECT_EQ(said("untuned"), 1);
  const auto launches_of = [&] {
    fake::reset();
    const auto backend = open();
    backend->prepare(kShape, 4);
    EXPECT_EQ(test::detect(*backend, {&picture}, kShape)[0].size(), 1U);
    return fake::counts();
  };
  const fake::Counts second = launches_of();
  EXPECT_EQ(said("untuned"), 1) << "the second start must know its choices";
  const fake::Counts third = launches_of();
  EXPECT_LT(third.replays, second.replays) << "latencies are measured once and kept";
  EXPECT_EQ(third.replays, 1U);
}

TEST_F(FakeBackend, AKernelThatTheCardRefusesGivesWayOrIsNamed) {
  fake::reset({.refuses = "tma_conv"});
  {
    const auto backend = open();
    backend->prepare(kShape, 2);
    const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
    EXPECT_EQ(test::detect(*backend, {&picture}, kShape)[0].size(), 1U);
    EXPECT_TRUE(eventually([&] { return said("64x64 is tuned") == 1; }));
  }
  fake::reset({.refuses = "stem_kernel"});
  try {
    open()->prepare({96, 64}, 1);
    FAIL() << "there is one kernel for the stem";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("stem"));
  }
}

TEST_F(FakeBackend, ADamagedPlanFileIsSaidOnceAndWrittenAgain) {
  open(true)->prepare(kShape, 1);
  ASSERT_EQ(plan_files().size(), 1U);
  const fs::path file = plan_files()[0];
  const auto size = fs::file_size(file);
  fs::resize_file(file, size / 2);
  {
    const auto backend = open(true);
    backend->prepare(kShape, 1);
    backend->prepare({96, 64}, 1);
  }
  EXPECT_EQ(said("is damaged"), 1);
  const auto backend = open();
  backend->prepare(kShape, 1);
  backend->prepare({96, 64}, 1);
  EXPECT_EQ(said("is damaged"), 1) << "it was written again";
  EXPECT_EQ(said("untuned"), 0);
}

TEST_F(FakeBackend, APlanOfAnotherDriverIsNotTrusted) {
  open(true)->prepare(kShape, 1);
  fake::reset({.driver_version = 13010});
  const auto backend = open(true);
  EXPECT_EQ(said("another driver or engine version"), 1);
  backend->prepare(kShape, 1);
  EXPECT_EQ(plan_files().size(), 1U);
}

TEST_F(FakeBackend, PrepareGoesBeforeTuning) {
  const auto backend = open();
  backend->prepare(kShape, 64);
  for (const InputShape shape : {InputShape{96, 64}, InputShape{64, 96}, InputShape{128, 64}})
    backend->prepare(shape, 8);
  EXPECT_TRUE(eventually([&] { return said("is tuned") == 4; })) << "what was interrupted must be taken up again";
}

TEST_F(FakeBackend, LanesRunOnWhileKernelsAreTuned) {
  const auto backend = open();
  backend->prepare(kShape, 8);
  const Picture picture = test::noise_picture(80, 48, PixelFormat::kNv12, 1);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t)
    callers.emplace_back([&] {
      while (said("64x64 is tuned") == 0)
        if (test::detect(*backend, {&picture, &picture, &picture}, kShape)[2].size() != 1) ++wrong;
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(FakeBackend, ABrokenCardFailsItsBatchesAndNothingElse) {
  const auto backend = open(true);
  backend->prepare(kShape, 4);
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  EXPECT_EQ(test::detect(*backend, {&picture}, kShape)[0].size(), 1U);
  fake::break_card();
  std::atomic<int> answered{0};
  std::vector<Error> errors(40);
  const engine::DetectOptions options;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    engine::Batch batch;
    batch.id = i, batch.shape = kShape;
    batch.entries.resize(1);
    batch.entries[0].frame = test::frame_of(picture), batch.entries[0].options = &options;
    backend->enqueue(std::move(batch), [&](engine::Batch&& back, Result<void> status) {
      if (!status) errors[back.id] = status.error();
      ++answered;
    });
  }
  ASSERT_TRUE(eventually([&] { return answered == 40; }));
  EXPECT_TRUE(backend->failed());
  int earlier = 0;
  for (const Error& error : errors) {
    EXPECT_EQ(error.code, ErrorCode::kDevice);
    earlier += error.message.find("failed earlier; restart Gantry") != std::string::npos ? 1 : 0;
    EXPECT_THAT(error.message, ::testing::AnyOf(HasSubstr("illegal memory access"), HasSubstr("failed earlier")));
  }
  EXPECT_GE(earlier, 38) << "at most one batch a lane finds out";
  EXPECT_EQ(said("has failed and takes no more work"), 1);
  EXPECT_THROW(backend->prepare({96, 64}, 1), DeviceError);
}

TEST_F(FakeBackend, EnqueueAnswersOnceAlsoAfterAFault) {
  const auto engine = InferenceEngine::load({.model = model_, .cache_folder = {}, .tune = false});
  engine->prepare(kShape, 2);
  const engine::DetectOptions options;
  const engine::DetectOptions* const one = &options;
  int answers = 0;
  Result<void> last;
  const auto note = [&](Result<void> status) { ++answers, last = std::move(status); };
  engine->enqueue(0, kShape, 2, {&one, 1}, note);
  EXPECT_EQ(answers, 1);
  EXPECT_TRUE(last.has_value());
  engine->enqueue(0, {32, 32}, 2, {&one, 1}, note);
  EXPECT_EQ(answers, 2);
  ASSERT_FALSE(last.has_value());
  EXPECT_EQ(last.error().code, ErrorCode::kInvalid);
  fake::break_card();
  engine->enqueue(0, kShape, 2, {&one, 1}, note);
  EXPECT_EQ(answers, 3);
  ASSERT_FALSE(last.has_value());
  EXPECT_EQ(last.error().code, ErrorCode::kDevice);
}

TEST_F(FakeBackend, LayersThatNoKernelWroteAreOutOfTolerance) {
  const auto engine = InferenceEngine::load({.model = model_, .cache_folder = {}, .tune = false});
  engine->prepare(kShape, 1);
  const auto model = graph::Model::load(model_);
  const auto plan = graph::make_plan(model, kShape);
  const auto images = graph::drawn_images(kShape, 1);
  const graph::LayerCheck reference(model, plan, images, 1);
  const auto errors = engine->check_layers(reference, kShape, images, graph::CheckMode::kCumulative);
  ASSERT_FALSE(errors.empty());
  EXPECT_EQ(errors.front().op, 0);
  for (const auto& error : errors) EXPECT_FALSE(error.within(1.0)) << error.node << ": the fake runs no kernels";
}

TEST_F(FakeBackend, TenThousandWarmBatchesAllocateNothing) {
  constexpr int kBatches = 10'000, kImages = 4;
  const auto backend = open(true);
  backend->prepare(kShape, kImages);
  const Picture picture = test::noise_picture(96, 64, PixelFormat::kNv12, 1);
  const engine::DetectOptions options;
  engine::Batch batch;
  batch.shape = kShape;
  batch.entries.resize(kImages);
  for (auto& entry : batch.entries) entry.frame.image = picture.view(), entry.options = &options;
  struct Answer {
    engine::Batch batch;
    int errors = 0;
    std::atomic<bool> there{false};
  } answer;
  answer.batch = std::move(batch);
  const auto go = [&] {
    answer.there = false;
    backend->enqueue(std::move(answer.batch), [a = &answer](engine::Batch&& back, Result<void> status) {
      a->errors += status && back.entries[kImages - 1].detections.size() == 1 ? 0 : 1;
      a->batch = std::move(back);
      a->there = true;
      a->there.notify_one();
    });
    answer.there.wait(false);
  };
  for (int i = 0; i < 200; ++i) go();  // both lanes have met these pictures
  const auto before = fake::counts();
  const std::uint64_t allocations = media::testing::allocations_so_far();
  for (int i = 0; i < kBatches; ++i) go();
  EXPECT_EQ(media::testing::allocations_so_far() - allocations, 0U)
      << "operator new, of all threads, in " << kBatches << " batches";
  EXPECT_EQ(fake::counts().allocations, before.allocations) << "cudaMalloc and cudaHostAlloc";
  EXPECT_EQ(fake::counts().replays, before.replays + kBatches);
  EXPECT_EQ(answer.errors, 0);
}

TEST_F(FakeBackend, RefusesBatchesThatBreakTheSeam) {
  const auto backend = open();
  const auto ignore = [](engine::Batch&&, Result<void>) {};
  engine::Batch without_options;
  without_options.shape = kShape;
  without_options.entries.resize(1);
  EXPECT_THROW(backend->enqueue(std::move(without_options), ignore), PreconditionError);
  EXPECT_THROW(backend->enqueue(engine::Batch{}, ignore), PreconditionError);
}

}  // namespace
}  // namespace gantry::cuda
