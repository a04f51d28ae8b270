// What of the CUDA engine needs no GPU: the tuning cache's file, the packing of weights, and how a plan becomes groups
// of kernels.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/cuda/kernels/conv.hpp"
#include "engine/cuda/steps.hpp"
#include "engine/cuda/tuning_cache.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/engine/graph/model.hpp"
#include "gantry/engine/graph/planner.hpp"

namespace gantry::cuda {
namespace {

std::string temporary(const char* name) {
  return (std::filesystem::path(::testing::TempDir()) / name).string();
}

const TuningIdentity kCard{"NVIDIA H100 80GB HBM3", 13000, "1", "0123456789abcdef"};

TEST(TuningCacheTest, KeepsChoicesOfTheSameIdentityOnly) {
  const std::string path = temporary("same.tuning");
  TuningCache cache(kCard);
  EXPECT_EQ(cache.load(temporary("nowhere.tuning")), TuningCache::Loaded::kMissing);
  cache.put("conv 3s1 b8", {"wg8x16x64/32R", 12.5});
  cache.put("network 640x640 b8", {"0MB/8", 600});
  ASSERT_TRUE(cache.save(path));
  TuningCache again(kCard);
  ASSERT_EQ(again.load(path), TuningCache::Loaded::kRead);
  ASSERT_TRUE(again.find("conv 3s1 b8").has_value());
  EXPECT_EQ(again.find("conv 3s1 b8")->name, "wg8x16x64/32R");
  EXPECT_DOUBLE_EQ(again.find("conv 3s1 b8")->micros, 12.5);
  EXPECT_FALSE(again.find("conv 3s1 b4").has_value());
  for (int field = 0; field < 4; ++field) {
    TuningIdentity other = kCard;
    if (field == 0) other.device = "NVIDIA A100";
    if (field == 1) other.driver_version = 13010;
    if (field == 2) other.engine = "2";
    if (field == 3) other.model_hash = "fedcba9876543210";
    TuningCache foreign(other);
    EXPECT_EQ(foreign.load(path), TuningCache::Loaded::kOther) << "identity field " << field;
    EXPECT_EQ(foreign.size(), 0U);
  }
}

TEST(TuningCacheTest, SeesEveryCutAndForeignBytes) {
  const std::string path = temporary("cut.tuning"), cut = temporary("cut2.tuning");
  TuningCache cache(kCard);
  for (int i = 0; i < 5; ++i) cache.put("key " + std::to_string(i), {"choice", static_cast<double>(i)});
  ASSERT_TRUE(cache.save(path));
  std::ifstream file(path);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  for (std::size_t length = 0; length + 1 < whole.size(); ++length) {
    std::ofstream(cut) << whole.substr(0, length);
    TuningCache read(kCard);
    EXPECT_NE(read.load(cut), TuningCache::Loaded::kRead)
        << "cut after " << length << " of " << whole.size() << " bytes";
    EXPECT_EQ(read.size(), 0U);
  }
  std::ofstream(cut) << "\x7f"
                        "ELF nonsense";
  TuningCache read(kCard);
  EXPECT_EQ(read.load(cut), TuningCache::Loaded::kCorrupt);
  EXPECT_FALSE(cache.save("/proc/nobody/can/write.tuning"));
}

TEST(PackConvWeights, PutsEveryWeightExactlyOnceIntoEachLayout) {
  const int cout = 40, taps = 9, cin = 24;
  std::vector<float> weights(static_cast<std::size_t>(cout * taps * cin));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 2039 + 1);
  for (const bool warpgroup : {false, true})
    for (const auto& [bn, group] : {std::pair{16, 16}, std::pair{64, 32}, std::pair{80, 16}}) {
      const auto packed = pack_conv_weights(weights.data(), cout, taps, cin, bn, group, warpgroup);
      ASSERT_EQ(packed.size(), static_cast<std::size_t>(64 * taps * round_up(cout, bn)));
      std::multiset<float> want(weights.begin(), weights.end()), got;
      for (const __half value : packed)
        if (__half2float(value) != 0) got.insert(__half2float(value));
      EXPECT_EQ(got, want) << "bn " << bn << " group " << group << (warpgroup ? " warpgroup" : "");
    }
}

class GroupsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("GANTRY_TEST_DATA");
    path_ =
        (std::filesystem::path(data != nullptr ? data : GANTRY_TEST_DATA_DEFAULT) / "weights/yolo11n.onnx").string();
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << "no test data at " << path_ << " (set GANTRY_TEST_DATA)";
  }
  std::shared_ptr<const graph::Plan> plan(std::size_t l2_bytes, bool separate) {
    graph::PlanOptions options;
    options.order = graph::PlanOptions::Order::kDependencies;
    options.max_views = kMaxConvSources;
    options.l2_bytes = l2_bytes;
    graph::Plan plan = graph::make_plan(graph::Model::load(path_), {640, 640}, options);
    if (separate) separate_fused(plan, card_);
    return std::make_shared<const graph::Plan>(std::move(plan));
  }
  DeviceInfo card_ = [] {
    DeviceInfo info;
    info.major = 9, info.multiprocessors = 132;
    return info;
  }();
  std::string path_;
};

TEST_F(GroupsTest, EveryOpRunsOnceAndAfterItsDependencies) {
  for (const std::size_t l2 : {std::size_t{0}, std::size_t{50} << 20}) {
    const auto p = plan(l2, true);
    WeightStore weights;
    const auto groups = make_groups(p, weights, card_);
    std::vector<int> group_of(p->ops.size(), -1);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (const int i : groups[g].ops) {
        EXPECT_EQ(group_of[static_cast<std::size_t>(i)], -1) << "op " << i << " runs twice";
        group_of[static_cast<std::size_t>(i)] = static_cast<int>(g);
      }
      for (const int before : groups[g].after) EXPECT_LT(before, static_cast<int>(g));
      ASSERT_FALSE(groups[g].ways.empty());
      for (const Way& way : groups[g].ways)
        for (const Step& step : way.steps) EXPECT_FALSE(step.candidates.empty()) << step.key;
    }
    for (std::size_t i = 0; i < p->ops.size(); ++i) {
      ASSERT_GE(group_of[i], 0) << "op " << p->ops[i].name << " never runs";
      for (const int d : p->ops[i].depends_on) EXPECT_LE(group_of[static_cast<std::size_t>(d)], group_of[i]);
    }
    EXPECT_LE(groups.size(), 64U) << "YOLO11n has 89 ops; blocks must be fused";
  }
}

TEST_F(GroupsTest, WhatAFusedKernelWritesNeverLiesWhereItReads) {
  const auto p = plan(0, true);
  WeightStore weights;
  const auto range = [&](const graph::View& view) {
    const std::size_t start = p->offset_of(view.buffer, 1);
    return std::pair{start, start + p->buffers[static_cast<std::size_t>(view.buffer)].bytes()};
  };
  for (const Group& group : make_groups(p, weights, card_))
    for (const int writer : group.ops)
      for (const graph::View& out : p->ops[static_cast<std::size_t>(writer)].outputs)
        for (const int reader : group.ops)
          for (const graph::View& in : p->ops[static_cast<std::size_t>(reader)].inputs) {
            if (in.buffer == out.buffer || p->buffers[static_cast<std::size_t>(in.buffer)].external) continue;
            const auto [out_start, out_end] = range(out);
            const auto [in_start, in_end] = range(in);
            EXPECT_TRUE(out_end <= in_start || in_end <= out_start)
                << p->ops[static_cast<std::size_t>(writer)].name << " writes over "
                << p->ops[static_cast<std::size_t>(reader)].name;
          }
  EXPECT_LT(p->arena_bytes(1) * 3, p->sum_of_buffers()) << "the arena must stay under a third of the buffers' sum";
}

TEST_F(GroupsTest, WithoutWarpgroupsNoVariantNeedsThem) {
  DeviceInfo old = card_;
  old.major = 8;
  const auto p = plan(0, true);
  WeightStore weights;
  for (const Group& group : make_groups(p, weights, old))
    for (const Way& way : group.ways)
      for (const Step& step : way.steps)
        for (const Candidate& candidate : step.candidates)
          EXPECT_TRUE(!candidate.name.starts_with("wg") && !candidate.name.starts_with("tma")) << step.key;
}

TEST(DescribeDevice, SaysWhatIsMissing) {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) GTEST_SKIP() << "this machine has a GPU";
  try {
    static_cast<void>(describe_device(0));
    FAIL() << "a machine without a GPU has no GPU 0";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("no CUDA GPU"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gantry::cuda
