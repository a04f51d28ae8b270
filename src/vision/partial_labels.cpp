// What partly labelled data sets say of the rest: regions where nobody looked, classes that nobody marked.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "gantry/vision/dataset.hpp"
#include "vision/label_lines.hpp"

namespace gantry::vision {

Result<std::vector<Box>> parse_ignore_regions(std::string_view text, std::string_view name) {
  std::vector<Box> regions;
  auto read = for_each_label_line(text, name, "x y width height", [&](const std::vector<double>& numbers) {
    if (numbers.size() != 4) return "expected 4 numbers (x y width height)";
    if (!are_fractions(numbers.begin(), numbers.end())) return kNotFractions;
    const auto at = [&](std::size_t i) { return static_cast<float>(numbers[i]); };
    regions.push_back({at(0) - at(2) / 2, at(1) - at(3) / 2, at(0) + at(2) / 2, at(1) + at(3) / 2});
    return "";
  });
  if (!read) return Unexpected<Error>{read.error()};
  return regions;
}

Result<std::map<std::string, std::vector<int>>> parse_labelled_classes(std::string_view text, std::string_view name) {
  const auto wrong = [&](const std::string& what) {
    return fail(ErrorCode::kCorrupt, std::string(name) + ": " + what);
  };
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object()) return wrong("expected a JSON object with an entry a picture");
  std::map<std::string, std::vector<int>> labelled;
  for (const auto& [picture, entry] : document.items()) {
    if (!entry.is_object()) return wrong("\"" + picture + "\": expected an object");
    const auto classes = entry.find("labelled_classes");
    if (classes == entry.end()) continue;  // all of them
    auto& list = labelled[picture];
    const bool whole = classes->is_array() && std::all_of(classes->begin(), classes->end(), [](const auto& id) {
                         return id.is_number_unsigned() && id.template get<std::uint64_t>() <= kMostClasses;
                       });
    if (!whole) return wrong("\"" + picture + "\".labelled_classes: expected a list of class numbers");
    for (const auto& id : *classes) list.push_back(id.get<int>());
  }
  return labelled;
}

Judged judged(const LabelledImage& image, int width, int height, const Detections& detections) {
  Judged result{in_pixels(image, width, height), {}};
  const auto unknown = [&](int class_id) {
    return image.labelled &&
           std::find(image.labelled->begin(), image.labelled->end(), class_id) == image.labelled->end();
  };
  std::erase_if(result.truth, [&](const LabelledBox& box) { return unknown(box.class_id); });
  std::set<int> found;
  for (const Detection& detection : detections) {
    if (unknown(detection.class_id)) continue;
    result.detections.push_back(detection);
    found.insert(detection.class_id);
  }
  const float sx = image.normalized ? static_cast<float>(width) : 1;
  const float sy = image.normalized ? static_cast<float>(height) : 1;
  for (const Box& region : image.ignore) {
    const Box pixels{region.x1 * sx, region.y1 * sy, region.x2 * sx, region.y2 * sy};
    for (const int class_id : found) result.truth.push_back({pixels, class_id, pixels.area(), true});
  }
  return result;
}

}  // namespace gantry::vision
