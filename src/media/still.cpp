#include "gantry/media/still.hpp"

#include <utility>
#include <variant>

#include "gantry/core/errors.hpp"
#include "gantry/media/source_factory.hpp"

namespace gantry::media {

Frame read_still(const std::string& file) {
  const auto source = make_source({.url = file});
  if (const auto opened = source->open(); !opened) throw MediaError(opened.error().message);
  auto packet = source->next();
  if (!packet) throw MediaError(packet.error().message);
  auto* raw = std::get_if<RawPayload>(&packet->payload);
  if (raw == nullptr) throw MediaError(file + ": expected a still picture");
  Frame frame;
  frame.image = raw->image;
  frame.pixels = std::move(raw->pixels);
  return frame;
}

}  // namespace gantry::media
