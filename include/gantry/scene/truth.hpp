#pragma once
// What a simulated camera really saw: one record a frame, and its spelling as JSON lines (docs/scene.md).
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gantry/core/detection.hpp"

namespace gantry::scene {

/// Names of the classes in the order of their ids.
inline constexpr std::array<const char*, 6> kClassNames{"person", "bicycle", "car", "motorcycle", "bus", "truck"};

struct ObjectTruth {
  std::uint32_t id = 0;       ///< the same in all frames and cameras of one world
  std::int32_t class_id = 0;  ///< index into kClassNames; a two-wheeler's box includes its rider
  std::string_view body;      ///< "sedan", "van", "city_bus", …
  Box full;                   ///< pixels; of the whole body, also where hidden or outside the picture
  Box visible;                ///< pixels; empty where nothing can be seen
  int visible_px = 0;         ///< pixels at least half its own
  float occlusion = 0;        ///< share of its outline inside the picture that is hidden, 0…1
  float truncation = 0;       ///< share of the full box outside the picture, 0…1
  std::string_view lane;      ///< empty for people on foot and parked cars; valid as long as the camera
  float speed = 0;            ///< m/s
  float x = 0, y = 0;         ///< centre of the body on the road plane, metres
  float heading = 0;          ///< radians, counter-clockwise from east
};

struct EventTruth {
  std::int64_t t_ms = 0;     ///< exact moment, from the scene's start
  std::string type;          ///< "crossing", "signal", "violation"
  std::string what;          ///< line, signal group, or "red_light", "wrong_way", "speeding", "stopped", "queue"
  std::uint32_t object = 0;  ///< 0: none
  std::int32_t class_id = -1;
  std::string lane;
  float speed = 0;    ///< m/s
  std::string state;  ///< signals, and crossings at a signal: "green", "yellow", "red"
};

struct FrameTruth {
  std::string camera;
  std::uint64_t seq = 0;
  double pts_ms = 0;    ///< as in the video
  double world_ms = 0;  ///< the scene's own clock
  int width = 0, height = 0;
  std::vector<ObjectTruth> objects;  ///< everything with an outline inside the picture, in rising order of id
  std::vector<EventTruth> events;    ///< since the frame before
};

/// One line a frame, newline included. Numbers have fixed decimals, so that equal truths are equal bytes.
void append_truth_jsonl(const FrameTruth& frame, std::string& out);

}  // namespace gantry::scene
