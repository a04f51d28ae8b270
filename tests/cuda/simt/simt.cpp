#include "cuda/simt/simt.hpp"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

namespace gantry::test::simt {
namespace {

constexpr std::size_t kStack = 64 * 1024;

/// Threads that wait for each other: the last one to come lets all go on.
struct Meeting {
  int here = 0;
  unsigned round = 0;
};

struct Warp {
  std::map<unsigned, Meeting> meetings;  ///< by mask
  std::uint64_t values[32] = {};
};

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack{new char[kStack]};
  uint3 index{};
  bool ended = false;
};

/// The block that runs; there is one at a time.
struct Block {
  uint3 index{};
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Meeting everybody;
  int ayes[2] = {};
  const std::function<void()>* kernel = nullptr;
  Fiber* running = nullptr;
  ucontext_t scheduler{};
  bool moved = false;  ///< somebody came to a meeting or ended since the last look around
};
Block the_block;

void go_round() {
  swapcontext(&the_block.running->context, &the_block.scheduler);
}

void meet(Meeting& meeting, int all) {
  the_block.moved = true;
  const unsigned round = meeting.round;
  if (++meeting.here == all) {
    meeting.here = 0;
    ++meeting.round;
    return;
  }
  while (meeting.round == round) go_round();
}

void start() {
  (*the_block.kernel)();
  the_block.running->ended = true;
  the_block.moved = true;
  go_round();
}

void run_block(int threads) {
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = the_block.fibers[static_cast<std::size_t>(i)];
    fiber.index = {static_cast<unsigned>(i), 0, 0};
    fiber.ended = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, start, 0);
  }
  for (int left = threads; left > 0;) {
    the_block.moved = false;
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = the_block.fibers[static_cast<std::size_t>(i)];
      if (fiber.ended) continue;
      the_block.running = &fiber;
      swapcontext(&the_block.scheduler, &fiber.context);
      if (fiber.ended) --left;
    }
    if (!the_block.moved && left > 0) {
      std::fprintf(stderr, "simt: %d of %d threads of block %u,%u,%u wait for others that never come\n", left, threads,
                   the_block.index.x, the_block.index.y, the_block.index.z);
      std::abort();
    }
  }
}

}  // namespace

void run(dim3 grid, int threads, const std::function<void()>& kernel) {
  const auto count = static_cast<std::size_t>(threads);
  if (the_block.fibers.size() < count) the_block.fibers.resize(count);
  the_block.kernel = &kernel;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        the_block.index = {x, y, z};
        the_block.warps.assign(count / 32, {});
        the_block.everybody = {};
        run_block(threads);
      }
  the_block.kernel = nullptr;
}

const uint3& thread() noexcept {
  return the_block.running->index;
}
const uint3& block() noexcept {
  return the_block.index;
}

void meet_block() {
  static_cast<void>(any_of_block(false));
}

bool any_of_block(bool mine) {
  // Two counters in turn: the next round's begins while this one's is still read.
  const unsigned turn = the_block.everybody.round % 2;
  if (the_block.everybody.here == 0) the_block.ayes[turn] = 0;
  the_block.ayes[turn] += mine ? 1 : 0;
  const auto all = static_cast<int>(the_block.warps.size() * 32);
  meet(the_block.everybody, all);
  return the_block.ayes[turn] != 0;
}

const std::uint64_t* meet_lanes(unsigned mask, std::uint64_t mine) {
  Warp& warp = the_block.warps[the_block.running->index.x / 32];
  Meeting& meeting = warp.meetings[mask];
  const int all = std::popcount(mask);
  // A copy for each thread: the warp's values may change as soon as one lane goes on.
  static std::uint64_t seen[1024][32];
  std::uint64_t* const own = seen[the_block.running->index.x];
  warp.values[lane()] = mine;
  meet(meeting, all);
  std::memcpy(own, warp.values, sizeof warp.values);
  meet(meeting, all);
  return own;
}

}  // namespace gantry::test::simt
