#include "gantry/scene/diagram.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "scene/world.hpp"

namespace gantry::scene {
namespace {

constexpr double kFrom = -250;  // metres, on the straight piece before the bend and the bottleneck
constexpr double kTo = -20;
constexpr std::int64_t kIntervalMs = 30'000;
constexpr std::int64_t kSampleMs = 200;

void measure(const WorldOptions& options, double minutes, bool congested, std::vector<DiagramPoint>& points) {
  World world(options);
  const Network& network = world.network();
  Snapshot now;
  std::array<double, 3> vehicles{};
  std::array<double, 3> metres_per_second{};
  const auto end = static_cast<std::int64_t>(minutes * 60'000);
  for (std::int64_t t = kSampleMs; t <= end; t += kSampleMs) {
    world.advance_to(t);
    world.snapshot(now);
    for (const ObjectState& o : now.objects) {
      if (o.lane < 0 || o.x < kFrom || o.x >= kTo) continue;
      const std::string& lane = network.lanes[static_cast<std::size_t>(o.lane)].name;
      if (!lane.starts_with("east-") || lane.size() != 6) continue;
      const auto i = static_cast<std::size_t>(lane.back() - '1');
      vehicles[i] += 1;
      metres_per_second[i] += o.speed;
    }
    if (t % kIntervalMs != 0) continue;
    constexpr double kSamples = static_cast<double>(kIntervalMs) / kSampleMs;
    for (std::size_t i = 0; i < 3; ++i) {
      DiagramPoint p;
      p.density = vehicles[i] / kSamples / (kTo - kFrom) * 1000;
      p.flow = metres_per_second[i] / kSamples / (kTo - kFrom) * 3600;
      p.speed = vehicles[i] > 0 ? metres_per_second[i] / vehicles[i] : 0;
      p.congested = congested;
      if (vehicles[i] > 0) points.push_back(p);
      vehicles[i] = 0;
      metres_per_second[i] = 0;
    }
  }
}

}  // namespace

std::vector<DiagramPoint> measure_diagram(std::uint64_t seed, double minutes) {
  std::vector<DiagramPoint> points;
  for (int step = 1; step <= 10; ++step) {
    WorldOptions options;
    options.scene = "motorway";
    options.seed = seed + static_cast<std::uint64_t>(step);
    options.hour = 8;  // the demand of the peak hour
    options.density = 0.15 * step;
    measure(options, minutes, false, points);
    if (step < 6) continue;
    options.incidents = {{Incident::kQueue, 0}};
    measure(options, 2, true, points);  // as long as the queue lasts
  }
  return points;
}

std::string diagram_svg(const std::vector<DiagramPoint>& points) {
  constexpr double kWidth = 640, kHeight = 400, kLeft = 62, kBottom = 48, kTop = 18, kRight = 16;
  double most_density = 60;
  double most_flow = 2000;
  for (const DiagramPoint& p : points) {
    most_density = std::max(most_density, p.density);
    most_flow = std::max(most_flow, p.flow);
  }
  most_density = 20 * (static_cast<int>(most_density / 20) + 1);
  most_flow = 500 * (static_cast<int>(most_flow / 500) + 1);
  const auto x = [&](double density) { return kLeft + (kWidth - kLeft - kRight) * density / most_density; };
  const auto y = [&](double flow) { return kHeight - kBottom - (kHeight - kBottom - kTop) * flow / most_flow; };
  std::string svg;
  char line[256];
  const auto add = [&](const char* format, auto... values) {
    std::snprintf(line, sizeof line, format, values...);
    svg += line;
  };
  add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n",
      kWidth, kHeight);
  add("<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>\n", kWidth, kHeight);
  for (double d = 0; d <= most_density; d += 20) {
    add("<path d=\"M%.1f %.1fV%.1f\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>\n",
        x(d), y(0), y(most_flow), x(d), y(0) + 16, d);
  }
  for (double f = 0; f <= most_flow; f += 500) {
    add("<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>\n",
        x(0), y(f), x(most_density), x(0) - 6, y(f) + 4, f);
  }
  for (const DiagramPoint& p : points) {
    add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.4\" fill=\"%s\" fill-opacity=\"0.6\"/>\n", x(p.density), y(p.flow),
        p.congested ? "#c0392b" : "#2457a8");
  }
  add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">density, vehicles/km and lane</text>\n",
      (x(0) + x(most_density)) / 2, kHeight - 10);
  add("<text transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">flow, vehicles/h and lane</text>\n",
      (y(0) + y(most_flow)) / 2);
  add("<circle cx=\"%.1f\" cy=\"30\" r=\"4\" fill=\"#2457a8\"/><text x=\"%.1f\" y=\"34\">free</text>\n", kWidth - 150,
      kWidth - 140);
  add("<circle cx=\"%.1f\" cy=\"48\" r=\"4\" fill=\"#c0392b\"/><text x=\"%.1f\" y=\"52\">behind a bottleneck</text>\n",
      kWidth - 150, kWidth - 140);
  return svg + "</svg>\n";
}

}  // namespace gantry::scene
