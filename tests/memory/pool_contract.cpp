#include "memory/pool_contract.hpp"

#include <atomic>
#include <cstdlib>
#include <new>
#include <set>
#include <thread>
#include <vector>

namespace {

/// Every allocation of this program is counted, to prove that leases make none.
std::atomic<std::size_t> allocations{0};

}  // namespace

// Not inlined: the compiler would see malloc's memory handed to delete and warn of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace gantry::memory {
namespace {

constexpr SizeClass kSmall{1000, 3};  // becomes blocks of 1024
constexpr SizeClass kLarge{1 << 16, 2};

std::unique_ptr<Pool> make(const PoolMaker& maker) {
  const std::vector<SizeClass> classes{kLarge, kSmall};
  return maker.make(classes);
}

TEST_P(PoolContract, BlocksAreAlignedApartAndOfTheSmallestClassThatFits) {
  const auto pool = make(GetParam());
  std::vector<Lease> leases;
  std::set<std::uint8_t*> seen;
  for (int i = 0; i < 3; ++i) {
    auto lease = pool->lease(700);
    ASSERT_TRUE(lease);
    EXPECT_EQ(lease->capacity_bytes, 1024);
    EXPECT_EQ(lease->size_bytes, 700);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lease->data) % Pool::kAlignmentBytes, 0);
    for (std::uint8_t* other : seen) EXPECT_GE(std::abs(other - lease->data), 1024);
    seen.insert(lease->data);
    leases.push_back(std::move(*lease));
  }
}

TEST_P(PoolContract, AFullClassIsHelpedOutByALargerOneThenRefuses) {
  const auto pool = make(GetParam());
  std::vector<Lease> leases;
  for (int i = 0; i < 5; ++i) {
    auto lease = pool->lease(1024);
    ASSERT_TRUE(lease) << i;
    EXPECT_EQ(lease->capacity_bytes, i < 3 ? 1024 : 1 << 16);
    leases.push_back(std::move(*lease));
  }
  const auto refused = pool->lease(1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  leases.pop_back();
  EXPECT_TRUE(pool->lease(1));
}

TEST_P(PoolContract, MoreThanTheLargestClassIsInvalid) {
  const auto pool = make(GetParam());
  EXPECT_TRUE(pool->lease(1 << 16));
  const auto refused = pool->lease((1 << 16) + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
}

TEST_P(PoolContract, TheLastCopyGivesTheBlockBack) {
  const auto pool = make(GetParam());
  {
    auto lease = pool->lease(10);
    ASSERT_TRUE(lease);
    const StorageRef copy = lease->storage;
    lease->storage.reset();
    EXPECT_EQ(pool->stats()[0].in_use, 1);
  }
  EXPECT_EQ(pool->stats()[0].in_use, 0);
}

TEST_P(PoolContract, StatisticsCountWhatHappened) {
  const auto pool = make(GetParam());
  {
    std::vector<Lease> leases;
    for (int i = 0; i < 4; ++i) leases.push_back(std::move(*pool->lease(1)));
  }
  const auto stats = pool->stats();
  ASSERT_EQ(stats.size(), 2);
  EXPECT_EQ(stats[0].block_bytes, 1024);
  EXPECT_EQ(stats[0].blocks, 3);
  EXPECT_EQ(stats[0].leases, 3);
  EXPECT_EQ(stats[0].high_water, 3);
  EXPECT_EQ(stats[0].exhausted, 1);
  EXPECT_EQ(stats[0].in_use, 0);
  EXPECT_EQ(stats[1].leases, 1);
  EXPECT_EQ(stats[1].high_water, 1);
}

TEST_P(PoolContract, LeasesAndRefusalsAllocateNothing) {
  const auto pool = make(GetParam());
  const std::size_t before = allocations;
  for (int round = 0; round < 100; ++round) {
    auto one = pool->lease(100);
    auto two = pool->lease(1 << 16);
    auto three = pool->lease(1 << 16);
    auto refused = pool->lease(1 << 16);
    auto too_large = pool->lease(1 << 20);
    if (!one || !two || !three || refused || too_large) FAIL() << "round " << round;
  }
  EXPECT_EQ(allocations - before, 0);
}

TEST_P(PoolContract, ManyThreadsNeverShareABlock) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  const std::vector<SizeClass> classes{{256, 6}};
  const auto pool = GetParam().make(classes);
  std::uint8_t* first = pool->lease(1)->data;
  std::array<std::atomic<int>, 6> owners{};
  std::atomic<bool> shared{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        auto lease = pool->lease(256);
        if (!lease) continue;
        auto& owner = owners[static_cast<std::size_t>((lease->data - first) / 256)];
        if (owner.exchange(1) != 0) shared = true;
        owner = 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_FALSE(shared);
  EXPECT_EQ(pool->stats()[0].in_use, 0);
}

TEST_P(PoolContract, RefusesEmptySizeClasses) {
  EXPECT_THROW(GetParam().make(std::vector<SizeClass>{{0, 1}}), PreconditionError);
  EXPECT_THROW(GetParam().make(std::vector<SizeClass>{{256, 0}}), PreconditionError);
}

}  // namespace
}  // namespace gantry::memory
