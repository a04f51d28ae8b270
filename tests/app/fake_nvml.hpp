#pragma once

struct FakeNvml {
  bool driver_answers = true;
  bool lost = false;  ///< a GPU that has fallen off the bus
  int open = 0;
  unsigned utilization[2] = {0, 0};
  unsigned long long memory_used[2] = {0, 0};
  const char* bus_ids[2] = {"00000000:1B:00.0", "00000000:AC:00.0"};
};
FakeNvml& fake_nvml();
