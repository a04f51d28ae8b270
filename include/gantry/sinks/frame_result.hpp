#pragma once
// What Gantry says of one frame, as every sink gets it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gantry/core/clock.hpp"
#include "gantry/core/detection.hpp"
#include "gantry/core/frame.hpp"

namespace gantry::sinks {

/// Where the time of one frame went. The parts add up to `total`, capture to result.
struct FrameLatency {
  Duration queue{};        ///< decoding and waiting: everything before its batch started
  Duration preprocess{};   ///< of its batch
  Duration inference{};    ///< of its batch
  Duration postprocess{};  ///< of its batch
  Duration total{};
  Duration decode{};  ///< of `queue`: from the packet to the frame in the scheduler's hands; 0: not known
  Duration fetch{};   ///< of `preprocess`: what a card's decoder took to hand the batch's pictures over
};

struct FrameResult {
  std::string camera;  ///< the camera's id; file name without ending where there is none
  CameraId camera_number = 0;
  std::uint64_t seq = 0;
  Duration pts{};
  int width = 0;   ///< of the source picture, pixels
  int height = 0;  ///< pixels
  bool late = false;
  Detections detections;
  FrameLatency latency;
};

/// Appends one line of JSON, newline included:
///   {"camera","seq","pts_ms","width","height","detections":[{"class_id","class","confidence","box":[x1,y1,x2,y2]}],
///    "latency_ms":{"queue","preprocess","inference","postprocess","total"}}
/// and "late":true before "latency_ms" of late results. Boxes are in source pixels with three decimals, confidences
/// have five, times in milliseconds three. A class that has no name is called by its number. Allocates only where `out`
/// has to grow.
void append_jsonl(const FrameResult& result, const std::vector<std::string>& class_names, std::string& out);

/// Appends `text` as a JSON string, quotes included; bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string_view text, std::string& out);

}  // namespace gantry::sinks
