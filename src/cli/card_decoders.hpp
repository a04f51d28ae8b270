#pragma once
// The video decoders of the card that the network runs on, where there are any.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/engine/backend.hpp"
#include "gantry/media/nvdec.hpp"
#include "gantry/memory/budget.hpp"

namespace gantry::cli {

/// Everything empty where cameras decode on the CPU. Outlives the System that decodes with it.
struct CardDecoders {
  std::shared_ptr<memory::Gpu> gpu;
  std::unique_ptr<memory::MemoryBudget> budget;
  std::shared_ptr<media::Nvdec> nvdec;
  /// For app::System; empty where cameras decode on the CPU.
  [[nodiscard]] std::function<std::unique_ptr<media::Decoder>(const media::DecoderOptions&)> maker() const;
};

/// Opens them where every back end takes frames that lie on one card. Says through `say` why not, where a card is there
/// and its decoders are not.
[[nodiscard]] CardDecoders open_card_decoders(const std::vector<std::unique_ptr<engine::Backend>>& backends,
                                              media::NvdecOptions options,
                                              const std::function<void(const std::string&)>& say);

}  // namespace gantry::cli
