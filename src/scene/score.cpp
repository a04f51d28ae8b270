#include "gantry/scene/score.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "gantry/scene/truth.hpp"
#include "gantry/vision/coco_eval.hpp"

namespace gantry::scene {
namespace {

using nlohmann::json;

struct TruthBox {
  vision::LabelledBox box;
  std::uint32_t id = 0;
};
struct TruthFrame {
  double pts_ms = 0;
  std::vector<TruthBox> boxes;
};

/// Calls line(json, number) for each line that is not empty.
template <typename Line>
Result<void> for_lines(std::string_view text, const char* what, Line&& line) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      line(json::parse(one));
    } catch (const json::exception& error) {
      return fail(ErrorCode::kCorrupt, std::string(what) + ", line " + std::to_string(number) + ": " + error.what());
    }
  }
  return {};
}

Box box_of(const json& value) {
  return {value.at(0).get<float>(), value.at(1).get<float>(), value.at(2).get<float>(), value.at(3).get<float>()};
}

std::optional<int> class_by_name(std::string_view name) {
  for (std::size_t i = 0; i < kClassNames.size(); ++i) {
    if (name == kClassNames[i]) return static_cast<int>(i);
  }
  return std::nullopt;
}

TruthFrame read_truth(const json& line, const ScoreOptions& options) {
  TruthFrame frame;
  frame.pts_ms = line.at("pts_ms").get<double>();
  for (const json& o : line.at("objects")) {
    if (o.at("visible_px").get<int>() == 0) continue;
    TruthBox truth;
    truth.id = o.at("id").get<std::uint32_t>();
    truth.box.class_id = o.at("class_id").get<int>();
    truth.box.box = box_of(o.at("visible"));
    truth.box.area = static_cast<double>(truth.box.box.area());
    const auto side = static_cast<double>(std::min(truth.box.box.width(), truth.box.box.height()));
    truth.box.crowd = o.at("occlusion").get<double>() > options.max_occlusion ||
                      o.at("truncation").get<double>() > options.max_truncation || side < options.min_side_px;
    frame.boxes.push_back(truth);
  }
  return frame;
}

/// Share of `a` inside `b`: how a detection meets a box that need not be found.
float inside(const Box& a, const Box& b) {
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  return w > 0 && h > 0 && a.area() > 0 ? w * h / a.area() : 0;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return -1;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

struct Track {
  double first_ms = 0;
  double found_ms = -1;
};

}  // namespace

Result<ScoreReport> score(std::string_view truth, std::string_view results, const ScoreOptions& options) {
  std::map<std::uint64_t, TruthFrame> frames;
  auto read = for_lines(truth, "truth", [&](const json& line) {
    if (!line.contains("objects")) return;  // the camera
    frames[line.at("seq").get<std::uint64_t>()] = read_truth(line, options);
  });
  if (!read) return fail(read.error().code, read.error().message);
  std::map<std::uint64_t, Detections> found;
  read = for_lines(results, "results", [&](const json& line) {
    if (!options.camera.empty() && line.at("camera").get<std::string>() != options.camera) return;
    Detections& list = found[line.at("seq").get<std::uint64_t>()];
    for (const json& d : line.at("detections")) {
      const std::optional<int> id = class_by_name(d.at("class").get<std::string>());
      if (id) list.push_back({box_of(d.at("box")), d.at("confidence").get<float>(), *id});
    }
  });
  if (!read) return fail(read.error().code, read.error().message);

  ScoreReport report;
  std::vector<ClassReport> classes(kClassNames.size());
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i].name = kClassNames[i];
  std::map<std::uint32_t, Track> tracks;
  vision::CocoEvaluator evaluator;
  for (const auto& [seq, frame] : frames) {
    const auto result = found.find(seq);
    if (result == found.end()) {
      ++report.without_result;
      continue;
    }
    ++report.frames;
    std::vector<vision::LabelledBox> boxes;
    for (const TruthBox& t : frame.boxes) {
      boxes.push_back(t.box);
      if (t.box.crowd) continue;
      ++classes[static_cast<std::size_t>(t.box.class_id)].objects;
      tracks.try_emplace(t.id, Track{frame.pts_ms, -1});
    }
    Detections detections = result->second;
    std::stable_sort(detections.begin(), detections.end(),
                     [](const Detection& a, const Detection& b) { return a.confidence > b.confidence; });
    evaluator.add(boxes, detections);
    std::vector<char> taken(frame.boxes.size(), 0);
    for (const Detection& d : detections) {
      if (d.confidence < static_cast<float>(options.confidence)) break;
      ClassReport& of = classes[static_cast<std::size_t>(d.class_id)];
      std::ptrdiff_t best = -1;
      auto best_iou = static_cast<float>(options.iou);
      bool excused = false;
      for (std::size_t i = 0; i < frame.boxes.size(); ++i) {
        const TruthBox& t = frame.boxes[i];
        if (t.box.class_id != d.class_id) continue;
        if (t.box.crowd) {
          excused = excused || inside(d.box, t.box.box) >= 0.5F;
        } else if (taken[i] == 0 && iou(d.box, t.box.box) >= best_iou) {
          best_iou = iou(d.box, t.box.box);
          best = static_cast<std::ptrdiff_t>(i);
        }
      }
      if (best >= 0) {
        taken[static_cast<std::size_t>(best)] = 1;
        ++of.found;
        Track& track = tracks.at(frame.boxes[static_cast<std::size_t>(best)].id);
        if (track.found_ms < 0) track.found_ms = frame.pts_ms;
      } else if (!excused) {
        ++of.wrong;
      }
    }
  }
  const vision::CocoScore coco = evaluator.score();
  report.map50 = coco.all.ap50;
  report.map50_95 = coco.all.ap50_95;
  for (const vision::ClassScore& c : coco.classes) {
    classes[static_cast<std::size_t>(c.class_id)].ap50 = c.all.ap50;
    classes[static_cast<std::size_t>(c.class_id)].ap50_95 = c.all.ap50_95;
  }
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : -1.0;
  };
  ClassReport all;
  for (ClassReport& c : classes) {
    if (c.objects == 0 && c.wrong == 0) continue;
    c.precision = share(c.found, c.found + c.wrong);
    c.recall = share(c.found, c.objects);
    all.objects += c.objects;
    all.found += c.found;
    all.wrong += c.wrong;
    report.classes.push_back(c);
  }
  report.precision = share(all.found, all.found + all.wrong);
  report.recall = share(all.found, all.objects);
  std::vector<double> waits;
  for (const auto& [id, track] : tracks) {
    ++report.tracks;
    if (track.found_ms < 0) {
      ++report.never_found;
    } else {
      waits.push_back(track.found_ms - track.first_ms);
    }
  }
  report.first_median_ms = quantile(waits, 0.5);
  report.first_p90_ms = quantile(waits, 0.9);
  return report;
}

}  // namespace gantry::scene
