#include "gantry/memory/host_pool.hpp"

#include <gtest/gtest.h>

#include "gantry/core/errors.hpp"
#include "gantry/memory/fake_pool.hpp"
#include "memory/pool_contract.hpp"
#include "support/sanitized.hpp"

namespace gantry::memory {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Host, PoolContract,
    testing::Values(PoolMaker{"host", [](auto classes) { return std::make_unique<HostPool>(classes); }},
                    PoolMaker{"fake", [](auto classes) { return std::make_unique<FakePool>(classes); }}),
    [](const auto& tested) { return tested.param.name; });

TEST(HostPool, SaysWhereItsMemoryLiesAndThatItIsUsable) {
  const std::vector<SizeClass> classes{{4096, 1}};
  HostPool pool(classes);
  EXPECT_EQ(pool.space(), MemorySpace::kHost);
  auto lease = pool.lease(4096);
  ASSERT_TRUE(lease);
  for (std::size_t i = 0; i < lease->capacity_bytes; ++i) lease->data[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(lease->data[4095], 255);
}

TEST(HostPool, MoreThanTheMachineHasIsAStartupErrorThatSaysWhatToDo) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers end the program where an allocation is this large";
  const std::vector<SizeClass> classes{{std::size_t{1} << 50, 1}};
  try {
    HostPool pool(classes);
    FAIL() << "a petabyte was granted";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("lower the number of cameras"), std::string::npos);
  }
}

TEST(FakePool, RunsDryOnDemand) {
  const std::vector<SizeClass> classes{{256, 2}};
  FakePool pool(classes);
  EXPECT_EQ(pool.space(), MemorySpace::kDevice);
  pool.run_dry(2);
  EXPECT_EQ(pool.lease(1).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(pool.lease(1).error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(pool.lease(1));
}

}  // namespace
}  // namespace gantry::memory
