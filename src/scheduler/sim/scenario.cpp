#include "gantry/scheduler/sim/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "gantry/core/errors.hpp"
#include "gantry/core/expects.hpp"
#include "gantry/scheduler/sim/workload.hpp"
#include "scheduler/sim/yaml_section.hpp"

namespace gantry::scheduler::sim {

namespace {

constexpr Range kShare{0, 1};
constexpr Range kSeconds{0, 86'400};

ShapeSpec parse_size(const YamlSection& section, const std::string& text) {
  ShapeSpec shape{.name = text};
  int used = 0;
  if (std::sscanf(text.c_str(), "%dx%d%n", &shape.width, &shape.height, &used) != 2 ||
      used != static_cast<int>(text.size()) || shape.width < 32 || shape.height < 32 || shape.width > 4096 ||
      shape.height > 4096 || shape.width % 32 != 0 || shape.height % 32 != 0) {
    section.complain("size",
                     "'" + text + "' is no input size; allowed: WIDTHxHEIGHT, each a multiple of 32 from 32 to 4096");
  }
  return shape;
}

std::vector<ShapeSpec> read_shapes(YamlSection& top) {
  std::vector<ShapeSpec> shapes;
  for (YamlSection& section : top.list("shapes", false)) {
    ShapeSpec shape = parse_size(section, section.text("size"));
    shape.cost = section.number("cost", {0.05, 20}, 1);
    section.finish();
    for (const ShapeSpec& other : shapes) {
      if (other.name == shape.name) section.complain("size", "'" + shape.name + "' stands here twice");
    }
    shapes.push_back(std::move(shape));
  }
  if (shapes.empty()) shapes.push_back({.name = "640x384"});
  return shapes;
}

LatencyTable read_table(YamlSection& section) {
  const YAML::Node node = section.node("table");
  if (node.IsScalar()) {
    if (node.Scalar() != "h100" && node.Scalar() != "slow") {
      section.complain("table", "'" + node.Scalar() + "' is unknown; allowed: h100, slow, or [[batch, ms], …]");
    }
    return fixed_table(node.Scalar());
  }
  LatencyTable table{.name = "given", .points_ms = {}};
  for (const auto& [batch, ms] : section.curve("table", {1, 1024}, {0.001, 600'000})) {
    if (batch != std::floor(batch)) section.complain("table", fmt::format("batch {:g} is not a whole number", batch));
    if (!table.points_ms.empty() && ms < table.points_ms.back().second) {
      section.complain("table", fmt::format("t({:g}) = {:g} ms is below the batch before it", batch, ms));
    }
    table.points_ms.emplace_back(static_cast<int>(batch), ms);
  }
  if (table.points_ms.empty() || table.points_ms.front().first != 1) {
    section.complain("table", "must begin with batch 1");
  }
  return table;
}

std::vector<DeviceSetup> read_devices(YamlSection& setup) {
  std::vector<DeviceSetup> devices;
  for (YamlSection& section : setup.list("devices", true)) {
    DeviceSetup device{.table = read_table(section)};
    const int count = section.integer("count", {1, 256}, 1);
    device.noise = section.number("noise", {0, 0.3}, 0);
    device.stall_share = section.number("stall_share", {0, 0.1}, 0);
    section.finish();
    devices.insert(devices.end(), count, device);
  }
  return devices;
}

void read_group_shapes(YamlSection& section, const std::vector<ShapeSpec>& shapes, CameraGroup& group) {
  if (!section.has("shapes")) return;
  group.shapes.clear();
  double sum = 0;
  for (const auto& [name, share] : section.numbers("shapes", kShare)) {
    const auto found = std::find_if(shapes.begin(), shapes.end(), [&](const ShapeSpec& s) { return s.name == name; });
    if (found == shapes.end()) section.complain("shapes", "'" + name + "' is not in the scenario's `shapes`");
    group.shapes.emplace_back(static_cast<int>(found - shapes.begin()), share);
    sum += share;
  }
  if (std::abs(sum - 1) > 1e-6) section.complain("shapes", fmt::format("shares sum to {:g}; they must sum to 1", sum));
}

CameraGroup read_group(YamlSection& section, const std::vector<ShapeSpec>& shapes) {
  CameraGroup group;
  group.count = section.integer("count", {1, 100'000}, 1);
  std::tie(group.fps_low, group.fps_high) = section.span("fps", {0.01, 240}, 30);
  group.process = static_cast<ArrivalProcess>(section.choice("process", {"periodic", "poisson", "bursty"}, 0));
  group.phase = static_cast<PhaseRule>(section.choice("phase", {"random", "aligned", "spread"}, 0));
  group.jitter_ms = section.number("jitter_ms", {0, 1000}, 0);
  group.priority = static_cast<Priority>(section.choice("class", {"emergency", "urgent", "normal", "background"}, 2));
  const bool hurried = group.priority < Priority::kNormal;
  group.deadline_ms = section.number("deadline_ms", {0.1, 60'000}, hurried ? 20 : 100);
  group.weight = section.number("weight", {0.01, 100}, 1);
  group.urgent_share = section.number("urgent_share", kShare, 0);
  group.urgent_deadline_ms = section.number("urgent_deadline_ms", {0.1, 60'000}, 20);
  if (group.process == ArrivalProcess::kBursty) {
    YamlSection burst = section.section("burst");
    group.burst_factor = burst.number("factor", {1, 100});
    group.burst_on_s = burst.number("on_s", {0.001, 3600});
    group.burst_off_s = burst.number("off_s", {0.001, 3600});
    burst.finish();
    const double most = (group.burst_on_s + group.burst_off_s) / group.burst_on_s;
    if (group.burst_factor > most) {
      burst.complain("factor",
                     fmt::format("{:g} sends more than the mean rate allows; allowed with these times: 1 to {:g}",
                                 group.burst_factor, most));
    }
  }
  group.activity = section.curve("activity", kSeconds, kShare);
  read_group_shapes(section, shapes, group);
  section.finish();
  return group;
}

std::vector<DeviceEvent> read_events(YamlSection& top) {
  std::vector<DeviceEvent> events;
  for (YamlSection& section : top.list("events", false)) {
    DeviceEvent event;
    event.kind = static_cast<DeviceEvent::Kind>(section.choice("kind", {"slow_down", "fault"}, 0));
    event.device = section.integer("device", {0, 255}, 0);
    event.at_s = section.number("at_s", kSeconds);
    event.for_s = section.number("for_s", kSeconds);
    if (event.kind == DeviceEvent::Kind::kSlowDown) event.factor = section.number("factor", {1, 1000});
    section.finish();
    events.push_back(event);
  }
  return events;
}

void scale_times(Scenario& scenario, double factor) {
  scenario.duration_s *= factor;
  for (DeviceEvent& event : scenario.events) {
    event.at_s *= factor;
    event.for_s *= factor;
  }
  for (CameraGroup& group : scenario.cameras) {
    for (auto& [at_s, share] : group.activity) at_s *= factor;
  }
}

Scenario read_setup(YamlSection& section, const Scenario& common) {
  Scenario scenario = common;
  scenario.setup = section.text("name");
  scenario.devices = read_devices(section);
  const double scale = section.number("camera_scale", {0.001, 1000}, 1);
  for (CameraGroup& group : scenario.cameras) {
    group.count = std::max(1, static_cast<int>(std::lround(group.count * scale)));
  }
  for (const DeviceEvent& event : scenario.events) {
    if (event.device >= static_cast<int>(scenario.devices.size())) {
      section.complain("devices", fmt::format("an event names device {}; this setup has 0 to {}", event.device,
                                              scenario.devices.size() - 1));
    }
  }
  section.finish();
  return scenario;
}

/// A trace says itself how long it is and whether it has urgent frames.
void read_trace_of(const std::filesystem::path& file, Scenario& scenario) {
  scenario.trace = file;
  const Workload workload = read_trace(file, scenario.shapes);
  scenario.duration_s = std::max(0.01, static_cast<double>(workload.frames.back().at_ns) / 1e9);
  scenario.urgent_cap = std::any_of(workload.frames.begin(), workload.frames.end(),
                                    [](const WorkFrame& frame) { return frame.priority < Priority::kNormal; });
}

std::vector<Scenario> read_file(YamlSection& top, const std::filesystem::path& file, Length length) {
  Scenario common;
  double shorter = 1;
  common.name = top.text("name");
  common.about = top.text("about", "");
  common.shapes = read_shapes(top);
  common.events = read_events(top);
  if (top.has("trace")) {
    for (const char* other : {"cameras", "duration_s", "short_duration_s"})
      if (top.has(other)) top.complain(other, "stands beside `trace`, which says this itself; keep one of them");
    read_trace_of(file.parent_path() / top.text("trace"), common);
  } else {
    common.duration_s = top.number("duration_s", {0.01, 86'400}, 60);
    const double short_s = top.number("short_duration_s", {0.01, common.duration_s}, common.duration_s / 10);
    if (length == Length::kShort) shorter = short_s / common.duration_s;
    for (YamlSection& section : top.list("cameras", true)) {
      common.cameras.push_back(read_group(section, common.shapes));
      const CameraGroup& group = common.cameras.back();
      common.urgent_cap |= group.priority < Priority::kNormal || group.urgent_share > 0;
    }
  }
  for (const DeviceEvent& event : common.events) common.device_fault |= event.kind == DeviceEvent::Kind::kFault;
  scale_times(common, shorter);

  std::vector<Scenario> scenarios;
  for (YamlSection& section : top.list("setups", true)) scenarios.push_back(read_setup(section, common));
  top.finish();
  return scenarios;
}

}  // namespace

double LatencyTable::at_ms(int batch) const noexcept {
  auto upper = points_ms.begin();
  while (upper->first < batch && upper + 1 != points_ms.end()) ++upper;
  if (upper->first == batch || upper == points_ms.begin()) return upper->second;
  const auto lower = upper - 1;
  const double share = static_cast<double>(batch - lower->first) / (upper->first - lower->first);
  return lower->second + share * (upper->second - lower->second);
}

const LatencyTable& fixed_table(const std::string& name) {
  static const LatencyTable h100{.name = "h100", .points_ms = {{1, 0.5}, {8, 1.1}, {16, 2.0}, {32, 3.7}}};
  static const LatencyTable slow{.name = "slow", .points_ms = {{1, 6}, {4, 9}, {8, 12}, {16, 20}, {32, 36}}};
  if (name == "h100") return h100;
  if (name == "slow") return slow;
  throw ConfigError("'" + name + "' is no fixed latency table; allowed: h100, slow");
}

std::vector<Scenario> parse_scenarios(const std::string& text, const std::filesystem::path& name, Length length) {
  try {
    YamlSection top{name.string(), "", YAML::Load(text)};
    return read_file(top, name, length);
  } catch (const YAML::Exception& error) {
    throw ConfigError(fmt::format("{}:{}: {}; mend the YAML", name.string(), error.mark.line + 1, error.msg));
  }
}

std::vector<Scenario> load_scenarios(const std::filesystem::path& file, Length length) {
  std::ifstream stream(file);
  if (!stream) throw ConfigError(file.string() + ": cannot be read; give the path of a scenario file");
  std::ostringstream text;
  text << stream.rdbuf();
  return parse_scenarios(text.str(), file, length);
}

}  // namespace gantry::scheduler::sim
