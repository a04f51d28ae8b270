#include "gantry/vision/predictions.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

namespace gantry::vision {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e9;

std::optional<double> number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) && std::abs(value) <= kLargest ? std::optional(value) : std::nullopt;
}

std::optional<int> whole(const json& object, const char* key) {
  const auto value = number(object, key);
  return value && *value == std::floor(*value) ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

/// What is wrong with the line, or null.
const char* read_detection(const json& item, Detections& detections) {
  if (!item.is_object()) return "a detection must be an object";
  const auto class_id = whole(item, "class_id");
  if (!class_id || *class_id < 0) return "a detection's \"class_id\" must be a whole number from 0";
  const auto confidence = number(item, "confidence");
  if (!confidence || *confidence < 0 || *confidence > 1)
    return "a detection's \"confidence\" must be a number from 0 to 1";
  constexpr const char* kBox = "a detection's \"box\" must be [x1, y1, x2, y2]";
  const auto box = item.find("box");
  if (box == item.end() || !box->is_array() || box->size() != 4) return kBox;
  std::array<float, 4> sides{};
  for (std::size_t i = 0; i < 4; ++i) {
    const json& side = (*box)[i];
    if (!side.is_number() || !(std::abs(side.get<double>()) <= kLargest)) return kBox;
    sides[i] = side.get<float>();
  }
  detections.push_back({{sides[0], sides[1], sides[2], sides[3]}, static_cast<float>(*confidence), *class_id});
  return nullptr;
}

const char* read_frame(const json& line, FramePredictions& frame) {
  if (!line.is_object()) return "expected one JSON object a line";
  const auto camera = line.find("camera");
  if (camera == line.end() || !camera->is_string()) return "\"camera\" must be a text";
  frame.camera = camera->get<std::string>();
  const auto seq = line.find("seq");
  if (seq == line.end() || !seq->is_number_unsigned()) return "\"seq\" must be a whole number from 0";
  frame.seq = seq->get<std::uint64_t>();
  const auto width = whole(line, "width");
  const auto height = whole(line, "height");
  if (!width || !height || *width < 0 || *height < 0) return "\"width\" and \"height\" must be whole numbers of pixels";
  frame.width = *width;
  frame.height = *height;
  const auto detections = line.find("detections");
  if (detections == line.end() || !detections->is_array()) return "\"detections\" must be a list";
  for (const json& item : *detections) {
    if (const char* wrong = read_detection(item, frame.detections)) return wrong;
  }
  return nullptr;
}

}  // namespace

Result<std::vector<FramePredictions>> parse_predictions(std::string_view jsonl, std::string_view name) {
  std::vector<FramePredictions> frames;
  for (int line_number = 1; !jsonl.empty(); ++line_number) {
    const std::size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const std::string_view line = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const json parsed = json::parse(line, nullptr, false);
    const char* wrong = parsed.is_discarded() ? "not JSON" : read_frame(parsed, frames.emplace_back());
    if (wrong != nullptr) {
      return fail(ErrorCode::kCorrupt, std::string(name) + ":" + std::to_string(line_number) + ": " + wrong);
    }
  }
  return frames;
}

void append_coco_results(std::int64_t image_id, const Detections& detections,
                         const std::vector<std::int64_t>& category_ids, std::string& out) {
  for (const Detection& detection : detections) {
    const auto class_id = static_cast<std::size_t>(detection.class_id);
    const std::int64_t category = class_id < category_ids.size() ? category_ids[class_id] : detection.class_id;
    std::array<char, 256> text{};
    const int length = std::snprintf(
        text.data(), text.size(), R"(%s{"image_id":%lld,"category_id":%lld,"bbox":[%.3f,%.3f,%.3f,%.3f],"score":%.5f})",
        out.empty() || out.back() == '[' ? "" : ",\n", static_cast<long long>(image_id),
        static_cast<long long>(category), static_cast<double>(detection.box.x1), static_cast<double>(detection.box.y1),
        static_cast<double>(detection.box.width()), static_cast<double>(detection.box.height()),
        static_cast<double>(detection.confidence));
    out.append(text.data(), static_cast<std::size_t>(length));
  }
}

}  // namespace gantry::vision
