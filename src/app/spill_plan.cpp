#include "app/spill_plan.hpp"

#include <algorithm>
#include <cmath>

namespace gantry::app {

int SpillPlan::update(const SpillReading& reading, TimePoint now) {
  const int step = std::max(1, static_cast<int>(std::lround(kStep * reading.on_card)));
  // What the decoders would do with one step more.
  const double refilled =
      reading.on_card > 0 ? reading.decoders * (reading.on_card + std::min(step, reading.on_cpu)) / reading.on_card : 0;
  const bool full = reading.decoders >= kFull && reading.on_card > 0;
  const bool room = reading.on_cpu > 0 && reading.decoders < kFull && refilled <= kRoom;
  full_ = full ? full_ + 1 : 0;
  room_ = room ? room_ + 1 : 0;
  if (now < quiet_until_) return 0;
  int move = 0;
  if (full_ >= kFullFor && reading.cores <= kIdle) move = std::min(step, reading.on_card);
  if (room_ >= kRoomFor || (room && reading.cores >= kNoIdle)) move = -std::min(step, reading.on_cpu);
  if (move == 0) return 0;
  full_ = room_ = 0;
  quiet_until_ = now + kPause;
  return move;
}

}  // namespace gantry::app
