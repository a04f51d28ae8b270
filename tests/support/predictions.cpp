#include "support/predictions.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

namespace gantry::test {

Predictions read_predictions(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  Predictions result;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    try {
      const auto frame = nlohmann::json::parse(line);
      Detections& detections = result[{frame.at("camera"), frame.at("seq")}];
      for (const auto& item : frame.at("detections")) {
        const auto& box = item.at("box");
        detections.push_back(
            {{box.at(0), box.at(1), box.at(2), box.at(3)}, item.at("confidence"), item.at("class_id")});
      }
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error(file.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  return result;
}

Agreement& Agreement::operator+=(const Agreement& other) {
  expected += other.expected;
  found += other.found;
  matched += other.matched;
  return *this;
}

double Agreement::rate() const {
  const std::size_t larger = std::max(expected, found);
  return larger == 0 ? 1.0 : static_cast<double>(matched) / static_cast<double>(larger);
}

Agreement compare(const Detections& expected, const Detections& found, const MatchRule& rule) {
  struct Pair {
    float overlap;
    std::size_t expected, found;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t k = 0; k < found.size(); ++k) {
      if (expected[i].class_id != found[k].class_id) continue;
      if (std::abs(expected[i].confidence - found[k].confidence) > rule.confidence) continue;
      const float overlap = iou(expected[i].box, found[k].box);
      if (overlap >= rule.iou) pairs.push_back({overlap, i, k});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.overlap > b.overlap; });
  std::vector<bool> expected_taken(expected.size());
  std::vector<bool> found_taken(found.size());
  Agreement result{expected.size(), found.size(), 0};
  for (const Pair& pair : pairs) {
    if (expected_taken[pair.expected] || found_taken[pair.found]) continue;
    expected_taken[pair.expected] = found_taken[pair.found] = true;
    ++result.matched;
  }
  return result;
}

}  // namespace gantry::test
