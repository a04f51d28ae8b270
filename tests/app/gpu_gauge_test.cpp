// What is read of GPUs, from a stand-in for NVIDIA's library, which is loaded under its name.
#include "gantry/app/gpu_gauge.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "app/fake_nvml.hpp"
#include "gantry/app/machine.hpp"
#include "support/temporary_folder.hpp"

namespace gantry::app {
namespace {

class GpuGaugeTest : public testing::Test {
 protected:
  GpuGaugeTest() {
    fake_nvml() = {};
    fake_nvml().utilization[0] = 37;
    fake_nvml().utilization[1] = 81;
    fake_nvml().memory_used[1] = 5000;
  }
  ~GpuGaugeTest() override { unsetenv("CUDA_VISIBLE_DEVICES"); }
};

TEST_F(GpuGaugeTest, ReadsTheGpuThatADeviceNames) {
  const GpuGauge meter;
  EXPECT_EQ(meter.read("cuda:0")->utilization_percent, 37);
  const auto second = meter.read("cuda:1");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->utilization_percent, 81);
  EXPECT_EQ(second->memory_used_bytes, 5000U);
  EXPECT_EQ(second->memory_total_bytes, 80'000U);
}

TEST_F(GpuGaugeTest, FollowsCudaVisibleDevices) {
  setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
  const GpuGauge meter;
  EXPECT_EQ(meter.read("cuda:0")->utilization_percent, 81);
  EXPECT_EQ(meter.read("cuda:1")->utilization_percent, 37);
  EXPECT_FALSE(meter.read("cuda:2"));
  setenv("CUDA_VISIBLE_DEVICES", "GPU-bbbb", 1);
  EXPECT_EQ(meter.read("cuda:0")->utilization_percent, 81);
}

TEST_F(GpuGaugeTest, SaysNothingOfOtherDevicesAndOfGpusThatAreGone) {
  const GpuGauge meter;
  for (const char* device : {"cpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:7", ""})
    EXPECT_FALSE(meter.read(device)) << device;
  fake_nvml().lost = true;
  EXPECT_FALSE(meter.read("cuda:0"));
}

TEST_F(GpuGaugeTest, ADriverThatDoesNotAnswerIsNoGpu) {
  fake_nvml().driver_answers = false;
  const GpuGauge meter;
  EXPECT_FALSE(meter.read("cuda:0"));
}

TEST_F(GpuGaugeTest, ClosesTheLibraryAgain) {
  { const GpuGauge meter; }
  EXPECT_EQ(fake_nvml().open, 0);
}

TEST_F(GpuGaugeTest, TheMachineSaysWhatLiesNearEachCard) {
  const test::TemporaryFolder sys;
  sys.write("bus/pci/devices/0000:ac:00.0/numa_node", "1\n");
  sys.write("bus/pci/devices/0000:ac:00.0/local_cpulist", "0\n");
  const Machine machine = read_machine(sys.path());
  ASSERT_EQ(machine.gpus.size(), 2U);
  EXPECT_EQ(machine.gpus[0].near.node, -1) << "the kernel says nothing of it";
  EXPECT_EQ(machine.gpus[1].near.node, 1);
}

}  // namespace
}  // namespace gantry::app
