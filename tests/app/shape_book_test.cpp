#include "app/shape_book.hpp"

#include <gtest/gtest.h>

#include "app/fakes.hpp"
#include "gantry/scheduler/gantry_policy.hpp"

namespace gantry::app {
namespace {

using engine::InputShape;

TEST(ShapeChoice, JoinsARectangleThatIsNearlyAsSmall) {
  const std::set<InputShape> ready{{640, 384}, {640, 640}};
  EXPECT_EQ(nearly_as_good(ready, {640, 384}), (InputShape{640, 384}));
  EXPECT_EQ(nearly_as_good(ready, {640, 352}), (InputShape{640, 384})) << "9 % larger";
  EXPECT_FALSE(nearly_as_good(ready, {640, 320})) << "20 % larger";
  EXPECT_FALSE(nearly_as_good(ready, {384, 640})) << "too narrow one, too large the other";
  EXPECT_FALSE(nearly_as_good({}, {640, 384}));
}

TEST(ShapeChoice, FallsBackOnWhatShowsMostAndOfThoseTheSmallest) {
  const std::set<InputShape> ready{{640, 384}, {640, 480}, {384, 640}};
  EXPECT_EQ(best_of(ready, 1280, 720), (InputShape{640, 384}));
  EXPECT_EQ(best_of(ready, 640, 480), (InputShape{640, 480}));
  EXPECT_EQ(best_of(ready, 720, 1280), (InputShape{384, 640}));
  EXPECT_EQ(best_of(ready, 3000, 10), (InputShape{640, 384}));
}

class ShapeBookTest : public testing::Test {
 protected:
  ShapeBookTest()
      : dispatcher(
            std::make_unique<scheduler::GantryPolicy>(), [](scheduler::FrameEnd&) {}, clock),
        book({&backend}, dispatcher, 8, [](Severity, std::string_view) {}) {
    dispatcher.add_device("cpu", 1, 1);
  }
  SteadyClock clock;
  test::FakeBackend backend;
  scheduler::Dispatcher dispatcher;
  ShapeBook book;
};

TEST_F(ShapeBookTest, MakesEachShapeOnceAndLendsAnotherMeanwhile) {
  const auto wide = book.shape_for(1280, 720);
  ASSERT_TRUE(wide);
  EXPECT_EQ(book.shape_for(768, 432), wide) << "the same rectangle of the network";
  auto tall = book.shape_for(720, 1280);
  ASSERT_TRUE(tall);
  while (tall == wide) tall = book.shape_for(720, 1280);
  const auto profiles = backend.profiles();
  EXPECT_EQ(profiles.size(), 2U) << "two shapes, each with batch 1, each made once";
}

TEST_F(ShapeBookTest, StoppedItGivesWhatItHasAndMakesNoMore) {
  const auto wide = book.shape_for(1280, 720);
  book.stop();
  EXPECT_EQ(book.shape_for(720, 1280), wide);
  EXPECT_EQ(backend.profiles().size(), 1U);
}

}  // namespace
}  // namespace gantry::app
