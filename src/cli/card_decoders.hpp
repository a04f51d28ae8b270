#pragma once
// The video decoders of the card that the network runs on, where there are any.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gantry/app/system.hpp"
#include "gantry/engine/backend.hpp"
#include "gantry/media/nvdec.hpp"
#include "gantry/memory/budget.hpp"

namespace gantry::cli {

/// The decoders of each back end's card. Outlives the System that decodes with it.
struct CardDecoders {
  struct Card {
    std::shared_ptr<memory::Gpu> gpu;
    std::unique_ptr<memory::MemoryBudget> budget;
    std::shared_ptr<media::Nvdec> nvdec;
  };
  std::vector<Card> cards;  ///< by number of the back end; empty ones where cameras of that home decode on the CPU
  static constexpr const char* kEveryCamera = "all";
  /// For app::System; empty where all cameras decode on the CPU. @param verified cameras whose decoding in shared
  /// sessions is checked (DecoderOptions::verify), by id; kEveryCamera stands for all
  [[nodiscard]] app::System::MakeDecoder maker(const std::vector<std::string>& verified = {}) const;
  [[nodiscard]] std::vector<std::shared_ptr<media::Nvdec>> all() const;
  /// For app::System. Used while this lives.
  [[nodiscard]] app::DecodersFn reader() const;
};

/// Opens them for every back end that takes frames which lie on its card; back ends that share a card share its rate
/// and memory evenly. Says through `say` why not, where a card is there and its decoders are not.
[[nodiscard]] CardDecoders open_card_decoders(const std::vector<std::unique_ptr<engine::Backend>>& backends,
                                              const media::NvdecOptions& wanted,
                                              const std::function<void(const std::string&)>& say);

}  // namespace gantry::cli
