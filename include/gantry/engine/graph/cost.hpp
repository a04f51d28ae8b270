#pragma once
// What an op costs at the least: the bytes that it must move and the arithmetic that it must do, and the time in which
// a card could do it. Counted as if every op read its inputs once and wrote its outputs once.
#include "gantry/engine/graph/plan.hpp"

namespace gantry::graph {

struct Cost {
  double map_bytes = 0;     ///< activations read and written, an image
  double weight_bytes = 0;  ///< parameters read, a launch, at the activations' precision
  double flops = 0;         ///< an image; a multiply-add is two
  int convolutions = 0;     ///< of the network, as users count them

  Cost& operator+=(const Cost& other) noexcept;
};

/// Channels are counted without padding. An enlarged view is read at its own size.
[[nodiscard]] Cost cost_of(const Plan& plan, const Op& op);

/// The whole plan as if every run of ops that touches only its own intermediate maps were one op: modules of the
/// network (C3k2, SPPF, C2PSA, a head branch) by the names of their nodes. Ops without a module stand alone.
[[nodiscard]] Cost cost_by_module(const Plan& plan);

/// Rates that a card reaches in practice, not its data sheet's.
struct Card {
  double bytes_per_second = 3.0e12;  ///< one H100's copy rate
  double flops_per_second = 790e12;  ///< one H100's dense fp16 rate
};
/// Seconds that `cost` takes at the least for a batch: the slower of memory and arithmetic.
[[nodiscard]] double floor_seconds(const Cost& cost, const Card& card, int batch) noexcept;

}  // namespace gantry::graph
