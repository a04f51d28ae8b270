#include "cli/card_decoders.hpp"

#include "gantry/core/errors.hpp"
#include "gantry/memory/gpu.hpp"

namespace gantry::cli {
namespace {

/// Of the card's memory, for everything that Gantry keeps there.
constexpr double kMemoryFraction = 0.8;

/// The card that all of them run on, -1 where there is none.
int common_card(const std::vector<std::unique_ptr<engine::Backend>>& backends) {
  int card = -1;
  for (const auto& backend : backends) {
    const auto capabilities = backend->capabilities();
    if (!capabilities.device_frames || (card >= 0 && capabilities.device_index != card)) return -1;
    card = capabilities.device_index;
  }
  return card;
}

}  // namespace

std::function<std::unique_ptr<media::Decoder>(const media::DecoderOptions&)> CardDecoders::maker() const {
  if (!nvdec) return {};
  return [nvdec = nvdec](const media::DecoderOptions& options) { return nvdec->make_decoder(options); };
}

CardDecoders open_card_decoders(const std::vector<std::unique_ptr<engine::Backend>>& backends,
                                media::NvdecOptions options, const std::function<void(const std::string&)>& say) {
  CardDecoders decoders;
  const int card = common_card(backends);
  if (card < 0) return decoders;
  try {
    decoders.gpu = memory::open_gpu(card);
    const auto memory = decoders.gpu->memory();
    const auto taken = memory.total_bytes - memory.free_bytes;
    const auto allowed = static_cast<std::size_t>(static_cast<double>(memory.total_bytes) * kMemoryFraction);
    decoders.budget = std::make_unique<memory::MemoryBudget>(allowed > taken ? allowed - taken : 0);
    options.budget = decoders.budget.get();
    decoders.nvdec = media::Nvdec::open(decoders.gpu, options);
  } catch (const DeviceError& error) {
    say(std::string("cameras are decoded on the CPU: ") + error.what());
    return {};
  }
  return decoders;
}

}  // namespace gantry::cli
