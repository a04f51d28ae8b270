#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "gantry/core/storage.hpp"

namespace gantry {
namespace {

class CountingStorage final : public Storage {
 public:
  int recycled = 0;

 private:
  void recycle() noexcept override { ++recycled; }
};

TEST(StorageRef, LastHandleRecyclesOnce) {
  CountingStorage storage;
  {
    StorageRef first(&storage);
    StorageRef second = first;
    StorageRef third = std::move(first);
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the point of the test
    second.reset();
    EXPECT_EQ(storage.recycled, 0);
  }
  EXPECT_EQ(storage.recycled, 1);
}

TEST(StorageRef, SelfAssignmentKeepsTheBlock) {
  CountingStorage storage;
  StorageRef reference(&storage);
  reference = *&reference;
  EXPECT_EQ(storage.recycled, 0);
  EXPECT_EQ(reference.get(), &storage);
}

}  // namespace
}  // namespace gantry
