#include "gantry/scene/truth.hpp"

#include <charconv>
#include <cmath>

namespace gantry::scene {
namespace {

/// Fixed decimals without the C library's locale or rounding modes: value * 10^decimals to the nearest, ties away from
/// zero.
void fixed(std::string& out, double value, int decimals) {
  std::int64_t scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  auto n = static_cast<std::int64_t>(std::floor(std::fabs(value) * static_cast<double>(scale) + 0.5));
  if (value < 0 && n != 0) out += '-';
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, n / scale).ptr);
  if (decimals == 0) return;
  out += '.';
  std::int64_t rest = n % scale;
  for (int i = 0; i < decimals; ++i) {
    scale /= 10;
    out += static_cast<char>('0' + rest / scale);
    rest %= scale;
  }
}

void integer(std::string& out, std::int64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void text(std::string& out, std::string_view value) {
  // Names of lanes, lines and cameras; quotes, backslashes and control characters are escaped.
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr const char* kHex = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void box(std::string& out, const Box& b) {
  out += '[';
  fixed(out, b.x1, 2);
  out += ',';
  fixed(out, b.y1, 2);
  out += ',';
  fixed(out, b.x2, 2);
  out += ',';
  fixed(out, b.y2, 2);
  out += ']';
}

}  // namespace

void append_truth_jsonl(const FrameTruth& frame, std::string& out) {
  out += "{\"camera\":";
  text(out, frame.camera);
  out += ",\"seq\":";
  integer(out, static_cast<std::int64_t>(frame.seq));
  out += ",\"pts_ms\":";
  fixed(out, frame.pts_ms, 3);
  out += ",\"world_ms\":";
  fixed(out, frame.world_ms, 3);
  out += ",\"width\":";
  integer(out, frame.width);
  out += ",\"height\":";
  integer(out, frame.height);
  out += ",\"objects\":[";
  bool first = true;
  for (const ObjectTruth& o : frame.objects) {
    if (!first) out += ',';
    first = false;
    out += "{\"id\":";
    integer(out, o.id);
    out += ",\"class_id\":";
    integer(out, o.class_id);
    out += ",\"class\":";
    text(out, kClassNames[static_cast<std::size_t>(o.class_id)]);
    out += ",\"body\":";
    text(out, o.body);
    out += ",\"box\":";
    box(out, o.full);
    out += ",\"visible\":";
    box(out, o.visible);
    out += ",\"visible_px\":";
    integer(out, o.visible_px);
    out += ",\"occlusion\":";
    fixed(out, o.occlusion, 3);
    out += ",\"truncation\":";
    fixed(out, o.truncation, 3);
    out += ",\"lane\":";
    text(out, o.lane);
    out += ",\"speed\":";
    fixed(out, o.speed, 3);
    out += ",\"x\":";
    fixed(out, o.x, 3);
    out += ",\"y\":";
    fixed(out, o.y, 3);
    out += ",\"heading\":";
    fixed(out, o.heading, 4);
    out += '}';
  }
  out += "],\"events\":[";
  first = true;
  for (const EventTruth& e : frame.events) {
    if (!first) out += ',';
    first = false;
    out += "{\"t_ms\":";
    integer(out, e.t_ms);
    out += ",\"type\":";
    text(out, e.type);
    out += ",\"what\":";
    text(out, e.what);
    if (e.object != 0) {
      out += ",\"object\":";
      integer(out, e.object);
      out += ",\"class_id\":";
      integer(out, e.class_id);
      out += ",\"lane\":";
      text(out, e.lane);
      out += ",\"speed\":";
      fixed(out, e.speed, 3);
    }
    if (!e.state.empty()) {
      out += ",\"state\":";
      text(out, e.state);
    }
    out += '}';
  }
  out += "]}\n";
}

}  // namespace gantry::scene
