#include "gantry/memory/gpu_pools.hpp"

#include <gtest/gtest.h>

#include "gantry/core/errors.hpp"
#include "gantry/memory/fake_gpu.hpp"
#include "memory/pool_contract.hpp"

namespace gantry::memory {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Gpu, PoolContract,
    testing::Values(
        PoolMaker{"device",
                  [](auto classes) { return std::make_unique<DevicePool>(std::make_shared<FakeGpu>(), classes); }},
        PoolMaker{"pinned",
                  [](auto classes) { return std::make_unique<PinnedPool>(std::make_shared<FakeGpu>(), classes); }}),
    [](const auto& tested) { return tested.param.name; });

class StreamOrder : public testing::Test {
 protected:
  StreamOrder() { gpu_->hold_streams(true); }

  std::shared_ptr<FakeGpu> gpu_ = std::make_shared<FakeGpu>();
  GpuStream one_ = gpu_->make_stream(false);
  GpuStream two_ = gpu_->make_stream(false);
  std::vector<SizeClass> classes_{{1024, 2}};
  DevicePool pool_{gpu_, classes_};

  std::uint8_t* use_and_return(GpuStream stream) {
    auto lease = pool_.lease(1000, stream);
    EXPECT_TRUE(lease);
    return lease->data;
  }
};

TEST_F(StreamOrder, TheSameStreamGetsItsBlockBackAtOnce) {
  std::uint8_t* first = use_and_return(one_);
  EXPECT_EQ(pool_.stats()[0].returning, 1);
  EXPECT_EQ(use_and_return(one_), first);
  EXPECT_EQ(pool_.stats()[0].high_water, 1);
  EXPECT_EQ(gpu_->waits(), 0);
}

TEST_F(StreamOrder, AnotherStreamTakesAFreeBlockBeforeOneThatIsStillWorkedOn) {
  std::uint8_t* first = use_and_return(one_);
  EXPECT_NE(use_and_return(two_), first);
  EXPECT_EQ(gpu_->waits(), 0);
}

TEST_F(StreamOrder, AnotherStreamTakesABlockThatItsStreamHasPassed) {
  std::uint8_t* first = use_and_return(one_);
  gpu_->advance(one_);
  EXPECT_EQ(use_and_return(two_), first);
  EXPECT_EQ(pool_.stats()[0].high_water, 1);
}

TEST_F(StreamOrder, WhereNothingElseIsFreeTheCardWaitsAndNotTheHost) {
  use_and_return(one_);
  auto held = pool_.lease(10, one_);  // the same block again
  ASSERT_TRUE(held);
  use_and_return(one_);  // the second one
  const auto waiting = pool_.lease(10, two_);
  ASSERT_TRUE(waiting);
  EXPECT_EQ(gpu_->waits(), 1);
}

TEST_F(StreamOrder, TheHostNeverGetsABlockThatAStreamStillWorksOn) {
  use_and_return(one_);
  const auto first = pool_.lease(10);
  ASSERT_TRUE(first);
  const auto refused = pool_.lease(10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(pool_.stats()[0].exhausted, 1);
  gpu_->advance(one_);
  EXPECT_TRUE(pool_.lease(10));
}

TEST(GpuPools, GiveEverythingBackToTheCard) {
  const auto gpu = std::make_shared<FakeGpu>();
  const std::vector<SizeClass> classes{{1 << 20, 4}};
  {
    DevicePool device(gpu, classes);
    PinnedPool pinned(gpu, classes);
    EXPECT_EQ(device.space(), MemorySpace::kDevice);
    EXPECT_EQ(pinned.space(), MemorySpace::kPinned);
    EXPECT_EQ(gpu->used_bytes(), 4 << 20);
    EXPECT_EQ(gpu->pinned_bytes(), 4 << 20);
  }
  EXPECT_EQ(gpu->used_bytes(), 0);
  EXPECT_EQ(gpu->pinned_bytes(), 0);
  EXPECT_EQ(gpu->marks(), 0);
}

TEST(GpuPools, ACardThatIsFullIsAStartupErrorThatSaysHowFull) {
  const auto gpu = std::make_shared<FakeGpu>(std::size_t{3} << 20);
  const std::vector<SizeClass> classes{{1 << 20, 4}};
  try {
    DevicePool pool(gpu, classes);
    FAIL() << "4 MiB on a card of 3";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("GPU 0 has not enough memory left for a pool of 4 MiB (3 MiB are free)"),
              std::string::npos)
        << error.what();
  }
}

TEST(OpenGpu, WithoutADriverItSaysWhatToDo) {
  std::shared_ptr<Gpu> gpu;
  try {
    gpu = open_gpu(0);
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()), "");
    GTEST_SKIP() << "no card here: " << error.what();
  }
  // With a card, the real one keeps the same promises as the fake.
  const std::vector<SizeClass> classes{{1 << 20, 2}};
  DevicePool pool(gpu, classes);
  const GpuStream stream = gpu->make_stream(true);
  const auto lease = pool.lease(1000, stream);
  ASSERT_TRUE(lease);
  std::vector<std::uint8_t> bytes(1000);
  EXPECT_TRUE(gpu->download(bytes.data(), 1000, lease->data, 1000, 1000, 1, stream));
  EXPECT_GT(gpu->memory().total_bytes, 0);
  EXPECT_TRUE(gpu->synchronise(stream));
}

}  // namespace
}  // namespace gantry::memory
