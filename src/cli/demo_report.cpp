#include "cli/demo_report.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "cli/summary.hpp"
#include "gantry/core/errors.hpp"
#include "gantry/scene/score.hpp"

namespace gantry::cli {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw StartupError(path.string() + ": can't be read");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string percent(const nlohmann::json& share) {
  const double value = share.get<double>();
  return value < 0 ? "-" : fixed(100 * value, 1) + " %";
}

}  // namespace

nlohmann::json score_demo(const std::filesystem::path& results, const std::vector<DemoCamera>& cameras) {
  const std::string lines = read_file(results);
  struct Sum {
    std::uint64_t objects = 0, found = 0, wrong = 0;
  };
  std::map<std::string, Sum> classes;
  auto rows = nlohmann::json::array();
  double map50 = 0, first_ms = 0;
  int scored = 0, timed = 0;
  for (const DemoCamera& camera : cameras) {
    scene::ScoreOptions options;
    options.camera = camera.id;
    const auto report = scene::score(read_file(camera.truth), lines, options);
    if (!report) throw StartupError(report.error().message);
    for (const auto& c : report->classes) {
      Sum& sum = classes[c.name];
      sum.objects += c.objects;
      sum.found += c.found;
      sum.wrong += c.wrong;
    }
    if (report->map50 >= 0) map50 += report->map50, ++scored;
    if (report->first_median_ms >= 0) first_ms += report->first_median_ms, ++timed;
    rows.push_back({{"id", camera.id},
                    {"frames", report->frames},
                    {"precision", report->precision},
                    {"recall", report->recall},
                    {"map50", report->map50}});
  }
  Sum all;
  auto by_class = nlohmann::json::array();
  for (const auto& [name, sum] : classes) {
    all.objects += sum.objects;
    all.found += sum.found;
    all.wrong += sum.wrong;
    by_class.push_back(
        {{"class", name},
         {"objects", sum.objects},
         {"found", sum.found},
         {"wrong", sum.wrong},
         {"recall", sum.objects > 0 ? static_cast<double>(sum.found) / static_cast<double>(sum.objects) : -1}});
  }
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : -1.0;
  };
  return {{"cameras", rows},
          {"classes", by_class},
          {"precision", share(all.found, all.found + all.wrong)},
          {"recall", share(all.found, all.objects)},
          {"map50", scored > 0 ? map50 / scored : -1},
          {"first_ms", timed > 0 ? first_ms / timed : -1}};
}

std::string demo_score_text(const nlohmann::json& score) {
  std::vector<std::vector<std::string>> rows{{"against truth", "boxes", "found", "recall", "wrong"}};
  for (const auto& c : score["classes"])
    rows.push_back({c["class"].get<std::string>(), std::to_string(c["objects"].get<std::uint64_t>()),
                    std::to_string(c["found"].get<std::uint64_t>()), percent(c["recall"]),
                    std::to_string(c["wrong"].get<std::uint64_t>())});
  std::string text = format_table(rows);
  text += "\nall: precision " + percent(score["precision"]) + ", recall " + percent(score["recall"]) + ", mAP50 " +
          fixed(score["map50"].get<double>(), 3);
  if (score["first_ms"].get<double>() >= 0)
    text += "; a new object is first found after " + fixed(score["first_ms"].get<double>(), 0) + " ms (median)";
  return text + "\n";
}

}  // namespace gantry::cli
