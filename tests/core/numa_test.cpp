#include "gantry/core/numa.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "support/temporary_folder.hpp"

namespace gantry {
namespace {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

class NumaTest : public ::testing::Test {
 protected:
  /// A card at 0000:1b:00.0.
  void card(const std::string& node, const std::string& cpus) {
    sys.write("bus/pci/devices/0000:1b:00.0/numa_node", node + "\n");
    sys.write("bus/pci/devices/0000:1b:00.0/local_cpulist", cpus + "\n");
  }
  test::TemporaryFolder sys;
};

TEST(CpuList, IsWhatTheKernelWrites) {
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11"), (std::vector{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(cpu_list({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
  EXPECT_EQ(cpu_list({}), "");
  for (const char* bad : {"", "x", "-3", "1-", "1,,2", "5000"}) EXPECT_TRUE(parse_cpu_list(bad).empty()) << bad;
}

TEST_F(NumaTest, FindsTheCpusOfTheCardsNode) {
  const auto mine = allowed_cpus();
  if (mine.size() < 2) GTEST_SKIP() << "needs a second CPU to be farther away";
  card("1", std::to_string(mine.back()) + ",1000");
  for (const char* id : {"0000:1B:00.0", "00000000:1B:00.0", "0000:1b:00.0"}) {  // CUDA's, NVML's, the kernel's
    const NearCpus near = near_cpus(id, sys.path());
    EXPECT_EQ(near.node, 1) << id;
    EXPECT_EQ(near.cpus, std::vector{mine.back()}) << "without a CPU that this process may not use";
  }
}

TEST_F(NumaTest, NoCpuIsNearerWhereAllAreAsNearOrNothingIsKnown) {
  card("0", "0-1023");
  EXPECT_EQ(near_cpus("0000:1B:00.0", sys.path()).node, 0);
  EXPECT_TRUE(near_cpus("0000:1B:00.0", sys.path()).cpus.empty()) << "one node";
  card("-1", "0");
  EXPECT_EQ(near_cpus("0000:1B:00.0", sys.path()).node, -1) << "the kernel knows no nodes";
  EXPECT_TRUE(near_cpus("0000:1B:00.0", sys.path()).cpus.empty());
  card("1", "1000");
  EXPECT_TRUE(near_cpus("0000:1B:00.0", sys.path()).cpus.empty()) << "none of them is ours";
  for (const char* id : {"0000:2B:00.0", "", "../../x"}) EXPECT_EQ(near_cpus(id, sys.path()).node, -1) << id;
}

TEST(StayNear, HoldsThisThreadAndThoseThatItStarts) {
  const auto mine = allowed_cpus();
  if (mine.size() < 2) GTEST_SKIP() << "needs a second CPU to stay away from";
  {
    const StayNear here({.node = 1, .cpus = {mine.front()}});
    EXPECT_EQ(allowed_cpus(), std::vector{mine.front()});
    EXPECT_EQ(std::async(std::launch::async, allowed_cpus).get(), std::vector{mine.front()});
  }
  EXPECT_EQ(allowed_cpus(), mine);
  const StayNear nothing({});
  EXPECT_EQ(allowed_cpus(), mine);
  const StayNear nowhere({.node = 1, .cpus = {1000}});  // the kernel refuses
  EXPECT_EQ(allowed_cpus(), mine);
}

}  // namespace
}  // namespace gantry
