#include "media/nvdec/verifier.hpp"

namespace gantry::media {

bool Verifier::agrees(DecodeEvent event, Frame& frame) {
  Frame own;
  const DecodeEvent own_event = own_.receive(own);
  const bool comparable = event == DecodeEvent::kFrame && own_event == DecodeEvent::kFrame;
  if (!comparable) {
    return event == own_event || note(false);
  }
  const auto width = static_cast<std::size_t>(frame.image.width + 1) / 2 * 2;
  const auto height = static_cast<std::size_t>(frame.image.height + 1) / 2 * 2;
  shared_pixels_.resize(width * height * 3 / 2);
  own_pixels_.resize(shared_pixels_.size());
  if (!frame.pixels.get()->download(shared_pixels_.data()) || !own.pixels.get()->download(own_pixels_.data()))
    return true;
  return note(frame.pts == own.pts && frame.image.width == own.image.width && frame.image.height == own.image.height &&
              shared_pixels_ == own_pixels_);
}

bool Verifier::note(bool equal) {
  ++(equal ? counts_.equal : counts_.different);
  card_->verified(equal);
  return equal;
}

}  // namespace gantry::media
