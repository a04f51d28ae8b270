// YOLO labels of any content: boxes that lie on the picture, or an error that names file and line.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gantry/vision/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  auto boxes = gantry::vision::parse_yolo_labels(text, "f.txt");
  if (!boxes) {
    if (boxes.error().message.rfind("f.txt:", 0) != 0) std::abort();
    return 0;
  }
  gantry::vision::LabelledImage image;
  image.normalized = true;
  image.boxes = *std::move(boxes);
  for (const auto& box : gantry::vision::in_pixels(image, 640, 480)) {
    if (box.class_id < 0 || !std::isfinite(box.area)) std::abort();
  }
  return 0;
}
