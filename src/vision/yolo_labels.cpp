#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "gantry/vision/dataset.hpp"
#include "vision/label_lines.hpp"

namespace gantry::vision {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

Box bounding_box(const std::vector<double>& numbers) {
  const auto at = [&](std::size_t i) { return static_cast<float>(numbers[i]); };
  if (numbers.size() == 5) return {at(1) - at(3) / 2, at(2) - at(4) / 2, at(1) + at(3) / 2, at(2) + at(4) / 2};
  Box box{at(1), at(2), at(1), at(2)};
  for (std::size_t i = 3; i < numbers.size(); i += 2) {
    box.x1 = std::min(box.x1, at(i));
    box.y1 = std::min(box.y1, at(i + 1));
    box.x2 = std::max(box.x2, at(i));
    box.y2 = std::max(box.y2, at(i + 1));
  }
  return box;
}

}  // namespace

bool read_numbers(std::string_view line, std::vector<double>& numbers) {
  numbers.clear();
  const char* at = line.data();
  const char* const end = at + line.size();
  for (;;) {
    while (at != end && is_space(*at)) ++at;
    if (at == end) return true;
    double value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || !std::isfinite(value) || (next != end && !is_space(*next))) return false;
    numbers.push_back(value);
    at = next;
  }
}

Result<std::vector<LabelledBox>> parse_yolo_labels(std::string_view text, std::string_view name) {
  std::vector<LabelledBox> boxes;
  auto read = for_each_label_line(text, name, "class x y width height", [&](const std::vector<double>& numbers) {
    const bool polygon = numbers.size() >= 7 && numbers.size() % 2 == 1;
    if (numbers.size() != 5 && !polygon)
      return "expected 5 numbers (class x y width height) or a class and at least 3 points";
    if (numbers[0] < 0 || numbers[0] > kMostClasses || numbers[0] != std::floor(numbers[0]))
      return "the class must be a whole number from 0";
    if (!are_fractions(numbers.begin() + 1, numbers.end())) return kNotFractions;
    boxes.push_back({bounding_box(numbers), static_cast<int>(numbers[0])});
    return "";
  });
  if (!read) return Unexpected<Error>{read.error()};
  return boxes;
}

std::vector<LabelledBox> in_pixels(const LabelledImage& image, int width, int height) {
  std::vector<LabelledBox> boxes = image.boxes;
  if (!image.normalized) return boxes;
  const auto w = static_cast<float>(width);
  const auto h = static_cast<float>(height);
  for (LabelledBox& box : boxes) {
    box.box = {box.box.x1 * w, box.box.y1 * h, box.box.x2 * w, box.box.y2 * h};
    box.area = static_cast<double>(box.box.width()) * static_cast<double>(box.box.height());
  }
  return boxes;
}

}  // namespace gantry::vision
