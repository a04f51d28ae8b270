#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "gantry/core/outcome.hpp"

namespace gantry {
namespace {

TEST(FrameLedger, SumHoldsInEveryReadingWhileThreadsWrite) {
  FrameLedger ledger;
  constexpr int kFrames = 200'000;
  std::thread writer([&] {
    for (int i = 0; i < kFrames; ++i) {
      ledger.received();
      ledger.ended(static_cast<Outcome>(i % kOutcomeCount));
    }
  });
  for (int i = 0; i < 10'000; ++i) {
    const FrameCounts counts = ledger.read();
    ASSERT_EQ(counts.received, counts.published() + counts.dropped() + counts.in_flight);
    ASSERT_LE(counts.in_flight, counts.received);
  }
  writer.join();
  const FrameCounts counts = ledger.read();
  EXPECT_EQ(counts.received, kFrames);
  EXPECT_EQ(counts.in_flight, 0);
}

TEST(Outcome, EveryOneHasItsOwnName) {
  std::vector<std::string> names;
  for (int i = 0; i < kOutcomeCount; ++i) names.emplace_back(to_string(static_cast<Outcome>(i)));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::unique(names.begin(), names.end()), names.end());
  EXPECT_EQ(std::count(names.begin(), names.end(), "unknown"), 0);
}

}  // namespace
}  // namespace gantry
