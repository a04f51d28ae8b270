#pragma once
// Writes small ONNX files for tests, node by node and as whole detectors in the forms in which Ultralytics exports
// them.
#include <onnx/onnx_pb.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace gantry::test {

class OnnxBuilder {
 public:
  using Ints = std::vector<std::int64_t>;
  using Attributes = std::map<std::string, Ints>;  ///< one value: an integer, unless the key is a list's

  explicit OnnxBuilder(int opset = 18, const Ints& input = {1, 3, 64, 64});

  [[nodiscard]] int opset() const noexcept { return opset_; }
  [[nodiscard]] const std::string& input() const noexcept { return input_; }

  /// Adds a node named "/PATH/OP" (PATH from scope()) and returns its first output.
  std::string node(const std::string& op, const std::vector<std::string>& inputs, const Attributes& attributes = {});
  std::vector<std::string> nodes(const std::string& op, const std::vector<std::string>& inputs, std::size_t outputs,
                                 const Attributes& attributes = {});
  void text(const std::string& key, const std::string& value);  ///< a string attribute of the newest node
  void scope(const std::string& path) { scope_ = path; }

  std::string ints(const Ints& values);  ///< a constant of one dimension
  std::string scalar(float value);
  std::string floats(const Ints& dims, const std::vector<float>& values);
  /// Seeded noise of that size around 0, `spread` wide.
  std::string noise(const Ints& dims, float spread);

  void metadata(const std::string& key, const std::string& value);
  void output(const std::string& tensor);
  onnx::ModelProto& proto() noexcept { return model_; }
  [[nodiscard]] std::string bytes() const { return model_.SerializeAsString(); }

 private:
  onnx::ModelProto model_;
  int opset_;
  std::string input_ = "images", scope_ = "net";
  int next_ = 0;
  std::mt19937 random_{7};
};

/// What kind of detector to write. The smallest that has every pattern: C3k2, SPPF, C2PSA, an upsampled join, a plain
/// join, depthwise convolutions, two levels of strides 8 and 16.
struct MiniYolo {
  int opset = 18;
  bool joined_head = false;  ///< as up to 8.3: boxes and classes joined at each level; else as from 8.4
  bool attention = true;
  bool batch_norm = false;
  bool dynamic_batch = false;
  bool slices = false;        ///< splits written as Slice
  bool resize_sizes = false;  ///< upsampling to a frozen size instead of a factor
  int classes = 5;
  int width = 8;  ///< channels of the first convolution
  int height_px = 64, width_px = 64;
};
[[nodiscard]] OnnxBuilder mini_yolo(const MiniYolo& wanted);

/// A whole YOLO11 of one of its sizes, 'n', 's', 'm', 'l' or 'x', of 80 classes, with weights of noise: for what
/// depends on shapes and structure. 'x' takes 230 MB.
[[nodiscard]] OnnxBuilder yolo11(char size);

}  // namespace gantry::test
