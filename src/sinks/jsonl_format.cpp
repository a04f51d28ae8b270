#include <array>
#include <charconv>
#include <cmath>

#include "gantry/sinks/frame_result.hpp"

namespace gantry::sinks {
namespace {

void append_integer(std::uint64_t value, std::string& out) {
  std::array<char, 24> text;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by to_chars
  out.append(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

/// At most `decimals` of them, without trailing zeros. JSON knows no infinity and no NaN: those become null.
void append_decimal(double value, int decimals, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 352> text;  // NOLINT(cppcoreguidelines-pro-type-member-init): holds the longest double
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, decimals).ptr;
  std::string_view digits{text.data(), static_cast<std::size_t>(end - text.data())};
  if (digits.find('.') != std::string_view::npos) {
    digits = digits.substr(0, digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.remove_suffix(1);
  }
  out += digits == "-0" ? "0" : digits;
}

void append_ms(const char* name, Duration value, std::string& out) {
  out += name;
  append_decimal(std::chrono::duration<double, std::milli>(value).count(), 3, out);
}

/// Length of the UTF-8 sequence that starts at text[at], 0 where none does (overlong forms and surrogates included).
std::size_t utf8_length(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0U) != 0x80) return 0;
  const unsigned second = byte(at + 1);
  const bool bad = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                   (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return bad ? 0 : length;
}

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const auto length = utf8_length(text, at);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
    } else if (length > 1) {
      out += text.substr(at, length);
      at += length;
    } else {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        out += "\\u00";
        out += kHex[static_cast<unsigned char>(c) >> 4U];
        out += kHex[static_cast<unsigned char>(c) & 0xFU];
      } else {
        out += c;
      }
      ++at;
    }
  }
  out += '"';
}

void append_jsonl(const FrameResult& result, const std::vector<std::string>& class_names, std::string& out) {
  out += "{\"camera\":";
  append_json_string(result.camera, out);
  out += ",\"seq\":";
  append_integer(result.seq, out);
  append_ms(",\"pts_ms\":", result.pts, out);
  out += ",\"width\":";
  append_integer(static_cast<std::uint64_t>(result.width), out);
  out += ",\"height\":";
  append_integer(static_cast<std::uint64_t>(result.height), out);
  out += ",\"detections\":[";
  bool first = true;
  for (const auto& detection : result.detections) {
    out += first ? "{\"class_id\":" : ",{\"class_id\":";
    first = false;
    append_integer(static_cast<std::uint64_t>(detection.class_id), out);
    out += ",\"class\":";
    if (static_cast<std::size_t>(detection.class_id) < class_names.size()) {
      append_json_string(class_names[static_cast<std::size_t>(detection.class_id)], out);
    } else {
      out += '"';
      append_integer(static_cast<std::uint64_t>(detection.class_id), out);
      out += '"';
    }
    out += ",\"confidence\":";
    append_decimal(detection.confidence, 5, out);
    out += ",\"box\":[";
    append_decimal(detection.box.x1, 3, out);
    out += ',';
    append_decimal(detection.box.y1, 3, out);
    out += ',';
    append_decimal(detection.box.x2, 3, out);
    out += ',';
    append_decimal(detection.box.y2, 3, out);
    out += "]}";
  }
  out += ']';
  if (result.late) out += ",\"late\":true";
  append_ms(",\"latency_ms\":{\"queue\":", result.latency.queue, out);
  append_ms(",\"preprocess\":", result.latency.preprocess, out);
  append_ms(",\"inference\":", result.latency.inference, out);
  append_ms(",\"postprocess\":", result.latency.postprocess, out);
  append_ms(",\"total\":", result.latency.total, out);
  out += "}}\n";
}

}  // namespace gantry::sinks
