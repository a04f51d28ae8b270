#pragma once
// The body of POST /v2/models/{m}/infer: JSON, and behind it, where the header Inference-Header-Content-Length says how
// long the JSON is, the tensors' bytes (KServe's Open Inference Protocol with Triton's binary-tensor extension).
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/priority.hpp"
#include "gantry/core/result.hpp"

namespace gantry::server {

inline constexpr int kMostTensorPictures = 64;                    ///< a request
inline constexpr std::int64_t kMostTensorPixels = 7680LL * 4320;  ///< of a picture, and twice that of a request
inline constexpr std::size_t kMostTensorBody = 64U << 20U;        ///< bytes
inline constexpr std::size_t kMostTensorHeader = 8U << 20U;       ///< bytes of JSON; pixels as text count here

/// The tensors that come back, in the order of the metadata.
enum class OutputTensor { kNumDetections, kBoxes, kScores, kClasses };
inline constexpr std::array<std::string_view, 4> kOutputNames{"num_detections", "boxes", "scores", "classes"};

struct TensorRequest {
  struct Picture {
    std::span<const std::uint8_t> bytes;  ///< view into the body, or into `unpacked`
    int width = 0, height = 0;            ///< pixels, rows of R, G, B bytes; 0: a coded picture
  };
  struct Output {
    OutputTensor tensor = OutputTensor::kNumDetections;
    bool binary = false;
  };
  std::string id;  ///< the client's, handed back; may be empty
  std::vector<Picture> pictures;
  std::vector<Output> outputs;
  Priority priority = Priority::kNormal;
  std::optional<Duration> timeout;
  std::optional<double> confidence, iou;
  std::optional<int> max_detections;
  std::vector<std::uint8_t> unpacked;  ///< pixels that came as numbers in the JSON
};

/// kInvalid with what is wrong. @param header_length the header Inference-Header-Content-Length, "" where it is missing
/// @param body outlives the result
[[nodiscard]] Result<TensorRequest> parse_tensor_request(std::string_view body, std::string_view header_length);

}  // namespace gantry::server
