#pragma once
// How many of a card's cameras decode on the CPU, because the card's decoders have no time left: decided once a second
// from how busy both are. Pure; one caller.
//
// Cameras leave in small steps once the decoders have been full for some seconds, while cores are idle, and come back
// in small steps once there has been room for longer. Between the two lies a gap, so that nobody goes to and fro.
#include "gantry/core/clock.hpp"

namespace gantry::app {

struct SpillReading {
  double decoders = 0;  ///< share of the last second in which the card's decoders worked, 0…1
  double cores = 0;     ///< the same of the cores that this process may use
  int on_card = 0;      ///< cameras that the card decodes
  int on_cpu = 0;       ///< cameras of this card that the CPU decodes for want of room
};

class SpillPlan {
 public:
  static constexpr double kFull = 0.985;                       ///< decoders have no time left
  static constexpr double kRoom = 0.95;                        ///< up to here they may be filled again
  static constexpr double kIdle = 0.75;                        ///< cores up to this may take more
  static constexpr double kNoIdle = 0.95;                      ///< cores from this on must be relieved
  static constexpr int kFullFor = 3;                           ///< readings in a row
  static constexpr int kRoomFor = 10;                          ///< readings in a row
  static constexpr double kStep = 0.02;                        ///< of the card's cameras, one at least
  static constexpr Duration kPause = std::chrono::seconds{4};  ///< after a step, until its effect can be seen

  /// @return cameras to take to the CPU; negative: to bring back to the card
  [[nodiscard]] int update(const SpillReading& reading, TimePoint now);

 private:
  int full_ = 0, room_ = 0;
  TimePoint quiet_until_{};
};

}  // namespace gantry::app
