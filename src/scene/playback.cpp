#include "gantry/scene/playback.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "gantry/core/errors.hpp"
#include "scene/renderer.hpp"
#include "scene/world_feed.hpp"

namespace gantry::scene {
namespace {

constexpr std::array<const char*, kBodyKindCount> kBodies{"hatchback", "sedan",      "suv",        "van",
                                                          "box_truck", "flat_truck", "long_truck", "city_bus",
                                                          "coach",     "motorcycle", "bicycle",    "person"};
constexpr std::array<const char*, 3> kSignals{"green", "yellow", "red"};

/// A camera like one of the scene's, mounted a little elsewhere by somebody else.
CameraMount random_mount(const Layout& layout, std::uint64_t seed) {
  Rng rng(seed ^ 0xCA3E7AULL);
  CameraMount m =
      layout.camera_spots[static_cast<std::size_t>(rng.below(static_cast<int>(layout.camera_spots.size())))];
  m.name = "random-" + std::to_string(seed);
  m.x += rng.uniform(-3, 3);
  m.y += rng.uniform(-3, 3);
  m.z *= rng.uniform(0.8, 1.35);
  const double away = std::sqrt((m.look_x - m.x) * (m.look_x - m.x) + (m.look_y - m.y) * (m.look_y - m.y));
  m.look_x += rng.uniform(-0.16, 0.16) * std::max(away, 12.0);
  m.look_y += rng.uniform(-0.16, 0.16) * std::max(away, 12.0);
  m.horizontal_fov_deg = std::clamp(m.horizontal_fov_deg * rng.uniform(0.45, 1.2), 18.0, 88.0);
  m.k1 *= rng.uniform(0.2, 1.8);
  m.roll_deg = rng.uniform(-2.5, 2.5);
  return m;
}

CameraMount mount_of(const Layout& layout, const SceneOptions& options) {
  if (options.view.camera < 0) return random_mount(layout, options.view.camera_seed);
  if (options.view.camera >= static_cast<int>(layout.cameras.size())) {
    throw MediaError("Scene " + options.world.scene + " has the cameras 0 to " +
                     std::to_string(layout.cameras.size() - 1) + ", not " + std::to_string(options.view.camera) + ".");
  }
  return layout.cameras[static_cast<std::size_t>(options.view.camera)];
}

}  // namespace

struct Playback::Impl {
  Impl(const SceneOptions& o, std::shared_ptr<WorldFeed> shared)
      : options(o),
        feed(shared != nullptr ? std::move(shared) : std::make_shared<WorldFeed>(o.world)),
        layout(make_layout(o.world.scene)),
        mount(mount_of(layout, o)),
        renderer(layout, mount, o.view.width, o.view.height, o.world.hour, o.view.weather, o.view.fps) {
    truth.camera = !o.camera_name.empty() ? o.camera_name : o.world.scene + "-" + mount.name;
    truth.width = o.view.width;
    truth.height = o.view.height;
    cursor = feed->impl().event_end();
  }
  SceneOptions options;
  std::shared_ptr<WorldFeed> feed;
  Layout layout;
  CameraMount mount;
  Renderer renderer;
  Snapshot snapshot;
  std::vector<Sighting> sightings;
  std::vector<WorldEvent> events;
  std::uint64_t cursor = 0;
  FrameTruth truth;
};

Playback::Playback(const SceneOptions& options, std::shared_ptr<WorldFeed> feed)
    : impl_(std::make_unique<Impl>(options, std::move(feed))) {}
Playback::~Playback() = default;

std::size_t Playback::frame_bytes() const noexcept {
  return static_cast<std::size_t>(impl_->options.view.width) * static_cast<std::size_t>(impl_->options.view.height) *
         3 / 2;
}

Image Playback::view(const std::uint8_t* pixels) const noexcept {
  Image image;
  image.width = impl_->options.view.width;
  image.height = impl_->options.view.height;
  image.format = PixelFormat::kNv12;
  image.matrix = ColorMatrix::kBt709;
  image.range = ColorRange::kLimited;
  image.planes[0] = {pixels, image.width};
  image.planes[1] = {pixels + static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height),
                     image.width};
  return image;
}

const FrameTruth& Playback::truth() const noexcept {
  return impl_->truth;
}

void Playback::draw(double world_ms, double pts_ms, std::uint64_t seq, std::uint8_t* pixels) {
  Impl& p = *impl_;
  p.feed->impl().at(world_ms, p.snapshot);
  p.feed->impl().events_until(world_ms, p.cursor, p.events);
  const std::ptrdiff_t stride = p.options.view.width;
  p.renderer.draw(p.snapshot, seq, {pixels, pixels + stride * p.options.view.height, stride}, p.sightings);
  p.truth.seq = seq;
  p.truth.pts_ms = pts_ms;
  p.truth.world_ms = world_ms;
  p.truth.objects.clear();
  const Network& network = p.feed->impl().network();
  for (const Sighting& s : p.sightings) {
    ObjectTruth o;
    o.id = s.object->id;
    o.class_id = class_of(s.object->kind);
    o.body = kBodies[static_cast<std::size_t>(s.object->kind)];
    o.full = s.full;
    o.visible = s.visible;
    o.visible_px = s.visible_px;
    o.occlusion = s.occlusion;
    o.truncation = s.truncation;
    if (s.object->lane >= 0) o.lane = network.lanes[static_cast<std::size_t>(s.object->lane)].name;
    o.speed = s.object->speed;
    o.x = s.object->x;
    o.y = s.object->y;
    o.heading = s.object->heading;
    p.truth.objects.push_back(o);
  }
  p.truth.events.clear();
  for (const WorldEvent& e : p.events) {
    constexpr std::array<const char*, 3> kTypes{"crossing", "signal", "violation"};
    EventTruth t;
    t.t_ms = e.at_ms;
    t.type = kTypes[static_cast<std::size_t>(e.kind)];
    t.what = e.what;
    t.object = e.object;
    if (e.object != 0) t.class_id = class_of(e.body);
    if (e.lane >= 0) t.lane = network.lanes[static_cast<std::size_t>(e.lane)].name;
    t.speed = static_cast<float>(e.speed);
    if (e.kind != EventKind::kViolation) t.state = kSignals[static_cast<std::size_t>(e.signal)];
    p.truth.events.push_back(std::move(t));
  }
}

std::string Playback::camera_json() const {
  const Camera& c = impl_->renderer.camera();
  std::string text = "{\"scene\":\"" + impl_->options.world.scene + "\",\"camera\":\"" + impl_->truth.camera + "\"";
  char buffer[256];
  const auto vector = [&](const char* name, Vec3 v) {
    std::snprintf(buffer, sizeof buffer, ",\"%s\":[%.6f,%.6f,%.6f]", name, static_cast<double>(v.x),
                  static_cast<double>(v.y), static_cast<double>(v.z));
    text += buffer;
  };
  std::snprintf(buffer, sizeof buffer,
                ",\"seed\":%llu,\"fps\":%.6g,\"width\":%d,\"height\":%d,\"focal_px\":%.4f,\"k1\":%.5f,\"k2\":%.5f",
                static_cast<unsigned long long>(impl_->options.world.seed), impl_->options.view.fps, c.width(),
                c.height(), static_cast<double>(c.focal()), static_cast<double>(c.k1()), static_cast<double>(c.k2()));
  text += buffer;
  vector("position_m", c.position());
  vector("right", c.right());
  vector("down", c.down());
  vector("ahead", c.ahead());
  text += ",\"homography\":[";
  const std::array<double, 9> h = c.homography();
  for (std::size_t i = 0; i < 9; ++i) {
    std::snprintf(buffer, sizeof buffer, "%s%.8g", i > 0 ? "," : "", h[i]);
    text += buffer;
  }
  text += "],\"classes\":[";
  for (std::size_t i = 0; i < kClassNames.size(); ++i)
    text += std::string(i > 0 ? ",\"" : "\"") + kClassNames[i] + "\"";
  return text + "]}\n";
}

}  // namespace gantry::scene
