#pragma once
// Runs a fused plan on the CPU in float32: slow and plain, in the very arena that the plan lays out (in float32), so
// that import, fusion, layout and liveness are proven without a GPU. Of a quantised plan the 8-bit convolutions are
// summed in whole numbers, as a GPU does it, and every map holds the values of its steps: rounded once, where the plan
// says so.
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gantry/engine/graph/planner.hpp"
#include "gantry/engine/graph/reference.hpp"

namespace gantry::graph {

/// Not thread-safe; one a thread.
class CpuExecutor {
 public:
  /// Called after each op for each image while the op's results are in the arena.
  using Observer = std::function<void(int op, int image)>;

  /// `order` as the plan was made with.
  explicit CpuExecutor(Plan plan, PlanOptions::Order order = PlanOptions::Order::kSequential);
  ~CpuExecutor();
  CpuExecutor(const CpuExecutor&) = delete;
  CpuExecutor& operator=(const CpuExecutor&) = delete;

  /// The plan as it is run: all buffers float32.
  [[nodiscard]] const Plan& plan() const noexcept { return plan_; }

  /// `images_nchw` is [batch][3][height][width], 0…1. What no op has written reads as NaN.
  void run(std::span<const float> images_nchw, int batch, const Observer& observer = {});

  /// A view's contents: inside an Observer of the op that wrote it, or, for the DetectOp's inputs, after run().
  /// @pre image < batch of the last run
  [[nodiscard]] ConstMap map(const View& view, int image) const;
  /// Replaces a view's contents, so that later ops read `values`; inside an Observer. @pre of the view's size
  void overwrite(const View& view, int image, const ConstMap& values);
  /// The DetectOp's inputs for one image, after run().
  [[nodiscard]] std::vector<ConstMap> head_maps(int image) const;
  [[nodiscard]] const DetectOp& detect() const;
  /// Decode and NMS of one image, in pixels of the network's input.
  [[nodiscard]] Detections detections(int image, const vision::CandidateOptions& options,
                                      const vision::NmsOptions& nms) const;

 private:
  class Steps;  // the ops, made ready to run

  void run_op(std::size_t index, int image);
  [[nodiscard]] Map mutable_map(const View& view, int image);

  Plan plan_;
  std::unique_ptr<Steps> steps_;
  std::vector<float> input_, arena_;
  int batch_ = 0;
};

}  // namespace gantry::graph
