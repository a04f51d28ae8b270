// JSON lines of any content: frames whose figures are in range, or an error that names file and line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gantry/vision/predictions.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto frames = gantry::vision::parse_predictions(text, "f.jsonl");
  if (!frames) {
    if (frames.error().message.rfind("f.jsonl:", 0) != 0) std::abort();
    return 0;
  }
  std::string results = "[";
  for (const auto& frame : *frames) {
    for (const auto& detection : frame.detections) {
      if (detection.class_id < 0 || !(detection.confidence >= 0 && detection.confidence <= 1)) std::abort();
    }
    gantry::vision::append_coco_results(1, frame.detections, {}, results);
  }
  return 0;
}
