#include "cli/card_decoders.hpp"

#include <algorithm>
#include <map>

#include "gantry/core/errors.hpp"
#include "gantry/memory/gpu.hpp"

namespace gantry::cli {
app::System::MakeDecoder CardDecoders::maker(const std::vector<std::string>& verified) const {
  const auto nvdecs = all();
  if (std::none_of(nvdecs.begin(), nvdecs.end(), [](const auto& nvdec) { return nvdec != nullptr; })) return {};
  return [nvdecs, verified](media::DecoderOptions options, int place) {
    options.verify = std::any_of(verified.begin(), verified.end(),
                                 [&](const auto& id) { return id == kEveryCamera || id == options.name; });
    media::Nvdec* const nvdec = place >= 0 ? nvdecs[static_cast<std::size_t>(place)].get() : nullptr;
    return nvdec != nullptr ? nvdec->make_decoder(options) : media::make_ffmpeg_decoder(options);
  };
}

std::vector<std::shared_ptr<media::Nvdec>> CardDecoders::all() const {
  std::vector<std::shared_ptr<media::Nvdec>> nvdecs;
  for (const Card& card : cards) nvdecs.push_back(card.nvdec);
  return nvdecs;
}

app::DecodersFn CardDecoders::reader() const {
  return [this] {
    std::vector<app::DecoderReading> readings;
    for (std::size_t i = 0; i < cards.size(); ++i)
      if (cards[i].nvdec)
        readings.push_back({.place = static_cast<int>(i),
                            .device = {},
                            .nvdec = cards[i].nvdec->stats(),
                            .budget = cards[i].budget->stats()});
    return readings;
  };
}

CardDecoders open_card_decoders(const std::vector<std::unique_ptr<engine::Backend>>& backends,
                                const media::NvdecOptions& wanted, const std::function<void(const std::string&)>& say) {
  CardDecoders decoders;
  std::map<int, int> parts;  // of each card
  for (const auto& backend : backends)
    if (const auto capabilities = backend->capabilities(); capabilities.device_frames)
      ++parts[capabilities.device_index];
  for (const auto& backend : backends) {
    CardDecoders::Card& card = decoders.cards.emplace_back();
    const auto capabilities = backend->capabilities();
    if (!capabilities.device_frames) continue;
    const double share = 1.0 / parts[capabilities.device_index];
    try {
      auto gpu = memory::open_gpu(capabilities.device_index);
      const auto left = static_cast<double>(gpu->memory().left_within(wanted.memory_fraction));
      card.budget = std::make_unique<memory::MemoryBudget>(static_cast<std::size_t>(left * share));
      media::NvdecOptions options = wanted;
      options.budget = card.budget.get();
      options.share_of_card = share;
      card.nvdec = media::Nvdec::open(gpu, options);
      card.gpu = std::move(gpu);
    } catch (const DeviceError& error) {
      say("cameras of " + capabilities.device + " are decoded on the CPU: " + error.what());
      card = {};
    }
  }
  return decoders;
}

}  // namespace gantry::cli
