#pragma once
#include <memory>

#include "gantry/media/decoder.hpp"

namespace gantry::media {

class NvdecCard;

/// Decodes each stream where it is best off: on the card or, where that can't be, on the CPU; it changes over in the
/// middle of a stream where the card turns out to refuse it. Every choice is counted at the card.
[[nodiscard]] std::unique_ptr<Decoder> make_auto_decoder(std::shared_ptr<NvdecCard> card,
                                                         const DecoderOptions& options);

}  // namespace gantry::media
