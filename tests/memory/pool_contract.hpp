#pragma once
// What every Pool promises. A pool joins with
//   INSTANTIATE_TEST_SUITE_P(Name, PoolContract, testing::Values(PoolMaker{...}));
// in a file of its own; the suite never touches the bytes themselves, which may lie on a device.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "gantry/memory/pool.hpp"

namespace gantry::memory {

struct PoolMaker {
  std::string name;
  std::function<std::unique_ptr<Pool>(std::span<const SizeClass>)> make;
};
inline void PrintTo(const PoolMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class PoolContract : public testing::TestWithParam<PoolMaker> {};

}  // namespace gantry::memory
