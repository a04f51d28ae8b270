#include "gantry/memory/memory_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gantry/core/errors.hpp"
#include "gantry/memory/fake_gpu.hpp"

namespace gantry {
namespace {

using memory::FakeGpu;
using testing::HasSubstr;

MemoryOptions small() {
  MemoryOptions options;
  options.streams = 2;
  options.device = {{1 << 20, 2}};
  options.pinned = {{1 << 16, 1}};
  options.host = {{4096, 1}};
  return options;
}

TEST(TensorDescriptor, KnowsItsBytesAndItsLimits) {
  EXPECT_EQ(TensorDescriptor({8, 3, 384, 640}, DataType::kFloat16).bytes(), 8u * 3 * 384 * 640 * 2);
  EXPECT_EQ(TensorDescriptor({}, DataType::kInt64).bytes(), 8u);
  EXPECT_THROW(TensorDescriptor({1, 0}, DataType::kUint8), PreconditionError);
  EXPECT_THROW(TensorDescriptor({1, 1, 1, 1, 1, 1, 1, 1, 1}, DataType::kUint8), PreconditionError);
  EXPECT_THROW((void)TensorDescriptor({std::int64_t{1} << 62, 16}, DataType::kUint8).bytes(), PreconditionError);
}

TEST(MemoryManager, LeasesTensorsFromThePoolOfTheirSpace) {
  MemoryManager manager(std::make_shared<FakeGpu>(), small());
  EXPECT_TRUE(manager.tensor({{1000, 1000}, DataType::kUint8}));
  EXPECT_TRUE(manager.tensor({{100}, DataType::kFloat32, MemorySpace::kPinned}));
  EXPECT_TRUE(manager.tensor({{100}, DataType::kFloat32, MemorySpace::kHost}));
  EXPECT_EQ(manager.tensor({{2000, 1000}, DataType::kUint8}).error().code, ErrorCode::kInvalid);
}

TEST(MemoryManager, ContextsLeaseStreamsAndHighPriorityIsHelpedOut) {
  const auto gpu = std::make_shared<FakeGpu>();
  MemoryManager manager(gpu, small());
  {
    auto urgent = manager.context(true);
    ASSERT_TRUE(urgent);
    EXPECT_TRUE(gpu->is_high_priority(urgent->stream()));
    EXPECT_EQ(urgent->device(), 0);
    auto helped = manager.context(true);
    ASSERT_TRUE(helped);
    EXPECT_FALSE(gpu->is_high_priority(helped->stream()));
    auto last = manager.context();
    ASSERT_TRUE(last);
    const auto refused = manager.context();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  }
  const MemoryStats stats = manager.stats();
  EXPECT_EQ(stats.normal.in_use, 0);
  EXPECT_EQ(stats.normal.high_water, 2);
  EXPECT_EQ(stats.normal.exhausted, 1);
  EXPECT_EQ(stats.high_priority.exhausted, 1);
  EXPECT_TRUE(manager.context());
}

TEST(MemoryManager, AContextLeasesInItsStreamsOrder) {
  const auto gpu = std::make_shared<FakeGpu>();
  gpu->hold_streams(true);
  MemoryManager manager(gpu, small());
  auto context = manager.context();
  ASSERT_TRUE(context);
  const TensorDescriptor descriptor({1000}, DataType::kUint8);
  std::uint8_t* first = context->tensor(descriptor)->data;
  EXPECT_EQ(context->tensor(descriptor)->data, first);
  EXPECT_EQ(manager.stats().pools[0].classes[0].returning, 1);
}

TEST(MemoryManager, KeepsToItsFractionOfTheCard) {
  const auto gpu = std::make_shared<FakeGpu>(std::size_t{10} << 20);
  MemoryOptions options = small();
  options.device = {{1 << 20, 9}};
  try {
    MemoryManager manager(gpu, options);
    FAIL() << "9 MiB of 8";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("need 9 MiB and may take 8 MiB"));
  }
  EXPECT_EQ(gpu->used_bytes(), 0);
  options.device = {{1 << 20, 7}};
  MemoryManager manager(gpu, options);
  EXPECT_EQ(manager.budget().reserve(2 << 20).error().code, ErrorCode::kExhausted);
  {
    const auto decoder = manager.budget().reserve(1 << 20);
    EXPECT_TRUE(decoder);
    EXPECT_FALSE(manager.budget().reserve(1));
  }
  EXPECT_TRUE(manager.budget().reserve(1));
  EXPECT_EQ(manager.budget().stats().refused, 2);
  EXPECT_EQ(manager.budget().stats().high_water_bytes, 8u << 20);
}

TEST(MemoryManager, WithoutACardLendsHostMemoryOnly) {
  MemoryOptions options;
  options.host = {{4096, 1}};
  MemoryManager manager(nullptr, options);
  auto context = manager.context(true);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->device(), -1);
  EXPECT_TRUE(context->tensor({{10}, DataType::kUint8, MemorySpace::kHost}));
  EXPECT_EQ(context->tensor({{10}, DataType::kUint8}).error().code, ErrorCode::kInvalid);
  options.device = {{256, 1}};
  EXPECT_THROW(MemoryManager(nullptr, options), PreconditionError);
}

TEST(MemoryManager, PrintsATable) {
  MemoryManager manager(std::make_shared<FakeGpu>(), small());
  const auto lease = manager.tensor({{10}, DataType::kUint8});
  const std::string table = format_table(manager.stats());
  EXPECT_THAT(table, HasSubstr("cuda:0 (Fake GPU)\n"));
  EXPECT_THAT(table,
              HasSubstr("device         1024.0        2        1          0        1            1          0\n"));
  EXPECT_THAT(table, HasSubstr("budget: 2 of 819 MiB reserved"));
}

TEST(MemoryManager, GivesEverythingBack) {
  const auto gpu = std::make_shared<FakeGpu>();
  { MemoryManager manager(gpu, small()); }
  EXPECT_EQ(gpu->used_bytes(), 0);
  EXPECT_EQ(gpu->pinned_bytes(), 0);
  EXPECT_EQ(gpu->streams(), 0);
  EXPECT_EQ(gpu->marks(), 0);
}

}  // namespace
}  // namespace gantry
