// COCO JSON of any content: a data set whose ids, classes and pictures hang together, or an error that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gantry/vision/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto dataset = gantry::vision::parse_coco(text, "f.json", "pictures");
  if (!dataset) {
    if (dataset.error().message.rfind("f.json:", 0) != 0) std::abort();
    return 0;
  }
  if (dataset->category_ids.size() != dataset->class_names.size()) std::abort();
  const gantry::vision::LabelledImage* before = nullptr;
  for (const auto& image : dataset->images) {
    if (before != nullptr && before->id >= image.id) std::abort();
    before = &image;
    for (const auto& box : image.boxes) {
      if (box.class_id < 0 || static_cast<std::size_t>(box.class_id) >= dataset->class_names.size()) std::abort();
    }
  }
  return 0;
}
