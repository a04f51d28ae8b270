#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "gantry/vision/dataset.hpp"

namespace gantry::vision {
namespace {

using nlohmann::json;

/// Thrown and caught in this file.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An element and how to find it again in the file: "annotations[12]".
struct Element {
  const json& value;
  std::string path;

  [[nodiscard]] Element member(const char* key) const {
    if (!value.is_object()) throw Wrong((path.empty() ? "" : path + ": ") + "expected an object");
    const auto found = value.find(key);
    if (found == value.end()) throw Wrong((path.empty() ? "" : path + ": ") + "has no \"" + key + "\"");
    return {*found, path.empty() ? key : path + "." + key};
  }
  [[nodiscard]] double number() const {
    if (!value.is_number()) throw Wrong(path + ": expected a number");
    const double result = value.get<double>();
    if (!std::isfinite(result) || std::abs(result) > 1e15) throw Wrong(path + ": the number is out of range");
    return result;
  }
  [[nodiscard]] std::int64_t whole() const {
    const double result = number();
    if (result != std::floor(result)) throw Wrong(path + ": expected a whole number");
    return static_cast<std::int64_t>(result);
  }
  [[nodiscard]] std::string text() const {
    if (!value.is_string()) throw Wrong(path + ": expected a text");
    return value.get<std::string>();
  }
  template <typename Visit>
  void each(Visit&& visit) const {
    if (!value.is_array()) throw Wrong(path + ": expected a list");
    for (std::size_t i = 0; i < value.size(); ++i) visit(Element{value[i], path + "[" + std::to_string(i) + "]"});
  }
};

LabelledBox labelled_box(const Element& annotation, const std::map<std::int64_t, int>& class_of) {
  LabelledBox result;
  const Element category = annotation.member("category_id");
  const auto found = class_of.find(category.whole());
  if (found == class_of.end()) throw Wrong(category.path + ": no category has this id");
  result.class_id = found->second;
  std::vector<double> sides;
  const Element box = annotation.member("bbox");
  box.each([&](const Element& side) { sides.push_back(side.number()); });
  if (sides.size() != 4 || sides[2] < 0 || sides[3] < 0) throw Wrong(box.path + ": expected [x, y, width, height]");
  result.box = {static_cast<float>(sides[0]), static_cast<float>(sides[1]), static_cast<float>(sides[0] + sides[2]),
                static_cast<float>(sides[1] + sides[3])};
  result.area = annotation.value.contains("area") ? annotation.member("area").number() : sides[2] * sides[3];
  result.crowd = annotation.value.contains("iscrowd") && annotation.member("iscrowd").whole() != 0;
  return result;
}

Dataset dataset_of(const json& document, const std::filesystem::path& folder) {
  const Element root{document, ""};
  Dataset dataset;
  std::map<std::int64_t, std::string> categories;
  root.member("categories").each([&](const Element& category) {
    const Element id = category.member("id");
    if (!categories.emplace(id.whole(), category.member("name").text()).second) throw Wrong(id.path + ": used twice");
  });
  std::map<std::int64_t, int> class_of;
  for (const auto& [id, name] : categories) {
    class_of.emplace(id, static_cast<int>(dataset.class_names.size()));
    dataset.class_names.push_back(name);
    dataset.category_ids.push_back(id);
  }
  std::map<std::int64_t, LabelledImage> images;
  root.member("images").each([&](const Element& image) {
    const Element id = image.member("id");
    LabelledImage& made = images[id.whole()];
    if (!made.file.empty()) throw Wrong(id.path + ": used twice");
    made.id = id.whole();
    made.file = folder / image.member("file_name").text();
  });
  root.member("annotations").each([&](const Element& annotation) {
    const Element id = annotation.member("image_id");
    const auto image = images.find(id.whole());
    if (image == images.end()) throw Wrong(id.path + ": no image has this id");
    image->second.boxes.push_back(labelled_box(annotation, class_of));
  });
  for (auto& [id, image] : images) dataset.images.push_back(std::move(image));
  return dataset;
}

}  // namespace

Result<Dataset> parse_coco(std::string_view text, std::string_view name, const std::filesystem::path& images) {
  try {
    return dataset_of(json::parse(text), images);
  } catch (const json::parse_error& error) {
    const auto lines =
        std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size())), '\n');
    return fail(ErrorCode::kCorrupt, std::string(name) + ":" + std::to_string(lines + 1) + ": not JSON here");
  } catch (const Wrong& wrong) {
    return fail(ErrorCode::kCorrupt, std::string(name) + ": " + wrong.what());
  } catch (const json::exception& error) {  // text that is not UTF-8
    return fail(ErrorCode::kCorrupt, std::string(name) + ": " + error.what());
  }
}

}  // namespace gantry::vision
