// What every back end promises beyond the boxes themselves, on the CPU engine.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/backend_harness.hpp"
#include "gantry/engine/factory.hpp"
#include "support/predictions.hpp"
#include "support/test_data.hpp"

namespace gantry::engine {
namespace {

using test::Picture;
using test::test_data;

constexpr const char* kModel = "weights/yolo11n_int8_openvino";
constexpr const char* kPicture = "coco_val/images/000000000139.jpg";
constexpr InputShape kSmall{320, 320};

std::unique_ptr<Backend> open(const char* model, ModelOptions options = {}) {
  options.path = test_data(model);
  options.device = Device::kCpu;
  return make_backend(options);
}

bool identical(const Detections& a, const Detections& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const Detection& x, const Detection& y) {
           return x.class_id == y.class_id && x.confidence == y.confidence && x.box.x1 == y.box.x1 &&
                  x.box.y1 == y.box.y1 && x.box.x2 == y.box.x2 && x.box.y2 == y.box.y2;
         });
}

TEST(CpuEngine, ReadsWhatTheModelSaysOfItself) {
  GANTRY_NEEDS_DATA(kModel);
  const auto int8 = open(kModel);
  EXPECT_EQ(int8->model().precision, "int8");
  EXPECT_EQ(int8->model().class_names.size(), 80);
  EXPECT_EQ(int8->model().class_names[9], "traffic light");
  EXPECT_EQ(int8->model().stride, 32);
  EXPECT_EQ(int8->model().native_shape, (InputShape{640, 640}));
  EXPECT_TRUE(int8->model().any_shape) << "frozen at 640x640, and freed";
  EXPECT_EQ(int8->shape_for(1280, 720), (InputShape{640, 384}));
  for (const char* name : {"weights/yolo11n.onnx", "weights/ultralytics_exports/yolo11n_ultra_static.onnx",
                           "weights/ultralytics_exports/yolo11n_ultra_dynamic.onnx"}) {
    const auto onnx = open(name);
    EXPECT_EQ(onnx->model().precision, "fp32") << name;
    EXPECT_EQ(onnx->model().class_names[2], "car") << name;
    EXPECT_TRUE(onnx->model().any_shape) << name;
    EXPECT_EQ(onnx->shape_for(352, 640), (InputShape{352, 640})) << name;
  }
}

TEST(CpuEngine, AFixedInputIsTheShapeOfEveryPicture) {
  GANTRY_NEEDS_DATA(kModel);
  ModelOptions options;
  options.input = kSmall;
  EXPECT_EQ(open(kModel, options)->shape_for(1280, 720), kSmall);
}

TEST(CpuEngine, FrozenExportsFreedOfTheirSizeAgreeWithTheDynamicExport) {
  GANTRY_NEEDS_DATA(kModel);
  const Picture picture = test::read_jpeg(test_data(kPicture));
  const auto dynamic = open("weights/ultralytics_exports/yolo11n_ultra_dynamic.onnx");
  const InputShape shape{480, 320};
  const auto expected = test::detect(*dynamic, {&picture}, shape)[0];
  ASSERT_FALSE(expected.empty());
  for (const char* name : {"weights/yolo11n.onnx", "weights/ultralytics_exports/yolo11n_ultra_static.onnx"}) {
    const auto frozen = open(name);
    const auto found = test::detect(*frozen, {&picture}, shape)[0];
    EXPECT_EQ(test::compare(expected, found, {0.999F, 0.001F}).rate(), 1.0) << name;
  }
}

TEST(CpuEngine, ABatchOfManyEqualsManyBatchesOfOneInEveryMode) {
  GANTRY_NEEDS_DATA(kModel);
  std::vector<Picture> pictures;
  for (unsigned seed = 0; seed < 4; ++seed)
    pictures.push_back(test::noise_picture(320 + 16 * static_cast<int>(seed), 240, PixelFormat::kNv12, seed));
  pictures.push_back(test::read_jpeg(test_data(kPicture)));
  std::vector<const Picture*> views;
  for (const Picture& picture : pictures) views.push_back(&picture);
  const auto backend = open(kModel);
  ModelOptions latency;
  latency.mode = Mode::kLatency;
  const auto one_by_one = open(kModel, latency);
  const auto together = test::detect(*backend, views, kSmall);
  ASSERT_EQ(together.size(), views.size());
  EXPECT_FALSE(together.back().empty());
  for (std::size_t i = 0; i < views.size(); ++i) {
    EXPECT_TRUE(identical(together[i], test::detect(*backend, {views[i]}, kSmall)[0])) << i;
    EXPECT_EQ(test::compare(together[i], test::detect(*one_by_one, {views[i]}, kSmall)[0], {0.99F, 0.005F}).rate(), 1.0)
        << i;
  }
}

TEST(CpuEngine, OptionsOfAFrameAreItsOwn) {
  GANTRY_NEEDS_DATA(kModel);
  const auto backend = open(kModel);
  const Picture picture = test::read_jpeg(test_data(kPicture));
  const auto all = test::detect(*backend, {&picture}, kSmall, {.confidence = 0.1F})[0];
  ASSERT_GT(all.size(), 3);
  const auto best = test::detect(*backend, {&picture}, kSmall, {.confidence = 0.1F, .max_detections = 2})[0];
  ASSERT_EQ(best.size(), 2);
  EXPECT_EQ(best[0].confidence, all[0].confidence);
  const int wanted = all[1].class_id;
  const auto chosen = test::detect(*backend, {&picture}, kSmall, {.confidence = 0.1F, .classes = {wanted}})[0];
  ASSERT_FALSE(chosen.empty());
  for (const Detection& detection : chosen) EXPECT_EQ(detection.class_id, wanted);
  for (const Detection& detection : all) {
    EXPECT_GT(detection.confidence, 0.1F);
    EXPECT_GE(detection.box.x1, 0);
    EXPECT_LE(detection.box.x2, static_cast<float>(picture.width));
    EXPECT_LE(detection.box.y2, static_cast<float>(picture.height));
  }
}

TEST(CpuEngine, EveryBatchIsAnsweredOnceEvenWhileItEnds) {
  GANTRY_NEEDS_DATA(kModel);
  constexpr int kThreads = 3;
  constexpr int kBatches = 6;
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  const DetectOptions options;
  std::atomic<int> answered{0};
  std::atomic<int> wrong{0};
  {
    const auto backend = open(kModel);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kBatches; ++i) {
          Batch batch;
          batch.id = static_cast<std::uint64_t>(t * kBatches + i);
          batch.shape = {64, 64};
          batch.entries.resize(1 + static_cast<std::size_t>(i % 3));
          for (auto& entry : batch.entries) {
            entry.frame = test::frame_of(picture);
            entry.frame.seq = batch.id;
            entry.options = &options;
          }
          const std::size_t size = batch.entries.size();
          backend->enqueue(std::move(batch), [&, size, id = static_cast<std::uint64_t>(t * kBatches + i)](
                                                 Batch&& back, Result<void> status) {
            if (!status || back.id != id || back.entries.size() != size || back.entries[0].frame.seq != id) ++wrong;
            ++answered;
          });
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(answered, kThreads * kBatches);
  EXPECT_EQ(wrong, 0);
}

TEST(CpuEngine, APictureOnAGpuIsRefusedAndTheNextOneRuns) {
  GANTRY_NEEDS_DATA(kModel);
  const auto backend = open(kModel);
  DetectOptions options;
  Batch batch;
  batch.shape = {64, 64};
  batch.entries.resize(1);
  batch.entries[0].frame.image.space = MemorySpace::kDevice;
  batch.entries[0].options = &options;
  std::atomic<bool> done{false};
  std::string message;
  backend->enqueue(std::move(batch), [&](Batch&&, Result<void> status) {
    if (!status) message = status.error().message;
    done = true;
    done.notify_one();
  });
  done.wait(false);
  EXPECT_EQ(message, "the CPU engine was given a picture that lies on a GPU");
  const Picture picture = test::noise_picture(64, 64, PixelFormat::kNv12, 1);
  EXPECT_EQ(test::detect(*backend, {&picture}, {64, 64}).size(), 1);
}

TEST(CpuEngine, RefusesBatchesThatBreakTheSeam) {
  GANTRY_NEEDS_DATA(kModel);
  const auto backend = open(kModel);
  const auto ignore = [](Batch&&, Result<void>) {};
  Batch without_options;
  without_options.shape = {64, 64};
  without_options.entries.resize(1);
  EXPECT_THROW(backend->enqueue(std::move(without_options), ignore), PreconditionError);
  EXPECT_THROW(backend->enqueue(Batch{}, ignore), PreconditionError);
}

TEST(CpuEngine, PrepareMeasuresEachBatchSize) {
  GANTRY_NEEDS_DATA(kModel);
  const auto backend = open(kModel);
  EXPECT_TRUE(backend->profiles().empty());
  backend->prepare({64, 64}, 4);
  backend->prepare({64, 32}, 1);
  const auto profiles = backend->profiles();
  ASSERT_EQ(profiles.size(), 4);
  EXPECT_EQ(profiles[0].shape, (InputShape{64, 32}));
  const int sizes[] = {1, 1, 2, 4};
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    EXPECT_EQ(profiles[i].batch, sizes[i]);
    EXPECT_GT(profiles[i].mean.count(), 0);
    EXPECT_GE(profiles[i].p99, profiles[i].mean / 2);
  }
}

}  // namespace
}  // namespace gantry::engine
